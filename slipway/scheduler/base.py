"""What a scheduler is asked and what it answers: neutral values, and the protocol.

Another scheduler is one more module or package beside ``slurm/`` with a class of this protocol, and lines in
``find.py`` and ``choose.py``. Builders of commands and parsers are pure functions; the class runs them over a
connection. The seam is the question (:meth:`Scheduler.query`), not a command: each scheduler asks in its own
way.

An interactive job is a job like any other, which a person joins once it runs (:meth:`Scheduler.join`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from slipway.host.host import Host
    from slipway.progress import Progress
    from slipway.resources import Resources
    from slipway.scheduler.accounts import Accounted, AccountQuery
    from slipway.scheduler.limits import ResourceRequest
    from slipway.scheduler.queues import ClusterQueues, Start
    from slipway.scheduler.usage import UsageAnswer
    from slipway.site import Site


class State(str, Enum):
    """How a job stands, for any scheduler."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    COMPLETING = "COMPLETING"
    SUSPENDED = "SUSPENDED"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    TIMEOUT = "TIMEOUT"
    OUT_OF_MEMORY = "OUT_OF_MEMORY"
    NODE_FAIL = "NODE_FAIL"
    PREEMPTED = "PREEMPTED"
    # Written down here, but not yet known to the scheduler.
    SUBMITTING = "SUBMITTING"
    # The scheduler could not be asked, or its answer could not be read.
    UNKNOWN = "UNKNOWN"

    def __str__(self) -> str:
        """Its name alone; enumerations of text differ in this from one Python to the next."""
        return self.value

    @property
    def is_over(self) -> bool:
        """True where nothing will change any more."""
        return self._value_ in _OVER


# As words, whose hash is known; that of a member is computed each time, for tens of thousands of tasks.
_OVER = frozenset(
    ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "OUT_OF_MEMORY", "NODE_FAIL", "PREEMPTED"),
)


@dataclass(frozen=True, kw_only=True)
class Job:
    """What a scheduler knows of one job, or of one task of an array.

    Attributes:
        job_id: of an array, the whole array's.
        name: the job's name.
        state: how it stands.
        native_state: the scheduler's own word for that.
        exit_code: the batch script's.
        signal: what killed the batch script.
        elapsed_s: seconds that it has run.
        pending_reason: why it waits, in the scheduler's own words.
        task: its index in the array; ``None`` for a job that is none, or for those that are not named.
        started_s: when it began, in seconds since 1970.
        ended_s: when it ended, likewise; ``None`` as long as it is not over.
        expected_s: when the scheduler means to start it, likewise, where it waits and that is known.
        node: the list of its nodes, as the scheduler writes it: ``node[1-3]``.
        limit_s: its time limit.
    """

    job_id: str
    name: str
    state: State
    native_state: str | None = None
    exit_code: int | None = None
    signal: int | None = None
    elapsed_s: int | None = None
    pending_reason: str | None = None
    task: int | None = None
    started_s: int | None = None
    ended_s: int | None = None
    expected_s: int | None = None
    node: str | None = None
    limit_s: int | None = None


@dataclass(frozen=True, kw_only=True)
class JobQuery:
    """A job that is asked for.

    Attributes:
        name: the job's name, which is its run's id.
        submitted: when it was written down here.
        job_id: the scheduler's id; ``None`` where that is not known.
        tasks: the indices of an array's tasks; one ``None`` for a job that is no array.
        folder: its run's folder in scratch, where it is a run's.
        site_values: what its site's file said when it was submitted, as far as that is known.
    """

    name: str
    submitted: datetime
    job_id: str | None
    tasks: Sequence[int | None]
    folder: str | None = None
    site_values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class QueryResult:
    """What a scheduler knows of the jobs that were asked for.

    Attributes:
        jobs: by names and tasks.
        problem: why it could not be asked at all.
        history_problem: why its record of jobs that are over could not be asked.
    """

    jobs: Mapping[tuple[str, int | None], Job]
    problem: str | None = None
    history_problem: str | None = None

    def job(self, name: str, task: int | None) -> Job | None:
        """A job or a task of it; one without an index stands for all tasks that were not named."""
        return self.jobs.get((name, task)) or self.jobs.get((name, None))

    def may_be_over(self, query: JobQuery) -> bool:
        """True where no task is known to go on."""
        found = (self.job(query.name, task) for task in query.tasks)
        return all(job is None or job.state.is_over for job in found)

    def lacks(self, query: JobQuery) -> bool:
        """True where a task is not known."""
        return any(self.job(query.name, task) is None for task in query.tasks)


@dataclass(frozen=True, kw_only=True)
class Submission:
    """What came of a submission: an id, or the scheduler's reason to refuse it.

    Where there is neither, the job may be there all the same; it is to be looked for by its name.
    """

    job_id: str | None = None
    refusal: str | None = None


@dataclass(frozen=True, kw_only=True)
class Node:
    """A node: its name for the scheduler, and the name or address that the network has for it."""

    name: str
    address: str


