"""The commands of ``ngc``. Nothing here runs anything.

They are those of NGC CLI 3 and 4 (`ngc batch`, `ngc workspace`), as its own help documents them. With
``--format_type json`` they print the service's own objects.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timezone

from slipway.scheduler.ngc.site import Platform

# The label that every job of Slipway bears, and what goes before the number of an array's task.
LABEL = "slipway"
TASK_LABEL = "slipway_task_"
# A login shell finds it.
PROGRAM = "ngc"
JSON = "--format_type=json"
_TIME = "%Y-%m-%d::%H:%M:%S"


def run_label(name: str) -> str:
    """The label that all jobs of a run bear; a label has nothing but letters, digits and ``_``."""
    return f"{LABEL}_{re.sub(r'[^A-Za-z0-9]', '_', name)}"[:256]


def task_label(task: int) -> str:
    """The label of an array's task."""
    return f"{TASK_LABEL}{task}"


def list_command(
    where: Sequence[str],
    *,
    since: datetime,
    until: datetime | None = None,
    label: str | None = None,
) -> list[str]:
    """Ask for the user's jobs that were created in a span; without one the last seven days are shown.

    Args:
        where: options that say in which organization, team and ACE.
        since: the beginning of the span.
        until: its end. Default: now.
        label: only those that have it; ``*`` and ``?`` stand for others.
    """
    span = [f"--begin-time={_time(since)}", *([f"--end-time={_time(until)}"] if until else [])]
    return [PROGRAM, "batch", "list", *where, JSON, *span, *([f"--label={label}"] if label else [])]


def info_command(where: Sequence[str], job_id: str) -> list[str]:
    """Ask for one job, whenever it was."""
    return [PROGRAM, "batch", "info", *where, JSON, job_id]


def kill_command(where: Sequence[str], job_ids: Sequence[str]) -> list[str]:
    """Ask for the end of jobs. It ends with 0 whatever came of it; refusals are on its standard error."""
    return [PROGRAM, "batch", "kill", *where, ",".join(job_ids)]


def log_command(where: Sequence[str], job_id: str) -> list[str]:
    """Print what a job has printed so far."""
    return [PROGRAM, "batch", "log", *where, job_id]


def exec_command(where: Sequence[str], job_id: str, commandline: str | None = None) -> list[str]:
    """Run a line of shell in a running job, or bash, at this terminal. Its exit code is not handed on."""
    line = [] if commandline is None else [f"--commandline={commandline}"]
    return [PROGRAM, "batch", "exec", *where, *line, job_id]


def ace_command(platform: Platform) -> list[str]:
    """Ask for the ACE, and which instances it has."""
    where = [option for option in platform.where if not option.startswith("--ace=")]
    return [PROGRAM, "ace", "info", *where, JSON, platform.ace]


def workspace_command(platform: Platform) -> list[str]:
    """Ask for the workspace."""
    return [PROGRAM, "workspace", "info", *platform.where, JSON, platform.workspace]


def runtime_word(seconds: int) -> str:
    """A time as ``--total-runtime`` has it."""
    return f"{seconds}S"


def split_id(job_id: str) -> tuple[str, list[str]]:
    """A job's number, and the option that says in which organization: ``123@org`` is of ``org``."""
    number, _, org = job_id.partition("@")
    return number, [f"--org={org}"] if org else []


def _time(moment: datetime) -> str:
    return moment.astimezone(timezone.utc).strftime(_TIME)
