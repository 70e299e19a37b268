"""What the queue's program is asked, and what it answers: one line of JSON behind a mark."""
# ruff: noqa: UP006, UP035 - Python 3.6 has no others

import json
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, Dict, List

from . import machine
from .place import QueueError, hostname, locked, queue_folder
from .queue import PENDING, Job, Queue, Room, Task

MARK = "slipway-queue "
_REFUSED = 1


def main(argv: List[str]) -> int:
    """Do what is asked: ``submit``, ``try``, ``query``, ``cancel``, ``offer``, or ``run`` beside a job."""
    what, words = argv[0], argv[1:]
    try:
        if what == "run":
            from .beside import run

            run(Path(words[0]), int(words[1]), int(words[2]) if len(words) > 2 else None)
        elif what == "submit":
            # A job's id is all that is printed, and may stand behind anything that a login shell prints.
            print(_submit(json.loads(words[0])))
        else:
            print(MARK + json.dumps(_ANSWERS[what](words)), flush=True)
    except QueueError as error:
        sys.stderr.write(f"{error}\n")
        return _REFUSED
    except OSError as error:
        # A disk that is full, above all.
        sys.stderr.write(f"{queue_folder()}: {error.strerror or error}\n")
        return _REFUSED
    return 0


def _submit(wanted: Dict[str, Any]) -> int:
    folder = queue_folder()
    with locked(folder):
        queue = Queue(folder)
        job_id = queue.submit(wanted)
        # It is taken, and begins later.
        with suppress(OSError):
            queue.dispatch()
    return job_id


def _try(words: List[str]) -> Dict[str, Any]:
    folder = queue_folder()
    with locked(folder):
        waits = Queue(folder).attempt(json.loads(words[0]))
    return {"expected": f"after others: {waits}" if waits else "now"}


def _query(names: List[str]) -> Dict[str, Any]:
    folder = queue_folder()
    with locked(folder):
        queue = Queue(folder)
        waits = queue.dispatch()
        jobs = queue.find(names)
        rows = [_row(job, task, waits.get((job.job_id, task))) for job in jobs for task in job.tasks]
    return {"jobs": rows}


def _row(job: Job, task: Task, waits_for: Any) -> Dict[str, Any]:
    value = job.state(task)
    row = {"id": job.job_id, "name": job.name, "state": value["state"], "limit_s": job.wanted["time_s"]}
    kept = ("started", "ended", "exit_code", "signal", "node", "gpus", "cpus", "cpu_s", "peak_bytes", "note")
    row.update({key: value[key] for key in kept if value.get(key) is not None})
    row.update({key: job.wanted[key] for key in ("mem_mib",) if job.wanted[key]})
    if task is not None:
        row["task"] = task
    if value["state"] == PENDING:
        row["waits_for"] = waits_for
    return row


def _cancel(words: List[str]) -> Dict[str, Any]:
    only_waiting = words[:1] == ["--waiting"]
    folder = queue_folder()
    with locked(folder):
        queue = Queue(folder)
        unknown = queue.cancel(words[1:] if only_waiting else words, only_waiting)
        queue.dispatch()
    return {"unknown": unknown}


def _offer(_: List[str]) -> Dict[str, Any]:
    folder = queue_folder()
    with locked(folder):
        queue = Queue(folder)
        waits = queue.dispatch()
        room = Room(queue)
    taken = {index for value in room.running for index in value.get("gpus", [])}
    gpus = [{"name": gpu.name, "is_free": not gpu.is_used and gpu.number not in taken} for gpu in room.gpus]
    return {
        "node": hostname(),
        "cpus": len(machine.processors()),
        "memory_bytes": machine.memory_bytes(),
        "gpus": gpus,
        "places": room.places,
        "running": len(room.running),
        "waiting": len(waits),
    }


_ANSWERS = {"query": _query, "cancel": _cancel, "offer": _offer, "try": _try}
