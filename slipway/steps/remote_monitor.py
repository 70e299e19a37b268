"""Steps of a monitor on the cluster: started on the login node or as a job, its log followed from here."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from slipway.errors import ParseError, RemoteError, SshError, UsageError
from slipway.host.host import Host
from slipway.host.scratch import Scratch, open_scratch
from slipway.job.template import load_template
from slipway.monitor.ladder import LadderMaker, given_bytes
from slipway.monitor.order import MonitorJob, OrderedElement, OrderMaker
from slipway.monitor.spending import Budget
from slipway.monitor.there_host import (
    There,
    call,
    find_python,
    is_sent,
    job_script,
    monitors_folder,
    read_log,
    send,
)
from slipway.quantity import minutes
from slipway.resources import Resources
from slipway.scheduler.base import JobQuery
from slipway.scheduler.choose import parse_resources
from slipway.scheduler.find import find_scheduler
from slipway.scheduler.limits import ResourceRequest, check_partition
from slipway.steps.kept_hosts import KeptHostsSession
from slipway.steps.monitor import Monitor
from slipway.steps.monitor_checks import once, refuse_runs
from slipway.steps.monitor_note import forget_monitor, note_monitor
from slipway.steps.monitored import Look, Target
from slipway.steps.remote_log import LogLines

# Looks at the log, and, where nothing new comes, at whether it lives.
_LOOK_S, _STATE_S = 1.0, 5.0
_PASSING = (SshError, RemoteError, ParseError)
_JOB_TIME, _JOB_MEM = "1:00:00", "500M"


@dataclass(frozen=True, kw_only=True)
class RemoteRequest:
    """How a monitor is to work on the cluster.

    Attributes:
        budget: what may be spent.
        interval_s: seconds between two looks; ``None`` for a pause that grows while nothing changes.
        job: what its job asks for; ``None`` where it is a process of the login node.
    """

    budget: Budget
    interval_s: float | None = None
    job: Resources | None = None


def monitor_job(time: str | None, partition: str | None, account: str | None) -> Resources:
    """What the job of a monitor asks for: little."""
    words = {"time": time or _JOB_TIME, "partition": partition, "account": account}
    return parse_resources({**words, "cpus": "1", "mem": _JOB_MEM}, [])


@dataclass(kw_only=True)
class RemoteMonitor:
    """The monitor of one target on its cluster.

    Args:
        session: keeps the connection.
        target: what is monitored.
        request: how.
        sleep: waits.
    """

    session: KeptHostsSession
    target: Target
    request: RemoteRequest
    sleep: Callable[[float], None] = time.sleep
    _python: str | None = field(default=None)

    def __post_init__(self) -> None:
        """Refuse what cannot be monitored from there.

        Raises:
            UsageError: it is so.
        """
        site = self.target.site
        if site.scheduler != "slurm":
            raise UsageError(
                f"{site.name} has {site.scheduler}; a monitor there asks SLURM. Leave --remote out"
            )
        self.monitor = Monitor(session=self.session, target=self.target, budget=self.request.budget)

    @property
    def name(self) -> str:
        """What it is called there: the same for whoever monitors the same."""
        if self.target.sweep is not None:
            return self.target.sweep.sweep_id
        places = sorted(repr(one.tries[0]) for one in self.target.elements)
        return f"runs-{hashlib.sha256(repr(places).encode()).hexdigest()[:12]}"

    # ---- Its beginning and its end -----------------------------------------------------------------

    def find(self) -> There:
        """How it stands.

        Raises:
            RemoteError: there is no Python there that could run it.
            SshError: the connection was lost.
        """
        with self._connected() as (host, scratch):
            python = self._find_python(host)
            if not is_sent(host, scratch, self.name):
                return There(state="none")
            there = call(host, scratch, python, "state", self.name)
        if there.is_alive:
            note_monitor(self.session, self.name)
        return there

    def close(self) -> Look:
        """:meth:`look`, once it has ended."""
        look = self.look()
        forget_monitor(self.session, self.name)
        return look

    def look(self) -> Look:
        """How all that it monitors stands, asked from here; the record of the sweep follows.

        Raises:
            SlipwayError: the site could not be asked.
        """
        look = self.monitor.look()
        self.target = self.monitor.target
        return look

    def start(self) -> There:
        """Start it, unless one is at it; after :meth:`look`.

        Raises:
            UsageError: runs share a job.
            JobError: a run has asked for something that cannot be asked for any more.
            RemoteError: it does not begin.
            SshError: the connection was lost.
        """
        with self._connected() as (host, scratch):
            python = self._find_python(host)
            order = self._order(host, scratch, python)
            file = send(host, scratch, self.name, order)
            word = "start" if self.request.job is None else "submit"
            note_monitor(self.session, self.name)
            there = call(host, scratch, python, word, self.name, file)
        if there.why == "refused":
            raise RemoteError(f"{self.target.site.name}: the monitor's job was refused: {there.words}")
        if not there.is_alive and not there.began:
            raise RemoteError(
                f"{self.target.site.name}: the monitor there has not begun: {there.words or there.state}"
            )
        return there

    def stop(self) -> There:
        """Stop it, and wait for that.

        Raises:
            UsageError: there never was one.
            SshError: the connection was lost.
        """
        with self._connected() as (host, scratch):
            python = self._find_python(host)
            if not host.is_folder(monitors_folder(scratch) / self.name):
                raise UsageError(f"there is no monitor of it at {self.target.site.name}")
            file = "" if is_sent(host, scratch, self.name) else send(host, scratch, self.name, b"{}")
            return call(host, scratch, python, "stop", self.name, file)

    def follow(self, on_line: Callable[[str], None], on_trouble: Callable[[str], None]) -> There:
        """Hand on each line of its log until it is over, also over connections that are lost.

        Returns:
            How it has ended.

        Raises:
            SlipwayError: the site does not let us in any more.
        """
        log, said = LogLines(on_line), set[str]()
        waited_s = _STATE_S
        while True:
            try:
                there = self._step(log, ask=waited_s >= _STATE_S)
            except _PASSING as error:
                if self.session.hosts.is_hopeless:
                    raise
                if str(error) not in said:
                    said.add(str(error))
                    on_trouble(f"{error}\nThe monitor there goes on; its log is asked for again")
                self.sleep(_STATE_S)
                continue
            if there is not None and not there.is_alive:
                log.finish()
                return there
            waited_s = 0.0 if there is not None else waited_s + _LOOK_S
            self.sleep(_LOOK_S)

    def _step(self, log: LogLines, *, ask: bool) -> There | None:
        """Read on, and ask how it stands; where it is over, the rest of its log was read before."""
        with self._connected() as (host, scratch):
            there = None
            if ask:
                there = call(host, scratch, self._find_python(host), "state", self.name)
            while piece := read_log(host, scratch, self.name, log.offset):
                log.take(piece)
            return there

    # ---- What it is told ---------------------------------------------------------------------------

    @contextmanager
    def _connected(self) -> Iterator[tuple[Host, Scratch]]:
        with self.session.connect(self.target.site) as host:
            host.require_commands()
            yield host, open_scratch(host, self.target.site, make=False)

    def _find_python(self, host: Host) -> str:
        if self._python is None:
            self._python = find_python(host)
        return self._python

    def _order(self, host: Host, scratch: Scratch, python: str) -> bytes:
        site = self.target.site
        runs = self.monitor.runs
        refuse_runs(runs.values(), scratch)

        def check(request: ResourceRequest) -> None:
            check_partition(request, site)
            find_scheduler(site.scheduler).check(host, request, site, self.session.progress)

        ladders = LadderMaker(
            site=site,
            scratch=scratch,
            template=load_template(self.session.project.share / "cluster"),
            budget=self.request.budget,
            check=once(check),
            given=self._given(host),
        )
        elements = [OrderedElement(label=one.label, tries=one.tries) for one in self.monitor.elements]
        throttle = self.target.sweep.throttle if self.target.sweep else None
        return OrderMaker(ladders=ladders).make(
            elements, runs, self.request.interval_s, self._job(scratch, python), throttle
        )

    def _given(self, host: Host) -> Mapping[str, int]:
        """What memory runs have that have asked for none."""
        newest = {one.place[0] for one in self.monitor.elements}
        runs = [run for run in self.monitor.runs.values() if run.run_id in newest]
        wanted = [
            JobQuery(name=run.run_id, submitted=run.submitted, job_id=run.job_id, tasks=run.tasks)
            for run in runs
            if not run.resources.get("mem") and given_bytes(run) is None
        ]
        return find_scheduler(self.target.site.scheduler).given_memory(host, wanted)

    def _job(self, scratch: Scratch, python: str) -> MonitorJob | None:
        if self.request.job is None:
            return None
        site = self.target.site
        own = {"partition": site.defaults.partition, "account": site.defaults.account}
        own["qos"] = getattr(site.defaults, "qos", None)
        wanted = self.request.job.over(parse_resources(own, []))
        check_partition(ResourceRequest(resources=wanted), site)
        scheduler = find_scheduler(site.scheduler)
        log = monitors_folder(scratch) / self.name / "slurm.log"
        options = scheduler.directives(name=f"monitor-{self.name}", log=log, resources=wanted, site=site)
        return MonitorJob(
            options=options,
            script=job_script(scratch, python, self.name, scheduler.script_lines(options)),
            limit_s=minutes(wanted.time or _JOB_TIME) * 60,
        )
