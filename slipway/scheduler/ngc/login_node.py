"""The login-node job: it sleeps in an image with the workspace mounted, for whoever runs something in it.

The platform has no login node. A job ends after a week at most, so that another takes its place before. Pure.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone

from slipway.scheduler.ngc.commands import JSON, LABEL, PROGRAM, list_command, runtime_word
from slipway.scheduler.ngc.options import DATASETS
from slipway.scheduler.ngc.parse import Found
from slipway.scheduler.ngc.site import Platform

NAME = "slipway-login-node"
_LABEL = f"{LABEL}_login_node"
# An hour less than the week after which the platform ends a job.
HOURS = 167
# A first process has no other answer to SIGTERM than its own.
_SLEEP = "trap 'exit 0' TERM; while :; do sleep 60 & wait $!; done"


def start_command(platform: Platform, image: str, instance: str, hours: int, priority: str) -> list[str]:
    """The argv that asks for one.

    Args:
        platform: where.
        image: its name in the registry.
        instance: on which instance.
        hours: for how long.
        priority: LOW, NORMAL or HIGH.
    """
    datasets = (f"--datasetid={number}:{DATASETS}/{name}" for name, number in platform.datasets.items())
    return [
        PROGRAM,
        "batch",
        "run",
        JSON,
        f"--name={NAME}",
        *platform.where,
        f"--instance={instance}",
        f"--priority={priority}",
        "--preempt=RUNONCE",
        f"--total-runtime={runtime_word(hours * 3600)}",
        f"--result={platform.result}",
        f"--workspace={platform.workspace}:{platform.mount}:RW",
        *datasets,
        f"--label={LABEL}",
        f"--label={_LABEL}",
        f"--image={image}",
        f"--commandline={_SLEEP}",
    ]


def find_command(platform: Platform) -> list[str]:
    """The argv that asks for those that there are."""
    since = datetime.now(timezone.utc) - timedelta(days=30)
    return list_command(platform.where, since=since, label=_LABEL)


def alive(found: Sequence[Found]) -> list[Found]:
    """Those that wait or run, the newest last."""
    return [one for one in found if one.job.name == NAME and not one.job.state.is_over]


def left_s(found: Found, now: float | None = None) -> int | None:
    """For how many seconds it still runs; ``None`` where it has not begun, or has no limit."""
    started_s, limit_s = found.job.started_s, found.limit_s
    if started_s is None or limit_s is None:
        return None
    return max(started_s + limit_s - int(time.time() if now is None else now), 0)
