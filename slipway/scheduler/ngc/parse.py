"""What ``ngc`` prints, as values. Nothing here asks anybody.

The objects are those of the service, as NVIDIA's own Python package for it (``ngcsdk`` 3.41 to 4.19) declares
them; what is missing in one is ``None``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import Any

from slipway.errors import ParseError
from slipway.jsontext import load_json
from slipway.scheduler.base import Job, State
from slipway.scheduler.ngc.commands import TASK_LABEL

# By so much the platform's limit is later than that which was asked for, at which the job's script ends it.
SLACK_S = 120
_STATES = {
    "CREATED": State.PENDING,
    "QUEUED": State.PENDING,
    "PENDING_STORAGE_CREATION": State.PENDING,
    "REQUESTING_RESOURCE": State.PENDING,
    "RESOURCE_CONSUMPTION_REQUEST_IN_PROGRESS": State.PENDING,
    "RESOURCE_GRANTED": State.PENDING,
    # The image is fetched.
    "STARTING": State.PENDING,
    "RUNNING": State.RUNNING,
    "PENDING_TERMINATION": State.COMPLETING,
    # Until somebody resumes it, or kills it.
    "PREEMPTED": State.SUSPENDED,
    "PREEMPTED_BY_ADMIN": State.SUSPENDED,
    "FINISHED_SUCCESS": State.COMPLETED,
    "FAILED": State.FAILED,
    "FAILED_RUN_LIMIT_EXCEEDED": State.TIMEOUT,
    "KILLED_BY_USER": State.CANCELLED,
    "KILLED_BY_ADMIN": State.CANCELLED,
    "CANCELED": State.CANCELLED,
    # What the platform itself did to it, or could not do for it.
    "KILLED_BY_SYSTEM": State.NODE_FAIL,
    "TASK_LOST": State.NODE_FAIL,
    "RESOURCE_GRANT_DENIED": State.NODE_FAIL,
    "RESOURCE_LIMIT_EXCEEDED": State.NODE_FAIL,
    "RESOURCE_RELEASED": State.NODE_FAIL,
    "INFINITY_POOL_MISSING": State.NODE_FAIL,
    "IM_INTERNAL_ERROR": State.NODE_FAIL,
    "UNKNOWN": State.UNKNOWN,
}
# No shell finds the program.
_NO_PROGRAM = 127
_JSON_ERROR = re.compile(r'\{\s*"error":\s*("(?:[^"\\]|\\.)*")\s*\}')
_MOMENT = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.\d{1,9})?(?:Z|\+00:?00)?")


@dataclass(frozen=True, kw_only=True)
class Found:
    """A job of the platform.

    Attributes:
        job: the job.
        number: its id there.
        gpus: GPUs of its instance.
        cpus: cores of it.
        memory_bytes: memory of it.
        instance: the instance's name.
        team: the team that it counts for.
        ace: where it runs.
        user: whose it is.
        has_begun: whether it has ever run.
        limit_s: seconds after which the platform ends it.
    """

    job: Job
    number: int
    gpus: int | None = None
    cpus: int | None = None
    memory_bytes: int | None = None
    instance: str = ""
    team: str = ""
    ace: str = ""
    user: str = ""
    has_begun: bool = False
    limit_s: int | None = None


def read_answer(text: str) -> Any:
    """The JSON that a command printed; it may stand behind other lines, such as that there is a new version.

    Raises:
        ParseError: there is none, or it is cut.
    """
    lines = text.splitlines(keepends=True)
    start = next((number for number, line in enumerate(lines) if line.lstrip()[:1] in ("[", "{")), None)
    if start is None:
        raise ParseError(f"ngc printed {text[:200]!r}; expected JSON")
    try:
        return load_json("".join(lines[start:]))
    except ValueError as error:
        raise ParseError(f"ngc printed {text[:200]!r}: {error}") from error


def parse_jobs(text: str, org: str | None = None) -> list[Found]:
    """Read what ``ngc batch list`` printed, the oldest first.

    Args:
        text: what it printed.
        org: the organization, which becomes a part of each job's id.

    Raises:
        ParseError: it is not of the documented form.
    """
    rows = read_answer(text)
    if not isinstance(rows, list):
        raise ParseError(f"ngc batch list printed {text[:200]!r}; expected a list of jobs")
    return sorted((_found(row, org) for row in rows), key=lambda found: found.number)


def parse_job(text: str, org: str | None = None) -> Found:
    """Read what ``ngc batch info`` or ``ngc batch run`` printed; older ones print the job itself.

    Raises:
        ParseError: it is not of the documented form.
    """
    answer = read_answer(text)
    if not isinstance(answer, dict):
        raise ParseError(f"ngc printed {text[:200]!r}; expected a job")
    return _found(answer.get("job", answer), org)


def by_tasks(found: Sequence[Found]) -> Iterator[Found]:
    """The newest job of each name and task; tasks of one name have the first one's id, as an array's have."""
    newest = {(one.job.name, one.job.task): one for one in sorted(found, key=lambda one: one.number)}
    first: dict[str, str] = {}
    for (name, task), one in sorted(newest.items(), key=lambda item: item[1].number):
        first.setdefault(name, one.job.job_id)
        yield one if task is None else replace(one, job=replace(one.job, job_id=first[name]))


def explain(stderr: str, exit_code: int) -> str:
    """Why ``ngc`` failed, in its own words."""
    if exit_code == _NO_PROGRAM:
        return (
            "NVIDIA's program ngc is not found in a login shell here; install the NGC CLI, put it "
            "into PATH in ~/.profile, and run `ngc config set`"
        )
    # With JSON its errors are JSON, too; other words stand before and behind it.
    text = _JSON_ERROR.sub(lambda found: _unquoted(found[1]), stderr)
    lines = dict.fromkeys(line.strip() for line in text.splitlines() if line.strip())
    return "; ".join(lines)[:600] or f"it ended with exit code {exit_code}"


def _unquoted(word: str) -> str:
    try:
        return str(load_json(word))
    except ValueError:
        return word


def _found(row: Any, org: str | None) -> Found:
    try:
        return _read(row, org)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ParseError(f"ngc printed a job of another form ({error!r}): {str(row)[:200]}") from error


def _read(row: Mapping[str, Any], org: str | None) -> Found:
    definition, status = row.get("jobDefinition") or {}, row.get("jobStatus") or {}
    number = row["id"]
    if type(number) is not int or number < 0:
        raise ValueError(f"id {number!r}")
    word = str(status.get("status") or "UNKNOWN")
    state = _STATES.get(word, State.UNKNOWN)
    started_s, ended_s = _seconds(status.get("startedAt")), _seconds(status.get("endedAt"))
    limit_s = _whole((definition.get("runPolicy") or {}).get("totalRuntimeSeconds"))
    elapsed_s = _elapsed_s(status, started_s, ended_s)
    if word == "KILLED_BY_SYSTEM" and limit_s and elapsed_s is not None and elapsed_s >= limit_s - 2:
        state = State.TIMEOUT
    labels, resources = _labels(row), definition.get("resources") or {}
    own_limit_s = limit_s - SLACK_S if limit_s and limit_s > SLACK_S and labels else limit_s
    memory_mib = _whole(resources.get("systemMemory"))
    job = Job(
        job_id=f"{number}@{org}" if org else str(number),
        name=str(definition.get("name") or ""),
        state=state,
        native_state=word,
        elapsed_s=elapsed_s,
        pending_reason=_reason(word, status) if state is State.PENDING else None,
        task=_task(labels),
        started_s=started_s,
        ended_s=ended_s if state.is_over else None,
        node=_node(status),
        limit_s=own_limit_s,
    )
    return Found(
        job=job,
        number=number,
        gpus=_whole(resources.get("gpus")),
        cpus=_whole(resources.get("cpuCores")),
        memory_bytes=memory_mib * 1024 * 1024 if memory_mib else None,
        instance=str(resources.get("name") or (row.get("aceResourceInstance") or "")),
        team=str(row.get("teamName") or ""),
        ace=str(row.get("aceName") or ""),
        user=str(row.get("submittedByUser") or ""),
        has_begun=started_s is not None,
        limit_s=limit_s,
    )


def _reason(word: str, status: Mapping[str, Any]) -> str:
    details = status.get("statusDetails")
    return f"{word}: {details}"[:200] if isinstance(details, str) and details else word


def _labels(row: Mapping[str, Any]) -> list[str]:
    labels = row.get("labels") or (row.get("jobDefinition") or {}).get("labels") or {}
    user = labels.get("userLabels") or {}
    values = user.get("values") if isinstance(user, Mapping) else user
    return [str(value) for value in values or []]


def _task(labels: Sequence[str]) -> int | None:
    numbers = [label.removeprefix(TASK_LABEL) for label in labels if label.startswith(TASK_LABEL)]
    return int(numbers[0]) if numbers and re.fullmatch(r"[0-9]{1,9}", numbers[0]) else None


def _node(status: Mapping[str, Any]) -> str | None:
    nodes = status.get("selectedNodes") or []
    names = (node.get("name") or node.get("ipAddress") for node in nodes)
    return ",".join(str(name) for name in names if name)[:200] or None


def _elapsed_s(status: Mapping[str, Any], started_s: int | None, ended_s: int | None) -> int | None:
    total_s = _whole(status.get("totalRuntimeSeconds"))
    if total_s or started_s is None:
        return total_s
    return max((ended_s or int(datetime.now(timezone.utc).timestamp())) - started_s, 0)


def _seconds(moment: object) -> int | None:
    found = _MOMENT.fullmatch(moment) if isinstance(moment, str) else None
    if found is None:
        return None
    return int(datetime.fromisoformat(found[1]).replace(tzinfo=timezone.utc).timestamp())


def _whole(value: object) -> int | None:
    # Cores and seconds come as numbers with a fraction, too.
    return (
        int(value) if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0 else None
    )
