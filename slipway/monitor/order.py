"""Orders: all that a monitor on the cluster has to know, as one JSON text. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath
from typing import Any

from slipway.job.run import Run, Status
from slipway.job.submission_lock import (
    NO_CODE,
    NO_DATA,
    NO_IMAGE,
    TOO_LATE,
    give_up_command,
    locked_submit_command,
    make_run_command,
)
from slipway.monitor.decide import NAMES_NODE, OF_A_NODE
from slipway.monitor.failure import PATTERNS
from slipway.monitor.ladder import LadderMaker
from slipway.monitor.rule import Failure
from slipway.monitor.spending import each_hour, elapsed_s
from slipway.monitor.there.slurm import NAMES, SINCE
from slipway.scheduler.find import find_scheduler
from slipway.scheduler.slurm.commands import accounting_command, queue_command, show_command

# A run, and which of its tasks.
_Where = tuple[str, int | None]
_VERSION = 1
_REFUSALS = {
    NO_IMAGE: "its image has been removed from the cluster",
    NO_CODE: "its code has been removed from the cluster",
    NO_DATA: "packed data of it have been removed from the cluster",
    TOO_LATE: "it was given up by somebody else in the meantime",
}


@dataclass(frozen=True, kw_only=True)
class OrderedElement:
    """An element: how a person knows it, where it was and, last, where it is."""

    label: str
    tries: Sequence[_Where]


@dataclass(frozen=True, kw_only=True)
class MonitorJob:
    """The job that a monitor is: its options, its script, and how long one of them may take, in seconds."""

    options: Sequence[str]
    script: str
    limit_s: float


@dataclass(frozen=True, kw_only=True)
class OrderMaker:
    """Makes orders for one site.

    Args:
        ladders: what follows each failure of a run.
    """

    ladders: LadderMaker

    def make(
        self,
        elements: Sequence[OrderedElement],
        runs: Mapping[str, Run],
        interval_s: float | None = None,
        job: MonitorJob | None = None,
        throttle: int | None = None,
    ) -> bytes:
        """An order.

        Args:
            elements: what is monitored.
            runs: the runs of all of their tries, as far as there is a record of them.
            interval_s: seconds between two looks; ``None`` for a pause that grows while nothing changes.
            job: the job that the monitor is; ``None`` where it is none.
            throttle: so many of the elements run at once, at most.

        Raises:
            JobError: a run has asked for something that cannot be asked for any more.
        """
        site, budget = self.ladders.site, self.ladders.budget
        newest = {one.tries[-1][0] for one in elements}
        plans = {run_id: self.ladders.plan(runs[run_id]) for run_id in sorted(newest) if run_id in runs}
        tries = {run_id for one in elements for run_id, _ in one.tries}
        scheduler = find_scheduler(site.scheduler)
        rules = site.monitor
        order = {
            "version": _VERSION,
            "commands": {
                "queue": queue_command([NAMES]),
                "accounting": accounting_command([NAMES], SINCE),
                "show": show_command([]),
            },
            "scripts": _scripts(),
            "refusals": {str(code): words for code, words in _REFUSALS.items()},
            "too_late": TOO_LATE,
            "submit_s": scheduler.submit_s,
            "lost_s": scheduler.lost_s,
            "patterns": PATTERNS,
            "names_node": [failure.value for failure in NAMES_NODE],
            "of_a_node": [failure.value for failure in OF_A_NODE],
            "exclude_after": {failure.value: rules.of(failure).exclude_node_after for failure in Failure},
            "most_tries": budget.most_tries,
            "gpu_hours": budget.gpu_hours,
            "cost": budget.cost,
            "currency": site.currency or "",
            "interval_s": interval_s,
            "throttle": throttle,
            "job": None if job is None else asdict(job),
            "elements": [
                {"label": one.label, "tries": [list(where) for where in one.tries]} for one in elements
            ],
            "runs": {
                run_id: self._run(runs[run_id], run_id in plans) for run_id in sorted(tries & set(runs))
            },
            "plans": plans,
            "texts": self.ladders.texts,
        }
        return json.dumps(order, indent=1).encode("ascii")

    def _run(self, run: Run, has_plan: bool) -> dict[str, Any]:
        statuses = {"run": run.status} if not run.task_indices else run.task_statuses
        known = {
            str(name): {"status": _status(status), "spent_s": elapsed_s(run, _task(name))}
            for name, status in statuses.items()
            if status.state.is_over
        }
        return {
            "job_id": run.job_id,
            "name": run.name,
            "submitted": run.submitted.isoformat(),
            "task_indices": run.task_indices,
            "tries": run.tries,
            "resources": run.resources,
            "plan": run.run_id if has_plan else None,
            "rate": [each or 0.0 for each in each_hour(run.resources, self.ladders.site)],
            "known": known,
        }


def _scripts() -> dict[str, str]:
    """The shell's part of the submission lock: the third word of its commands."""
    nowhere = PurePosixPath("/")
    commands = {
        "make_run": make_run_command(nowhere, "", nowhere, nowhere),
        "submit": locked_submit_command(nowhere, [], 0),
        "give_up": give_up_command(nowhere),
    }
    return {name: command[2] for name, command in commands.items()}


def _status(status: Status) -> dict[str, Any]:
    return {
        "state": status.state.value,
        "reason": status.reason,
        "exit_code": status.exit_code,
        "elapsed_s": status.elapsed_s,
        "node": status.node,
        "script_reason": status.script_reason,
    }


def _task(name: object) -> int | None:
    return name if isinstance(name, int) else None
