"""Runs: the record of one submission, here and on the cluster."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from enum import Enum
from functools import cached_property
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from slipway.checked import Moment, Text, Whole
from slipway.scheduler.base import State
from slipway.scheduler.usage import Usage

if TYPE_CHECKING:
    from slipway.host.scratch import Scratch

# No vowels, so that no words come out, and nothing that is read as something else.
_LETTERS = "bcdfghjkmnpqrstvwxz23456789"

# What a scheduler's id of a job may look like; it becomes an argument of the scheduler's commands.
JOB_ID = re.compile(r"\w[\w.@\[\]-]{0,199}")
# The site of runs that ran on the machine of their record; it is none that has a file.
LOCAL = "this-machine"


class Reason(str, Enum):
    """Why a run ended as it did."""

    OK = "ok"
    PROGRAM_ERROR = "program-error"
    TIME_LIMIT = "time-limit"
    CANCELLED = "cancelled"
    PREEMPTED = "preempted"
    OUT_OF_MEMORY = "out-of-memory"
    NODE_FAILURE = "node-failure"
    LAUNCH_FAILURE = "launch-failure"
    # SLURM has forgotten the job, and its folder is gone.
    UNKNOWN = "unknown"


class Shell(str, Enum):
    """When a job ends that is there for a shell: one that runs whatever joins it, and nothing else."""

    # With the last shell, also where its connection is cut.
    ENDS = "ends"
    # At its time limit, or when it is cancelled.
    STAYS = "stays"


@dataclass(frozen=True, kw_only=True)
class Status:
    """How a run stands.

    Attributes:
        state: what is believed.
        reason: a :class:`Reason`; ``None`` as long as the run is not over.
        pending_reason: why it waits, in the scheduler's own words.
        exit_code: the program's; 128 and the signal where one killed it.
        signal: the signal that killed the program.
        elapsed_s: seconds that the last attempt has run.
        native_state: the scheduler's own word for the state.
        script_reason: what the job script itself says.
        note: what else there is to know, such as that these two disagree, or why nobody could be asked.
        started_s: when the last attempt began, in seconds since 1970; of an array its first task.
        ended_s: when it ended, likewise; of an array its last task.
        expected_s: when a waiting job is to begin, likewise: what the scheduler thinks now, which may change.
        node: the list of its nodes, as the scheduler writes it.
        limit_s: its time limit.
        link: of a run that goes on after its time limit, which link it is in, from 1.
        links: how many it has at most.
        missing_since_s: since when SLURM has not known the job that it once accepted, in seconds since 1970.
    """

    state: State
    reason: Text | None = None
    pending_reason: Text | None = None
    exit_code: Whole | None = None
    signal: Whole | None = None
    elapsed_s: Whole | None = None
    native_state: Text | None = None
    script_reason: Text | None = None
    note: Text | None = None
    started_s: Whole | None = None
    ended_s: Whole | None = None
    expected_s: Whole | None = None
    node: Text | None = None
    limit_s: Whole | None = None
    link: Whole | None = None
    links: Whole | None = None
    missing_since_s: Whole | None = None

    @property
    def wait_code(self) -> int:
        """What somebody who waited is to exit with: the job's own exit code, and never 0 for a failure."""
        if self.reason == Reason.OK:
            return 0
        return self.exit_code or 1