class Scheduler(Protocol):
    """What gives jobs to nodes.

    Attributes:
        title: how it is called in words: ``SLURM``.
        submit_s: seconds after which a submission that has not answered is ended.
        lost_s: seconds after which a submission without an answer has made no job, if none is known.
    """

    title: str
    submit_s: int
    lost_s: int

    def directives(
        self,
        *,
        name: str,
        log: PurePosixPath,
        resources: Resources,
        site: Site,
        shortest_minutes: int | None = None,
    ) -> list[str]:
        """The options of a submission, in order.

        Args:
            name: the job's name.
            log: where the scheduler's own words go.
            resources: what is asked for.
            site: how the site wants it asked for.
            shortest_minutes: where tasks share the job, the time of the shortest that may run at its end.

        Raises:
            JobError: the options contradict each other.
        """

    def script_lines(self, options: Sequence[str]) -> list[str]:
        """The lines by which a job script has these options."""

    def submit_command(self, script: PurePosixPath, options: Sequence[str]) -> list[str]:
        """The argv that submits a script; the caller's submission lock runs it."""

    def mail_options(self, address: str | None) -> list[str]:
        """The options of a submission by which the scheduler itself sends a mail when the job ends.

        Args:
            address: whom to; ``None`` for the user, as the scheduler knows them.
        """

    def read_submission(self, exit_code: int, stdout: str, stderr: str) -> Submission:
        """What came of it, by what the command of :meth:`submit_command` answered."""

    def query(self, host: Host, wanted: Sequence[JobQuery]) -> QueryResult:
        """How jobs stand; all of them are asked for at once.

        Raises:
            SshError: the connection was lost.
        """

    def usage(self, host: Host, wanted: Sequence[JobQuery]) -> UsageAnswer:
        """What jobs that are over used, as far as that is accounted by now; all are asked for at once.

        Raises:
            SshError: the connection was lost.
            ParseError: the answer was cut off.
        """

    def given_memory(self, host: Host, wanted: Sequence[JobQuery]) -> Mapping[str, int]:
        """The bytes that jobs were given on each node, by their names, as far as that is known.

        Raises:
            SshError: the connection was lost.
            ParseError: the answer was cut off.
        """

    def accounted(self, host: Host, query: AccountQuery) -> Accounted:
        """What accounting has of many jobs, also those that Slipway has not submitted.

        Raises:
            RemoteError: there is no accounting that could be asked.
            ParseError: the answer was cut off.
            SshError: the connection was lost.
        """

    def active_names(self, host: Host) -> set[str] | None:
        """The names of all jobs of this user that wait or run; ``None`` where that cannot be found out.

        Raises:
            ParseError: the answer is not of the documented form.
        """

    def cancel(self, host: Host, job_ids: Sequence[str], *, only_waiting: bool = False) -> None:
        """Cancel jobs.

        Args:
            host: the connection.
            job_ids: their ids.
            only_waiting: not those that have begun meanwhile.

        Raises:
            RemoteError: that was refused for one of them at least.
        """

    def check(self, host: Host, request: ResourceRequest, site: Site, progress: Progress) -> None:
        """Refuse a request that would wait for ever with what the cluster has.

        Raises:
            JobError: it would.
        """

    def check_commands(self, request: ResourceRequest, site: Site) -> list[list[str]]:
        """What :meth:`check` asks in the login shell first, to be asked beforehand with other questions."""

    def queues(self, host: Host) -> ClusterQueues:
        """The partitions, with what is free and what waits, and what this user may have of them.

        Raises:
            RemoteError: they cannot be asked for.
            ParseError: the answer was cut off.
            SshError: the connection was lost.
        """

    def most_tasks(self, host: Host, resources: Resources) -> int | None:
        """How many tasks an array that asks for this may have; ``None`` where the scheduler does not say.

        Raises:
            SshError: the connection was lost.
        """

    def find_starts(self, host: Host, wanted: Sequence[Resources], site: Site) -> list[Start]:
        """When the scheduler would begin jobs that ask for this, in order; all are asked for at once.

        Raises:
            JobError: the options contradict each other.
            ParseError: the answer was cut off.
            SshError: the connection was lost.
        """

    def describe_resources(self, host: Host, request: ResourceRequest) -> str:
        """What was asked for and what the cluster has, for a job that was refused; a line for each."""

    def run_on_node(self, name: str, resources: Resources, argv: Sequence[str]) -> list[str]:
        """The argv that runs a program on a node to its end, and hands on what it prints."""

    def join(
        self,
        job_id: str,
        argv: Sequence[str],
        *,
        task: int | None = None,
        node: str | None = None,
        terminal: bool = False,
        unbuffered: bool = False,
    ) -> list[str]:
        """The argv that runs a program on a node of a running job, and ends with its exit code.

        Args:
            job_id: the job's id; of an array, the whole array's.
            argv: the program and its arguments.
            task: which task of an array.
            node: which of several nodes. Default: the job's first.
            terminal: whether it gets the terminal that this is started in.
            unbuffered: whether each of its bytes comes at once, and not line by line; its output looks like a
                terminal to it.
        """

    def nodes(self, host: Host, nodes: str) -> list[Node]:
        """The nodes of a list, as :attr:`Job.node` has it, in the job's order: one at least.

        Raises:
            RemoteError: the scheduler does not know them.
        """
