"""What the monitor's program is told: ``start``, ``submit``, ``run``, ``state`` or ``stop``, and which one.

It prints how that monitor stands then, as one line of JSON.
"""
# ruff: noqa: UP006, UP035, UP045 - Python 3.6 has no others

import json
import os
import sys
import time
from pathlib import Path
from typing import Any, Dict, Optional

from .loop import Loop, submit_job
from .place import Place, me
from .slurm import run

_STOP_S = 60.0
_DESCRIPTORS = 1024


def main(root: str, word: str, name: str, order: str = "") -> None:
    """Do what a command says.

    Args:
        root: the folder of scratch.
        word: the command.
        name: which monitor.
        order: a file in its folder that is to become its order.
    """
    os.umask(0o077)
    os.chdir(root)
    place = Place(name)
    if word == "run":
        work(place)
        return
    if word == "start":
        values = start(place, place.folder / order)
    elif word == "submit":
        values = submit(place, place.folder / order)
    else:
        if order:
            _remove(place.folder / order)
        values = stop(place) if word == "stop" else place.state()
    print("slipway-monitor " + json.dumps(values))


def work(place: Place) -> None:
    """Work as a job."""
    mine = me()
    other = place.take(mine)
    if other is not None:
        print(f"{other.shown} is at it")
        return
    place.go_on()
    Loop(place, mine).run()


def start(place: Place, order: Path) -> Dict[str, Any]:
    """Start a monitor that goes on by itself, unless one is at it."""
    known = _known(place, order)
    if known is not None:
        return known
    reader, writer = os.pipe()
    child = os.fork()
    if child:
        os.close(writer)
        with os.fdopen(reader, "rb") as answer:
            said = answer.read()
        os.waitpid(child, 0)
        if said != b"began":
            _remove(order)
        return dict(place.state(), began=said == b"began")
    os.close(reader)
    _detach(place, order, writer)
    os._exit(0)


def _detach(place: Place, order: Path, writer: int) -> None:
    """The rest of a process that has nobody above it."""
    os.setsid()
    if os.fork():
        return
    try:
        mine = me()
        if place.take(mine) is not None:
            return
        place.begin(order)
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(null, descriptor)
        # Whoever started it waits for the end of all that it has opened.
        os.closerange(3, writer)
        os.closerange(writer + 1, _DESCRIPTORS)
        os.write(writer, b"began")
        os.close(writer)
        Loop(place, mine).run()
    finally:
        os._exit(0)


def submit(place: Place, order: Path) -> Dict[str, Any]:
    """Submit a monitor as a job, unless one is at it."""
    known = _known(place, order)
    if known is not None:
        return known
    mine = me()
    if place.take(mine) is not None:
        _remove(order)
        return dict(place.state(), began=False)
    try:
        place.begin(order)
        values = json.loads(place.order.read_bytes().decode("ascii"))["job"]
        place.script.write_bytes(values["script"].encode("utf-8", "surrogateescape"))
        job_id, refusal = submit_job(place, values["options"])
        if job_id is None:
            place.end("refused", refusal)
    finally:
        place.release(mine)
    return dict(place.state(), began=True)


def _known(place: Place, order: Path) -> Optional[Dict[str, Any]]:
    """How the monitor stands that is at it; ``None`` where none is."""
    values = place.state()
    if values["state"] not in ("runs", "waits"):
        return None
    _remove(order)
    return dict(values, began=False)


def _remove(order: Path) -> None:
    if order.is_file():
        order.unlink()


def stop(place: Place) -> Dict[str, Any]:
    """Have a monitor stop, and wait for it."""
    values = place.state()
    if values["state"] == "waits":
        run(["scancel", values["job"]])
        place.end("stopped", "it was stopped before its job began")
    if values["state"] == "runs":
        place.ask_to_stop()
        until = time.monotonic() + _STOP_S
        while place.state()["state"] == "runs" and time.monotonic() < until:
            time.sleep(0.5)
    return dict(place.state(), was=values["state"])


if __name__ == "__main__":
    main(*sys.argv[1:])
