"""Runs of this machine: how they stand, their ends, and what one leaves whose command was killed."""

from __future__ import annotations

import json
import shutil
import socket
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from slipway.errors import EngineError, HostError, JobError
from slipway.image.engine import engine
from slipway.job.ending import merge_status, parse_result
from slipway.job.home import Arrived, Home, now, write_home
from slipway.job.kept import keep_difference
from slipway.job.record import format_run
from slipway.job.run import LOCAL, Run
from slipway.job.selection import Selection
from slipway.local.container import remove_of_run
from slipway.local.job import ENTRY, KILL_WAIT_S, Ending
from slipway.progress import explain_stop
from slipway.project import Project
from slipway.scheduler.base import State
from slipway.steps.session import Session
from slipway.whole_file import write_whole

# How often it is looked how a run stands, and how long a program has that is killed.
LOOK_S = 0.3
_KILLED_S = 10
_NOT_BEGUN = "its program had not begun, and nothing is left of it"
_KILLED = "its command was killed before its end, and what it printed from then on is lost"


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where the files of one run lie."""

    home: Path
    code: Path
    wish: Path

    @classmethod
    def of(cls, project: Project, run_id: str) -> Place:
        """Of the run with this id."""
        local = project.state / "local"
        return cls(
            home=project.results / run_id, code=local / ".code" / run_id, wish=local / ".cancel" / run_id
        )

    @property
    def attempt(self) -> Path:
        """What a cluster has of an attempt."""
        return self.home / "attempt-1"

    @property
    def out(self) -> Path:
        """What the program sees as ``/out``."""
        return self.attempt / "out"

    @property
    def log(self) -> Path:
        """What the program prints."""
        return self.attempt / "log"


def look_here(session: Session, runs: Sequence[Run]) -> list[Run]:
    """Runs of this machine as they stand now; of one whose command was killed, what is left is removed."""
    return [_look(session, run) for run in runs]


def sweep(session: Session) -> None:
    """Remove what commands have left that were killed, and write down how their runs ended."""
    look_here(session, session.store.select(Selection(site=LOCAL, over=False)))


def cancel_here(session: Session, run: Run) -> Run:
    """Have the command that a run belongs to end its program, as Ctrl-C there does, and wait for that.

    Returns:
        The run as it stands then; not over where its program does not end although it was killed.

    Raises:
        JobError: its command is gone, and its container cannot be removed.
        KeyboardInterrupt: somebody does not want to wait; it ends all the same.
    """
    (run,) = look_here(session, [run])
    if run.status.state.is_over:
        return run
    if not session.store.is_submitting(run):
        raise JobError(f"{run.shown}: {run.status.note}")
    wish = Place.of(session.project, run.run_id).wish
    wish.parent.mkdir(parents=True, exist_ok=True)
    wish.touch()
    session.progress.step(f"Waiting for the end of {run.run_id}")
    deadline = time.monotonic() + KILL_WAIT_S + _KILLED_S
    with explain_stop(f"{run.run_id} was told to end, and goes on with that; `invoke status` shows it"):
        while session.store.is_submitting(run) and time.monotonic() < deadline:
            time.sleep(LOOK_S)
    if not session.store.is_submitting(run):
        wish.unlink(missing_ok=True)
    if not session.store.has(run):
        return replace(run, status=replace(run.status, state=State.CANCELLED, note=_NOT_BEGUN))
    return look_here(session, [run])[0]


def end_here(session: Session, run: Run, ending: Ending, *, diff: str | None, note: str | None = None) -> Run:
    """Write down how a run ended, as the job script does it, and that all of it is here."""
    place, code = Place.of(session.project, run.run_id), ending.exit_code
    result = {
        "run_id": run.run_id,
        "task": None,
        "attempt": 1,
        "exit_code": code,
        "signal": code - 128 if 128 < code <= 192 else None,
        "reason": ending.reason,
        "start": ending.started_s,
        "end": ending.ended_s,
        "node": socket.gethostname(),
        "nodes": 1,
    }
    text = json.dumps(result) + "\n"
    place.attempt.mkdir(parents=True, exist_ok=True)
    write_whole(place.attempt / "result.json", text)
    files = {
        path.relative_to(place.home).as_posix(): Arrived(size_bytes=path.stat().st_size)
        for path in place.home.rglob("*")
        if path.is_file() and not path.is_symlink()
    }
    ended = replace(run, status=replace(merge_status(None, parse_result(text)), note=note))
    write_whole(place.home / "run.json", format_run(ended))
    with suppress(OSError):  # Windows lets not everybody.
        (place.home / "out").symlink_to("attempt-1/out")
    write_home(Home(folder=place.home, is_complete=True, brought=now(), files=files))
    session.store.save(ended)
    keep_difference(session.project.state, ended, diff)
    return ended


def end_left(session: Session, run: Run) -> Run:
    """Remove what a command has left that did not come to its end; its results stay, and its end is noted.

    Raises:
        EngineError: its container cannot be removed; nothing is written down.
    """
    place = Place.of(session.project, run.run_id)
    left = remove_of_run(engine(), run.run_id)
    shutil.rmtree(place.code, ignore_errors=True)
    place.wish.unlink(missing_ok=True)
    # It has the environment, which may be secret.
    (place.out / ENTRY).unlink(missing_ok=True)
    started_s = run.status.started_s or int(run.submitted.timestamp())
    if left is None:
        # Nobody saw it end; it was alive when it last printed.
        last_s = int(place.log.stat().st_mtime) if place.log.exists() else started_s
        ending = Ending(exit_code=137, reason="cancelled", started_s=started_s, ended_s=last_s)
    else:
        reason = "ok" if left.exit_code == 0 else "cancelled"
        ended_s = left.ended_s or int(time.time())
        ending = Ending(exit_code=left.exit_code, reason=reason, started_s=started_s, ended_s=ended_s)
    return end_here(session, run, ending, diff=None, note=_KILLED)


def _look(session: Session, run: Run) -> Run:
    if run.status.state.is_over:
        return run
    if session.store.is_submitting(run):
        elapsed_s = max(0, int(time.time()) - (run.status.started_s or 0))
        return replace(run, status=replace(run.status, elapsed_s=elapsed_s))
    if session.store.has(run):
        # Its command may have come to its end just now.
        run = session.store.find(run.run_id)
    if run.status.state.is_over:
        return run
    try:
        ended = end_left(session, run)
    except (EngineError, HostError) as error:
        note = f"its command was killed, and its container cannot be removed: {error}"
        session.progress.note(f"{run.shown}: {note}")
        return replace(run, status=replace(run.status, note=note))
    session.progress.note(f"{run.shown}: {_KILLED}; its container and its copy of the code are removed")
    return ended
