"""A job's attributes as a job. Pure.

PBS's states are letters (``man qstat``). A job that is over is F or X (PBS Professional) or C (Torque), and
only its exit status tells how it ended: up to 255 it is the script's, from 256 on a signal's, and below 0 a
reason of PBS's own (PBS Professional: src/include/job.h, Torque: src/include/pbs_job.h).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any

from slipway.scheduler.base import Job, State
from slipway.scheduler.pbs.array import task_of
from slipway.scheduler.pbs.attributes import Attributes
from slipway.scheduler.pbs.name import JobId, own_name

_STATES = {
    "Q": State.PENDING,
    "H": State.PENDING,
    "W": State.PENDING,
    "T": State.PENDING,
    "R": State.RUNNING,
    "B": State.RUNNING,
    "E": State.COMPLETING,
    "S": State.SUSPENDED,
    "U": State.SUSPENDED,
}
_OVER = frozenset("FXC")
# Exit statuses that are PBS's own; all others below 0 are jobs that could not be begun.
_OPENPBS = {
    -29: State.TIMEOUT,
    -27: State.OUT_OF_MEMORY,
    -26: State.OUT_OF_MEMORY,
    -4: State.NODE_FAIL,
    -5: State.NODE_FAIL,
    -6: State.NODE_FAIL,
    -14: State.NODE_FAIL,
    -20: State.NODE_FAIL,
}
_TORQUE = {
    -10: State.OUT_OF_MEMORY,
    -11: State.TIMEOUT,
    -4: State.NODE_FAIL,
    -5: State.NODE_FAIL,
    -6: State.NODE_FAIL,
}
# 256 and SIGTERM, which qdel sends. Torque has no other mark of it.
_DELETED = 271
# JOB_SUBSTATE_TERMINATED: somebody has deleted it. What ends otherwise has 92 or 93.
_TERMINATED = "91"
_SIGNALLED = 256
_NUMBER = re.compile(r"-?[0-9]{1,9}")
_CLOCK = re.compile(r"([0-9]{1,9}):([0-9]{1,2}):([0-9]{1,2})")
_DATE = re.compile(r"\w{3} (\w{3}) +([0-9]{1,2}) ([0-9]{2}):([0-9]{2}):([0-9]{2}) ([0-9]{4})")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_LATEST_S = 1 << 40
_HOLDS = {"u": "the user", "o": "an operator", "s": "PBS itself, or what it depends on"}


def is_torque(attributes: Attributes) -> bool:
    """Whether a job that is over was Torque's, which writes its exit status in small letters."""
    return "exit_status" in attributes or attributes.get("job_state") == "C"


def make_job(job_id: JobId, attributes: Attributes, tasks: Sequence[int | None]) -> Job:
    """A job, or one part of an array.

    Args:
        job_id: its id.
        attributes: those that PBS prints.
        tasks: the tasks that its run has; one ``None`` where it is none in an array.
    """
    state, code, signal = _ending(attributes)
    return Job(
        job_id=job_id.whole,
        name=own_name(attributes.get("Job_Name", ""), job_id.index),
        state=state,
        native_state=attributes.get("job_state"),
        exit_code=code,
        signal=signal,
        elapsed_s=parse_clock(attributes.get("resources_used.walltime", "")),
        pending_reason=_why_it_waits(attributes) if state is State.PENDING else None,
        task=_task(job_id, attributes, tasks),
        limit_s=parse_clock(attributes.get("Resource_List.walltime", "")),
        node=",".join(hosts_of(attributes)) or None,
        **_times(state, attributes),
    )


def _task(job_id: JobId, attributes: Attributes, tasks: Sequence[int | None]) -> int | None:
    known = [task for task in tasks if task is not None]
    if job_id.index is None:
        # A task alone is no array in PBS Professional.
        return known[0] if len(known) == 1 and not job_id.is_array else None
    if "job_array_id" in attributes:
        return job_id.index
    return task_of(job_id.index, known)


def _ending(attributes: Attributes) -> tuple[State, int | None, int | None]:
    """How it stands; where it is over, the script's exit code, and the signal that ended it."""
    letter = attributes.get("job_state", "")
    if letter not in _OVER:
        return _STATES.get(letter, State.UNKNOWN), None, None
    torque = is_torque(attributes)
    status = parse_number(attributes.get("exit_status" if torque else "Exit_status", ""))
    if status is None:
        # It never began.
        return State.CANCELLED, None, None
    if status < 0:
        return (_TORQUE if torque else _OPENPBS).get(status, State.FAILED), None, None
    code, signal = (None, status - _SIGNALLED) if status > _SIGNALLED else (status, None)
    if attributes.get("substate") == _TERMINATED or (torque and status == _DELETED):
        return State.CANCELLED, code, signal
    return State.FAILED if status else State.COMPLETED, code, signal


def _why_it_waits(attributes: Attributes) -> str | None:
    comment = attributes.get("comment") or None
    if attributes.get("job_state") == "H" and comment is None:
        kinds = [_HOLDS[one] for one in attributes.get("Hold_Types", "") if one in _HOLDS]
        return f"held by {', '.join(kinds)}" if kinds else "held"
    return comment


def _times(state: State, attributes: Attributes) -> dict[str, Any]:
    """When it began and ended, or is to begin."""
    if state is State.PENDING:
        return {"expected_s": parse_time(attributes.get("estimated.start_time", ""))}
    torque = is_torque(attributes)
    started = parse_time(attributes.get("start_time" if torque else "stime", ""))
    if not state.is_over:
        return {"started_s": started}
    ended = parse_time(attributes.get("comp_time" if torque else "obittime", ""))
    walltime = parse_clock(attributes.get("resources_used.walltime", ""))
    if ended is None and started is not None and walltime is not None:
        ended = started + walltime
    if ended is None:
        ended = parse_time(attributes.get("mtime", ""))
    return {"started_s": started, "ended_s": ended}


def hosts_of(attributes: Attributes) -> list[str]:
    """The hosts of a job in its order: of ``node1/0*2+node2/0*2``."""
    places = attributes.get("exec_host", "").split("+")
    return list(dict.fromkeys(place.partition("/")[0] for place in places if place.partition("/")[0]))


def parse_number(text: str) -> int | None:
    """A number, which may be below 0; ``None`` where it is none."""
    return int(text) if _NUMBER.fullmatch(text) else None


def parse_clock(text: str) -> int | None:
    """``HH:MM:SS`` or a number of seconds, in seconds; ``None`` where it is no time."""
    if match := _CLOCK.fullmatch(text):
        hours, minutes, seconds = map(int, match.groups())
        return (hours * 60 + minutes) * 60 + seconds
    number = parse_number(text)
    return number if number is None or number >= 0 else None


def parse_time(text: str) -> int | None:
    """``Mon Nov 30 08:24:00 2026`` in UTC, or seconds since 1970, as these; ``None`` where it is no time."""
    if match := _DATE.fullmatch(text.strip()):
        month, *numbers = match.groups()
        day, hour, minute, second, year = map(int, numbers)
        try:
            moment = datetime(year, _MONTHS.index(month) + 1, day, hour, minute, second, tzinfo=timezone.utc)
        except ValueError:
            return None
        return int(moment.timestamp())
    return int(text) if re.fullmatch(r"[0-9]{1,13}", text) and 0 < int(text) < _LATEST_S else None
