"""NVIDIA's Base Command Platform, by ``ngc`` on this machine."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import PurePosixPath

from slipway.errors import JobError, ParseError, RemoteError
from slipway.host.host import Host
from slipway.progress import Progress
from slipway.resources import Resources
from slipway.scheduler.accounts import Accounted, AccountQuery
from slipway.scheduler.base import JobQuery, Node, QueryResult, Submission
from slipway.scheduler.limits import ResourceRequest
from slipway.scheduler.ngc.cancel import cancel_jobs
from slipway.scheduler.ngc.commands import LABEL, list_command
from slipway.scheduler.ngc.instances import find_instances
from slipway.scheduler.ngc.options import refuse, run_options
from slipway.scheduler.ngc.parse import parse_jobs
from slipway.scheduler.ngc.places import find_places
from slipway.scheduler.ngc.query import ASK_S, query_jobs
from slipway.scheduler.ngc.site import NgcSite
from slipway.scheduler.ngc.submit import parse_submission, submit_command
from slipway.scheduler.ngc.usage import find_accounted, find_memory, find_usage
from slipway.scheduler.queues import ClusterQueues, Start
from slipway.scheduler.slurm.resources import own
from slipway.scheduler.usage import UsageAnswer
from slipway.site import Site

# What waits or runs may have been submitted so long ago.
_ACTIVE = timedelta(days=90)


class Ngc:
    """The platform, as :class:`slipway.scheduler.base.Scheduler` describes it."""

    # A submission uploads what the workspace lacks: data may take hours.
    title = "NGC"
    submit_s = 6 * 3600
    lost_s = 6 * 3600 + 300

    def directives(
        self,
        *,
        name: str,
        log: PurePosixPath,
        resources: Resources,
        site: Site,
        shortest_minutes: int | None = None,
    ) -> list[str]:
        """The options of ``ngc batch run``, in order, and some that are ours."""
        return run_options(
            name=name, resources=own(resources), site=_own_site(site), shortest_minutes=shortest_minutes
        )

    def script_lines(self, options: Sequence[str]) -> list[str]:
        """The same as comments: the platform reads none."""
        return [f"#NGC {shlex.quote(option)}" for option in options]

    def submit_command(self, script: PurePosixPath, options: Sequence[str]) -> list[str]:
        """The argv that uploads what is missing, and asks for the job."""
        return submit_command(script, options)

    def mail_options(self, address: str | None) -> list[str]:
        """None: the platform sends no mail."""
        return []

    def read_submission(self, exit_code: int, stdout: str, stderr: str) -> Submission:
        """What came of it, by what ``ngc`` answered."""
        return parse_submission(exit_code, stdout, stderr)

    def query(self, host: Host, wanted: Sequence[JobQuery]) -> QueryResult:
        """How jobs stand; what those that are over have written comes to scratch."""
        return query_jobs(host, wanted)

    def usage(self, host: Host, wanted: Sequence[JobQuery]) -> UsageAnswer:
        """How long jobs ran on which instance."""
        return find_usage(host, wanted)

    def given_memory(self, host: Host, wanted: Sequence[JobQuery]) -> Mapping[str, int]:
        """The memory of their instances."""
        return find_memory(host, wanted)

    def accounted(self, host: Host, query: AccountQuery) -> Accounted:
        """The user's own jobs of a span, by ``ngc batch list``."""
        return find_accounted(host, query)

    def active_names(self, host: Host) -> set[str] | None:
        """The names of the user's jobs that wait or run; ``None`` where the platform cannot be asked."""
        since, names = datetime.now(timezone.utc) - _ACTIVE, set[str]()
        for where in find_places(host):
            done = host.run_in_login_shell(list_command(where, since=since, label=LABEL), timeout_s=ASK_S)
            if not done.ok:
                return None
            names |= {one.job.name for one in parse_jobs(done.stdout) if not one.job.state.is_over}
        return names

    def cancel(self, host: Host, job_ids: Sequence[str], *, only_waiting: bool = False) -> None:
        """By ``ngc batch kill``."""
        cancel_jobs(host, job_ids, only_waiting=only_waiting)

    def check(self, host: Host, request: ResourceRequest, site: Site, progress: Progress) -> None:
        """Refuse what the platform does not have."""
        refuse(request, _own_site(site))

    def check_commands(self, request: ResourceRequest, site: Site) -> list[list[str]]:
        """Nothing."""
        return []

    def queues(self, host: Host) -> ClusterQueues:
        """The instances of all ACEs."""
        return find_instances(host)

    def most_tasks(self, host: Host, resources: Resources) -> int | None:
        """``None``: the platform has no arrays, and a job for each task is submitted."""
        return None

    def find_starts(self, host: Host, wanted: Sequence[Resources], site: Site) -> list[Start]:
        """Refused: the platform does not say when a job would begin."""
        return [Start(refusal="the platform does not say when a job would begin") for _ in wanted]

    def describe_resources(self, host: Host, request: ResourceRequest) -> str:
        """What was asked for, and the instances that there are."""
        asked = f"\n  asked for: {request.named('partition', f'instance {request.resources.partition}')}"
        try:
            names = [queue.name for queue in find_instances(host).queues]
        except (RemoteError, ParseError):
            return asked
        return f"{asked}\n  instances: {', '.join(names) or 'none that you may use'}"

    def run_on_node(self, name: str, resources: Resources, argv: Sequence[str]) -> list[str]:
        """Nothing is run in a job without an image: a program that says so."""
        return ["sh", "-c", "echo 'the platform runs images only, not single programs' >&2; exit 1"]

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
        """Refused: ``ngc batch exec`` hands on no exit code, and knows nothing of a job's program.

        Raises:
            JobError: always, with what serves instead.
        """
        raise JobError(
            f"job {job_id}: nothing joins a job at NVIDIA's platform as on a cluster; `invoke ngc.exec SITE "
            "--run RUN` opens a shell in its container"
        )

    def nodes(self, host: Host, nodes: str) -> list[Node]:
        """Their names; none of them can be reached from outside the platform."""
        return [Node(name=name, address=name) for name in nodes.split(",")]


def _own_site(site: Site) -> NgcSite:
    if not isinstance(site, NgcSite):
        raise TypeError(f"{site.name} is no site at the platform")
    return site
