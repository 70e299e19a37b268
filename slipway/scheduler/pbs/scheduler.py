"""PBS over a connection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from slipway.errors import JobError, ParseError, RemoteError
from slipway.host.host import Host
from slipway.progress import Progress
from slipway.resources import Resources
from slipway.scheduler.accounts import Accounted, AccountQuery
from slipway.scheduler.base import JobQuery, Node, QueryResult, Submission
from slipway.scheduler.limits import ResourceRequest
from slipway.scheduler.pbs import check
from slipway.scheduler.pbs.answers import parts
from slipway.scheduler.pbs.attributes import parse_jobs
from slipway.scheduler.pbs.commands import cancel_command, own_jobs_command, submit_command
from slipway.scheduler.pbs.directives import directives
from slipway.scheduler.pbs.name import own_name
from slipway.scheduler.pbs.node import join_command, node_command, parse_hosts
from slipway.scheduler.pbs.option import as_line, as_word
from slipway.scheduler.pbs.query import query_jobs
from slipway.scheduler.pbs.queues import find_queues
from slipway.scheduler.pbs.resources import own
from slipway.scheduler.pbs.site import PbsSite
from slipway.scheduler.pbs.submission import parse_submission
from slipway.scheduler.pbs.usage import find_memory, find_usage
from slipway.scheduler.queues import ClusterQueues, Start
from slipway.scheduler.usage import UsageAnswer
from slipway.site import Site


class Pbs:
    """PBS, as :class:`slipway.scheduler.base.Scheduler` describes it."""

    title = "PBS"
    # qsub itself waits for a busy server.
    submit_s = 150
    lost_s = 300

    def directives(
        self,
        *,
        name: str,
        log: PurePosixPath,
        resources: Resources,
        site: Site,
        shortest_minutes: int | None = None,
    ) -> list[str]:
        """The options of qsub, in order."""
        return directives(
            name=name,
            log=log,
            resources=own(resources),
            site=_own_site(site),
            shortest_minutes=shortest_minutes,
        )

    def script_lines(self, options: Sequence[str]) -> list[str]:
        """The lines of ``#PBS``."""
        return [f"#PBS {as_line(option)}" for option in options]

    def submit_command(self, script: PurePosixPath, options: Sequence[str]) -> list[str]:
        """The argv that calls qsub."""
        return submit_command(script, options)

    def mail_options(self, address: str | None) -> list[str]:
        """PBS's mail at a job's end, also where it was aborted; of an array it is one."""
        return [as_word("m", "ae"), *([as_word("M", address)] if address else [])]

    def read_submission(self, exit_code: int, stdout: str, stderr: str) -> Submission:
        """What came of it, by what qsub answered."""
        return parse_submission(exit_code, stdout, stderr)

    def query(self, host: Host, wanted: Sequence[JobQuery]) -> QueryResult:
        """How jobs stand, by ``qstat``."""
        return query_jobs(host, wanted)

    def usage(self, host: Host, wanted: Sequence[JobQuery]) -> UsageAnswer:
        """What jobs used, by ``qstat``, as long as it knows them."""
        return find_usage(host, wanted)

    def given_memory(self, host: Host, wanted: Sequence[JobQuery]) -> Mapping[str, int]:
        """By ``qstat``."""
        return find_memory(host, wanted)

    def accounted(self, host: Host, query: AccountQuery) -> Accounted:
        """PBS's accounting is files of the server's, which no user can read."""
        raise RemoteError(
            f"{host.target}: PBS has no accounting that a user could ask (its records are files of the "
            "server's); `invoke status` has your own runs"
        )

    def active_names(self, host: Host) -> set[str] | None:
        """The names of the user's jobs that wait or run; ``None`` where PBS cannot be asked."""
        result = host.run_in_login_shell(own_jobs_command())
        if not result.ok:
            return None
        return {own_name(one.get("Job_Name", ""), None) for one in parse_jobs(result.stdout).values()}

    def cancel(self, host: Host, job_ids: Sequence[str], *, only_waiting: bool = False) -> None:
        """Cancel jobs."""
        for some in parts(job_ids):
            result = host.run_in_login_shell(cancel_command(some, only_waiting=only_waiting))
            if not result.ok:
                what = f"job {some[0]} was" if len(some) == 1 else "some jobs were"
                raise RemoteError(f"{host.target}: {what} not cancelled: {result.stderr.strip()}")

    def check(self, host: Host, request: ResourceRequest, site: Site, progress: Progress) -> None:
        """Refuse where there is another PBS than the site's file says; qsub refuses what no queue has."""
        check.check_dialect(host, _own_site(site))

    def check_commands(self, request: ResourceRequest, site: Site) -> list[list[str]]:
        """Nothing that is known beforehand."""
        return []

    def queues(self, host: Host) -> ClusterQueues:
        """Queues by ``qstat -Q`` and ``pbsnodes``."""
        return find_queues(host)

    def most_tasks(self, host: Host, resources: Resources) -> int | None:
        """By the server's ``max_array_size`` and the queue's."""
        return check.find_most_tasks(host, own(resources))

    def find_starts(self, host: Host, wanted: Sequence[Resources], site: Site) -> list[Start]:
        """PBS does not tell it of a job that was not submitted."""
        names = ", ".join(str(resources.partition) for resources in wanted)
        raise JobError(
            "--partition auto: PBS does not say when a job would begin that was not submitted; name one of "
            f"{names} (`invoke queues {site.name}` shows what is free now)"
        )

    def describe_resources(self, host: Host, request: ResourceRequest) -> str:
        """What was asked for, and what the queues offer."""
        return check.describe_queues(host, request)

    def run_on_node(self, name: str, resources: Resources, argv: Sequence[str]) -> list[str]:
        """The argv that runs it in a job of its own, in a login shell, which finds qsub."""
        return node_command(name, own(resources), argv)

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
        """The argv of ssh to the job's node, in a login shell; it hands on each byte at once."""
        return join_command(job_id, argv, task=task, node=node, terminal=terminal)

    def nodes(self, host: Host, nodes: str) -> list[Node]:
        """The nodes of a list, by their names."""
        found = parse_hosts(nodes)
        if not found:
            raise ParseError(f"{host.target}: {nodes!r} names no node")
        return found


def _own_site(site: Site) -> PbsSite:
    if not isinstance(site, PbsSite):
        raise TypeError(f"{site.name} is no site with PBS")
    return site