@dataclass(frozen=True, kw_only=True)
class Run:
    """Everything that a run was made of. It is written before the job is submitted; record.py has its form.

    Attributes:
        submitted: when, with its time zone.
        resource_origins: where each of its resources was written, by their names; older records have none.
        status: how it stands; of an array, by all its tasks.
        task_indices: of an array.
        task_statuses: how each of them stands, by its index, as far as that was asked.
        name: a short label that the user gave it.
        usage: what it used, once it is over and accounting has it; of an array, all its tasks together.
        task_usages: what each task of an array used, by its index.
        usage_tries: how often accounting was asked for that and did not have it.
        usage_asked_s: when it was last asked, in seconds since 1970.
        parent: the id of the run that this one continues or repeats.
        shell: a :class:`Shell`, where it is there for one; its arguments are then what is run in it first.
        sweep: the id of the sweep that it belongs to.
        elements: what sets each task of an array apart, by its index, where they have their own arguments;
            ``args`` is then what those were made from.
        bundles: the lanes of each job of the array, by its index there, where tasks share jobs; see
            :class:`slipway.job.bundles.Bundles`.
        minutes: how long each task may take, where tasks share jobs and that is known.
        packed: the packed datasets that it sees, and the file of each in ``packed/``.
        tries: the ids of the runs that it tries once more, the first one first. What the last of them has
            written is ``/previous``.
        kept: its copy in the home folder on the cluster.
        removed_s: when its folder in scratch was removed from here, in seconds since 1970.
        session: the terminal session that submitted it, on the machine that did; see
            :func:`slipway.tty.terminal_session`.
        unknown: what its record has besides, by a Slipway that knows more; it is written down again.
    """

    run_id: Text
    site: Text
    profile: Text
    submitted: Moment
    program: tuple[Text, ...]
    args: tuple[Text, ...]
    commit: Text | None
    dirty: bool
    image_id: Text
    sif: Text
    sif_sha256: Text
    code: Text
    resources: Mapping[str, Any]
    profile_values: Mapping[str, Any]
    site_values: Mapping[str, Any]
    run_dir: Text
    resource_origins: Mapping[str, Text] = field(default_factory=dict)
    job_id: Text | None = None
    status: Status = Status(state=State.SUBMITTING)
    task_indices: tuple[Whole, ...] = ()
    task_statuses: Mapping[int, Status] = field(default_factory=dict)
    name: Text | None = None
    usage: Usage | None = None
    task_usages: Mapping[int, Usage] = field(default_factory=dict)
    usage_tries: Whole = 0
    usage_asked_s: Whole | None = None
    parent: Text | None = None
    shell: Text | None = None
    sweep: Text | None = None
    elements: Mapping[int, Mapping[Text, Text]] = field(default_factory=dict)
    bundles: Mapping[int, tuple[tuple[Whole, ...], ...]] = field(default_factory=dict)
    minutes: Mapping[int, Whole] = field(default_factory=dict)
    packed: Mapping[Text, Text] = field(default_factory=dict)
    tries: tuple[Text, ...] = ()
    kept: Text | None = None
    removed_s: Whole | None = None
    session: Text | None = None
    unknown: Mapping[str, Any] = field(default_factory=dict)

    @property
    def tasks(self) -> Sequence[int | None]:
        """The indices of an array's tasks; one ``None`` for a run that is no array."""
        return self.task_indices or (None,)

    def status_of(self, task: int | None) -> Status:
        """How one task stands, as far as that was asked; ``None`` is a run that is no array."""
        return self.status if task is None else self.task_statuses.get(task, self.status)

    @property
    def array_tasks(self) -> Sequence[int | None]:
        """The indices of the scheduler's array: those of the tasks, unless tasks share jobs."""
        return tuple(self.bundles) or self.tasks

    def array_task(self, task: int | None) -> int | None:
        """The index in the scheduler's array of the job that a task is in."""
        return self._jobs.get(task, task) if task is not None and self.bundles else task

    @property
    def width(self) -> int:
        """How many tasks run side by side in one job, at most."""
        return max(map(len, self.bundles.values()), default=1)

    @cached_property
    def _jobs(self) -> Mapping[int, int]:
        return {task: job for job, lanes in self.bundles.items() for lane in lanes for task in lane}

    def resources_of(self, task: int | None) -> Mapping[str, Any]:
        """What a task has asked for; where tasks share jobs, each has its own time."""
        own = self.minutes.get(task) if task is not None else None
        return self.resources if own is None else {**self.resources, "time": str(own)}

    @property
    def state(self) -> State:
        """How it stands."""
        return self.status.state

    @property
    def shown(self) -> str:
        """What a person is told that it is: its id, and its label where it has one."""
        return f"{self.run_id} ({self.name})" if self.name else self.run_id

    @property
    def scheduler(self) -> str:
        """The name of the scheduler that it was given to."""
        return str(self.site_values.get("scheduler", "slurm"))


class RunPaths:
    """Where the files of one run lie on the cluster."""

    def __init__(self, folder: PurePosixPath) -> None:
        # Nothing more: there may be tens of thousands of tasks.
        self.folder = folder

    @property
    def record(self) -> PurePosixPath:
        """The run's record."""
        return self.folder / "run.json"

    @property
    def script(self) -> PurePosixPath:
        """The job script."""
        return self.folder / "job.sh"

    @property
    def argv(self) -> PurePosixPath:
        """The program and its arguments."""
        return self.folder / "argv"

    @property
    def elements(self) -> PurePosixPath:
        """The same where each task of an array has its own."""
        return self.folder / "elements"

    @property
    def elements_index(self) -> PurePosixPath:
        """Where each task's words begin in there."""
        return self.folder / "elements.index"

    @property
    def bundles(self) -> PurePosixPath:
        """Which tasks share a job."""
        return self.folder / "bundles"

    @property
    def environment(self) -> PurePosixPath:
        """The program's own variables."""
        return self.folder / "environment"

    @property
    def diff(self) -> PurePosixPath:
        """How the code differed from its commit."""
        return self.folder / "code.diff"

    @property
    def slurm_log(self) -> PurePosixPath:
        """The scheduler's own words."""
        return self.folder / "slurm.log"

    @property
    def claim(self) -> PurePosixPath:
        """The submission lock; see submission_lock.py."""
        return self.folder / "claim"

    @property
    def answer(self) -> PurePosixPath:
        """What sbatch answered."""
        return self.folder / "answer"

    @classmethod
    def of(cls, scratch: Scratch, run_id: str) -> RunPaths:
        """The paths of a run that is to be made."""
        return cls(scratch.runs / run_id)

    def of_task(self, index: int | None) -> RunPaths:
        """The folder in which a task of an array has its attempts; the run's own for ``None``."""
        return self if index is None else RunPaths(self.folder / f"task-{index}")

    def log(self, attempt: int) -> PurePosixPath:
        """What the program printed, both outputs."""
        return self.folder / f"attempt-{attempt}" / "log"

    def result(self, attempt: int) -> PurePosixPath:
        """How the attempt ended, as the job script saw it."""
        return self.folder / f"attempt-{attempt}" / "result.json"


def new_run_id(profile: str, now: datetime) -> str:
    """A fresh id, such as ``k3f9-cpu-20260131-142530``.

    The random part comes first, so that a short prefix will do.
    """
    letters = "".join(secrets.choice(_LETTERS) for _ in range(4))
    return f"{letters}-{profile}-{now.astimezone(timezone.utc):%Y%m%d-%H%M%S}"
