"""When SLURM would begin a job: ``sbatch --test-only``, which submits nothing. Each uses up a job's id."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import PurePosixPath

from slipway.errors import ParseError
from slipway.host.host import Host
from slipway.scheduler.queues import Start
from slipway.scheduler.slurm.answers import run_all
from slipway.scheduler.slurm.directives import directives
from slipway.scheduler.slurm.parse import parse_submission
from slipway.scheduler.slurm.resources import SlurmResources
from slipway.scheduler.slurm.rows import parse_number
from slipway.scheduler.slurm.site import SlurmSite
from slipway.shell import Result

_NAME = "slipway-test-only"
# On standard error: "Job 7 to start at 2026-01-31T10:00:00 using 2 processors on nodes n1 in partition p".
_STARTS = re.compile(r"Job \S+ to start at (\S+)")
_FORMAT = "%Y-%m-%dT%H:%M:%S"


def now_command() -> list[str]:
    """Ask for the cluster's time: in seconds since 1970, and by its own clock."""
    return ["date", f"+slipway|%s|{_FORMAT}"]


def trial_command(resources: SlurmResources, site: SlurmSite) -> list[str]:
    """Ask when a job that asks for this would begin.

    Raises:
        JobError: the options contradict each other.
    """
    options = directives(name=_NAME, log=PurePosixPath("/dev/null"), resources=resources, site=site)
    return ["sbatch", "--test-only", *options, "--wrap=:"]


def find_starts(host: Host, wanted: Sequence[SlurmResources], site: SlurmSite) -> list[Start]:
    """When jobs that ask for this would begin, in order, by one round trip."""
    commands = [now_command(), *(trial_command(resources, site) for resources in wanted)]
    now, *answers = run_all(host, commands)
    clock = parse_now(now.stdout)
    return [parse_trial(answer, *clock) for answer in answers]


def parse_now(stdout: str) -> tuple[int, datetime]:
    """Read the answer to :func:`now_command`.

    Raises:
        ParseError: it is of another form.
    """
    match = re.search(r"slipway\|([0-9]{1,12})\|(\S+)", stdout)
    clock = _read(match[2]) if match else None
    if match is None or clock is None:
        raise ParseError(f"date printed {stdout[:200]!r}; expected the time")
    return int(match[1]), clock


def parse_trial(result: Result, now_s: int, now: datetime) -> Start:
    """When the job would begin, by what ``sbatch --test-only`` printed.

    Args:
        result: its answer.
        now_s: the cluster's time, seconds since 1970.
        now: the same by the cluster's clock; some SLURMs print that.
    """
    match = _STARTS.search(f"{result.stderr}\n{result.stdout}")
    in_s = _until(match[1], now_s, now) if match and result.ok else None
    if in_s is not None:
        return Start(in_s=max(in_s, 0))
    refusal = parse_submission(result.exit_code, "", result.stderr).refusal
    return Start(refusal=refusal or "sbatch did not say when it would begin")


def _until(text: str, now_s: int, now: datetime) -> int | None:
    if (seconds := parse_number(text)) is not None:
        return seconds - now_s
    then = _read(text)
    return None if then is None else int((then - now).total_seconds())


def _read(text: str) -> datetime | None:
    # Both times are by the cluster's clock, whose zone it does not print: only their difference counts.
    try:
        return datetime.strptime(text, _FORMAT).replace(tzinfo=timezone.utc)
    except ValueError:
        return None
