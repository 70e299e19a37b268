"""SLURM over a connection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from slipway.errors import RemoteError
from slipway.host.host import Host
from slipway.progress import Progress
from slipway.resources import Resources
from slipway.scheduler.accounts import Accounted, AccountQuery
from slipway.scheduler.base import JobQuery, Node, QueryResult, Submission
from slipway.scheduler.limits import ResourceRequest
from slipway.scheduler.queues import ClusterQueues, Start
from slipway.scheduler.slurm import check
from slipway.scheduler.slurm.array_limit import find_most_tasks
from slipway.scheduler.slurm.commands import (
    cancel_command,
    node_command,
    partitions_command,
    queue_command,
    submit_command,
)
from slipway.scheduler.slurm.directives import directives
from slipway.scheduler.slurm.interactive import join_command
from slipway.scheduler.slurm.memory import find_memory
from slipway.scheduler.slurm.node import find_nodes
from slipway.scheduler.slurm.option import quote_option
from slipway.scheduler.slurm.parse import parse_queue, parse_submission
from slipway.scheduler.slurm.query import query_jobs
from slipway.scheduler.slurm.queues import find_queues
from slipway.scheduler.slurm.report import find_accounted
from slipway.scheduler.slurm.resources import own
from slipway.scheduler.slurm.site import SlurmSite
from slipway.scheduler.slurm.trial import find_starts
from slipway.scheduler.slurm.usage import find_usage
from slipway.scheduler.usage import UsageAnswer
from slipway.site import Site

# Their ids are words of one command.
_CANCELLED_AT_ONCE = 500


class Slurm:
    """SLURM, as :class:`slipway.scheduler.base.Scheduler` describes it."""

    title = "SLURM"
    # sbatch itself tries for two minutes where the controller is busy.
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
        """The options of sbatch, in order."""
        return directives(
            name=name,
            log=log,
            resources=own(resources),
            site=_own_site(site),
            shortest_minutes=shortest_minutes,
        )

    def script_lines(self, options: Sequence[str]) -> list[str]:
        """The lines of ``#SBATCH``."""
        return [f"#SBATCH {quote_option(option)}" for option in options]

    def submit_command(self, script: PurePosixPath, options: Sequence[str]) -> list[str]:
        """The argv of sbatch."""
        return submit_command(script, options)

    def mail_options(self, address: str | None) -> list[str]:
        """SLURM's mail at a job's end, also where it failed; of an array it is one."""
        return ["--mail-type=END,FAIL", *([f"--mail-user={address}"] if address else [])]

    def read_submission(self, exit_code: int, stdout: str, stderr: str) -> Submission:
        """What came of it, by what sbatch answered."""
        return parse_submission(exit_code, stdout, stderr)

    def query(self, host: Host, wanted: Sequence[JobQuery]) -> QueryResult:
        """How jobs stand."""
        return query_jobs(host, wanted)

    def usage(self, host: Host, wanted: Sequence[JobQuery]) -> UsageAnswer:
        """What jobs used, by ``sacct``."""
        return find_usage(host, wanted)

    def given_memory(self, host: Host, wanted: Sequence[JobQuery]) -> Mapping[str, int]:
        """By ``sacct``."""
        return find_memory(host, wanted)

    def accounted(self, host: Host, query: AccountQuery) -> Accounted:
        """What ``sacct`` and ``sreport`` have of many jobs."""
        return find_accounted(host, query)

    def active_names(self, host: Host) -> set[str] | None:
        """The names of the user's jobs that wait or run; ``None`` where squeue fails."""
        result = host.run_in_login_shell(queue_command())
        return {job.name for job in parse_queue(result.stdout)} if result.ok else None

    def cancel(self, host: Host, job_ids: Sequence[str], *, only_waiting: bool = False) -> None:
        """Cancel jobs."""
        for start in range(0, len(job_ids), _CANCELLED_AT_ONCE):
            some = job_ids[start : start + _CANCELLED_AT_ONCE]
            result = host.run_in_login_shell(cancel_command(some, only_waiting=only_waiting))
            if not result.ok:
                what = f"job {some[0]} was" if len(some) == 1 else "some jobs were"
                raise RemoteError(f"{host.target}: {what} not cancelled: {result.stderr.strip()}")

    def check(self, host: Host, request: ResourceRequest, site: Site, progress: Progress) -> None:
        """Refuse what ``sinfo`` says would wait for ever."""
        check.check_partitions(host, request, site, progress)

    def check_commands(self, request: ResourceRequest, site: Site) -> list[list[str]]:
        """``sinfo``, where the site's file does not say all."""
        return [partitions_command()] if check.asks(request, site) else []

    def queues(self, host: Host) -> ClusterQueues:
        """Partitions by ``sinfo``, ``scontrol`` and ``squeue``, limits by ``sacctmgr``."""
        return find_queues(host)

    def most_tasks(self, host: Host, resources: Resources) -> int | None:
        """By ``MaxArraySize``, and by what the user may have submitted."""
        return find_most_tasks(host, own(resources))

    def find_starts(self, host: Host, wanted: Sequence[Resources], site: Site) -> list[Start]:
        """By ``sbatch --test-only``."""
        return find_starts(host, [own(resources) for resources in wanted], _own_site(site))

    def describe_resources(self, host: Host, request: ResourceRequest) -> str:
        """What was asked for, and what ``sinfo`` and ``sacctmgr`` say there is."""
        return check.describe_partitions(host, request)

    def run_on_node(self, name: str, resources: Resources, argv: Sequence[str]) -> list[str]:
        """The argv of srun, in a login shell, which finds it."""
        return ["bash", "-lc", 'exec "$@"', "slipway", *node_command(name, own(resources), argv)]

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
        """The argv of srun, in a login shell, which finds it."""
        return join_command(job_id, argv, task=task, node=node, terminal=terminal, unbuffered=unbuffered)

    def nodes(self, host: Host, nodes: str) -> list[Node]:
        """The nodes of a list, by ``scontrol``."""
        return find_nodes(host, nodes)


def _own_site(site: Site) -> SlurmSite:
    if not isinstance(site, SlurmSite):
        raise TypeError(f"{site.name} is no site with SLURM")
    return site
