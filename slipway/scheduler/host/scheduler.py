"""A host's queue over a connection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from slipway.errors import JobError, ParseError, RemoteError
from slipway.host.host import Host
from slipway.progress import Progress
from slipway.quantity import mebibytes
from slipway.resources import Resources
from slipway.scheduler.accounts import Accounted, AccountQuery
from slipway.scheduler.base import JobQuery, Node, QueryResult, State, Submission
from slipway.scheduler.host.answer import read_jobs, read_offer, read_usage
from slipway.scheduler.host.program import as_word, ask, explain, queue_command
from slipway.scheduler.host.request import options, unused, wanted
from slipway.scheduler.host.site import HostSite
from slipway.scheduler.limits import ResourceRequest
from slipway.scheduler.queues import ClusterQueues, Start
from slipway.scheduler.usage import UsageAnswer
from slipway.site import Site

# Its program refuses with this one; with another it was killed, or could not be started.
_REFUSED = 1
_AT_ONCE = 500


class HostQueue:
    """The queue of a machine without a scheduler, as :class:`slipway.scheduler.base.Scheduler` describes it.

    The queue is Slipway's own, in ``there/``. Task spooler and pueue have to be installed, and know neither
    time limits nor lost machines; ``systemd-run`` has no queue, and its units end with the user's last login
    unless an administrator lets the user linger; ``at`` and ``batch`` are seldom installed, and know no GPUs.
    """

    title = "the queue"
    submit_s = 90
    lost_s = 180

    def directives(
        self,
        *,
        name: str,
        log: PurePosixPath,
        resources: Resources,
        site: Site,
        shortest_minutes: int | None = None,
    ) -> list[str]:
        """What is asked for, as words ``--key=value``."""
        return options(name=name, log=log, resources=resources, site=_own_site(site))

    def script_lines(self, options: Sequence[str]) -> list[str]:
        """Comments, for whoever reads the script."""
        return [f"#SLIPWAY {option}" for option in options]

    def submit_command(self, script: PurePosixPath, options: Sequence[str]) -> list[str]:
        """The argv of the queue's program."""
        return queue_command("submit", as_word(wanted(script, list(options))))

    def mail_options(self, address: str | None) -> list[str]:
        """Refuse: nothing here sends mail.

        Raises:
            JobError: always.
        """
        raise JobError(
            "a host has no scheduler that could send mail; `--notify desktop` and `--notify https://…` are "
            "told by whichever of `invoke status` and `invoke job --wait` sees the end"
        )

    def read_submission(self, exit_code: int, stdout: str, stderr: str) -> Submission:
        """The last line of numbers, or why not."""
        if exit_code == 0:
            ids = [line.strip() for line in stdout.splitlines() if line.strip().isdigit()]
            return Submission(job_id=ids[-1]) if ids else Submission()
        return Submission(refusal=explain(stderr, exit_code)) if exit_code == _REFUSED else Submission()

    def query(self, host: Host, wanted: Sequence[JobQuery]) -> QueryResult:
        """How jobs stand; those that wait begin, where there is a place."""
        try:
            jobs = [job for some in _parts(wanted) for job in read_jobs(ask(host, "query", *some))]
        except (RemoteError, ParseError) as error:
            return QueryResult(jobs={}, problem=str(error))
        return QueryResult(jobs={(job.name, job.task): job for job in jobs})

    def usage(self, host: Host, wanted: Sequence[JobQuery]) -> UsageAnswer:
        """What the process beside each job has seen of it."""
        usages = {}
        for some in _parts(wanted):
            for row in ask(host, "query", *some)["jobs"]:
                usage = read_usage(row) if State(row["state"]).is_over else None
                if usage is not None:
                    usages[row["name"], row.get("task")] = usage
        return UsageAnswer(usages=usages)

    def given_memory(self, host: Host, wanted: Sequence[JobQuery]) -> Mapping[str, int]:
        """What they have asked for; without that there is no limit."""
        rows = [row for some in _parts(wanted) for row in ask(host, "query", *some)["jobs"]]
        return {row["name"]: int(row["mem_mib"]) << 20 for row in rows if row.get("mem_mib")}

    def accounted(self, host: Host, query: AccountQuery) -> Accounted:
        """Refuse: there are no accounts.

        Raises:
            RemoteError: always.
        """
        raise RemoteError(
            f"{host.target}: a host without a scheduler keeps no accounts; `invoke status` has your runs"
        )

    def active_names(self, host: Host) -> set[str] | None:
        """The names of the jobs that wait or run; ``None`` where the queue does not answer."""
        try:
            jobs = read_jobs(ask(host, "query"))
        except RemoteError:
            return None
        return {job.name for job in jobs if not job.state.is_over}

    def cancel(self, host: Host, job_ids: Sequence[str], *, only_waiting: bool = False) -> None:
        """Cancel jobs."""
        for start in range(0, len(job_ids), _AT_ONCE):
            some = job_ids[start : start + _AT_ONCE]
            answer = ask(host, "cancel", *(["--waiting"] if only_waiting else []), *some)
            if answer.get("unknown"):
                raise RemoteError(
                    f"{host.target}: the queue does not know job {', '.join(answer['unknown'])}"
                )

    def check(self, host: Host, request: ResourceRequest, site: Site, progress: Progress) -> None:
        """Say what of a request means nothing here; what the machine does not have, the queue refuses."""
        left = ", ".join(unused(request.resources))
        if left:
            progress.note(f"{site.name} is a host without a scheduler, to which this means nothing: {left}")

    def check_commands(self, request: ResourceRequest, site: Site) -> list[list[str]]:
        """Nothing."""
        return []

    def queues(self, host: Host) -> ClusterQueues:
        """The machine, as the one queue that there is."""
        return ClusterQueues(queues=[read_offer(ask(host, "offer"))])

    def most_tasks(self, host: Host, resources: Resources) -> int | None:
        """As many as a run may have."""
        return None

    def find_starts(self, host: Host, wanted: Sequence[Resources], site: Site) -> list[Start]:
        """At once: nobody knows how long the jobs before it take."""
        return [Start(in_s=0) for _ in wanted]

    def describe_resources(self, host: Host, request: ResourceRequest) -> str:
        """What the machine has; what of it was asked for in vain, the queue says."""
        try:
            offer = read_offer(ask(host, "offer")).offer
        except (RemoteError, ParseError):
            return ""
        memory_gib = mebibytes(offer.max_mem or "0") / 1024
        gpus = sum((offer.max_gpus or {}).values())
        return f"\n  the machine has {offer.max_cpus} cpus, {memory_gib:.1f} GiB of memory and {gpus} GPUs"

    def run_on_node(self, name: str, resources: Resources, argv: Sequence[str]) -> list[str]:
        """The program itself, in a login shell: the host is the node."""
        return ["bash", "-lc", 'exec "$@"', "slipway", *argv]

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
        """The same, and of which job it is."""
        own = [f"SLIPWAY_JOB_ID={job_id}", *([] if task is None else [f"SLIPWAY_TASK={task}"])]
        return ["bash", "-lc", 'exec "$@"', "slipway", "env", *own, *argv]

    def nodes(self, host: Host, nodes: str) -> list[Node]:
        """The host itself, as it sees itself."""
        return [Node(name=nodes, address="127.0.0.1")]


def _parts(wanted: Sequence[JobQuery]) -> list[list[str]]:
    names = [query.name for query in wanted]
    return [names[start : start + _AT_ONCE] for start in range(0, len(names), _AT_ONCE)]


def _own_site(site: Site) -> HostSite:
    if not isinstance(site, HostSite):
        raise TypeError(f"{site.name} has a scheduler")
    return site
