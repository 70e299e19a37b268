"""What the queue of a host answers, as values. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from slipway.errors import ParseError
from slipway.model import read_values
from slipway.scheduler.base import Job, State
from slipway.scheduler.queues import UNTYPED, QueueState
from slipway.scheduler.usage import Usage
from slipway.site import Queue


def read_jobs(answer: Mapping[str, Any]) -> list[Job]:
    """The jobs of an answer to ``query``.

    Raises:
        ParseError: it is of another form.
    """
    try:
        return [_job(row) for row in answer["jobs"]]
    except (KeyError, TypeError, ValueError) as error:
        raise ParseError(
            f"the queue's answer is not of the form that this Slipway knows: {error!r:.300}"
        ) from error


def _job(row: Mapping[str, Any]) -> Job:
    state = State(row["state"])
    started, ended = _whole(row.get("started")), _whole(row.get("ended"))
    return Job(
        job_id=str(int(row["id"])),
        name=str(row["name"]),
        state=state,
        native_state=state.value,
        exit_code=_whole(row.get("exit_code")),
        signal=_whole(row.get("signal")),
        elapsed_s=max(0, ended - started) if started is not None and ended is not None else None,
        pending_reason=row.get("waits_for") or row.get("note"),
        task=_whole(row.get("task")),
        started_s=started,
        ended_s=ended,
        node=row.get("node"),
        limit_s=_whole(row.get("limit_s")),
    )


def read_usage(row: Mapping[str, Any]) -> Usage | None:
    """What a job that is over used, as far as its last attempt goes; ``None`` where it never began."""
    started, ended = row.get("started"), row.get("ended")
    if started is None or ended is None:
        return None
    elapsed_s = max(0, int(ended) - int(started))
    cpus = len(row.get("cpus") or ()) or None
    memory_mib = _whole(row.get("mem_mib"))
    return Usage(
        attempts=1,
        elapsed_s=elapsed_s,
        longest_s=elapsed_s,
        limit_s=_whole(row.get("limit_s")),
        nodes=1,
        cpus=cpus,
        cpu_s=row.get("cpu_s"),
        core_s=float(elapsed_s * cpus) if cpus else None,
        peak_memory_bytes=_whole(row.get("peak_bytes")),
        asked_memory_bytes=memory_mib << 20 if memory_mib else None,
        gpus=len(row.get("gpus") or ()),
        energy_j=None,
        gpu_use=(),
    )


def read_offer(answer: Mapping[str, Any]) -> QueueState:
    """What the machine has, as the one queue that there is.

    Raises:
        ParseError: the answer is of another form.
    """
    try:
        gpus = [(str(gpu["name"]), bool(gpu["is_free"])) for gpu in answer["gpus"]]
        has_room, waiting = int(answer["running"]) < int(answer["places"]), int(answer["waiting"])
        cpus, memory_bytes, name = int(answer["cpus"]), int(answer["memory_bytes"]), str(answer["node"])
        values = {
            "max_nodes": 1,
            "max_cpus": cpus,
            "max_mem": f"{memory_bytes >> 20}M",
            "max_gpus": _by_type(gpus),
        }
        offer = read_values(Queue, values)
    except (KeyError, TypeError, ValueError) as error:
        raise ParseError(
            f"the queue's answer is not of the form that this Slipway knows: {error!r:.300}"
        ) from error
    return QueueState(
        name=name,
        offer=offer,
        is_default=True,
        nodes=1,
        idle_nodes=1 if has_room else 0,
        cpus=cpus,
        idle_cpus=cpus if has_room else 0,
        gpus=len(gpus),
        idle_gpus=sum(is_free for _, is_free in gpus) if has_room else 0,
        waiting=waiting,
    )


def _by_type(gpus: Sequence[tuple[str, bool]]) -> dict[str, int]:
    return {UNTYPED: len(gpus)} if gpus else {}


def _whole(value: Any) -> int | None:
    return None if value is None else int(value)
