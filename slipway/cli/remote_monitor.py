"""`monitor --remote` and `--in-job`: a monitor on the cluster, started and followed from here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from slipway.monitor.spending import Budget
    from slipway.monitor.there_host import There
    from slipway.steps.kept_hosts import KeptHostsSession
    from slipway.steps.monitored import Target
    from slipway.steps.remote_monitor import RemoteMonitor
    from slipway.terminal.terminal import Terminal


@dataclass(frozen=True, kw_only=True)
class Remote:
    """What the command line wants of a monitor on the cluster.

    Attributes:
        in_job: it is a job.
        stop: it is to be stopped.
        asked: what its job asks for, by options.
    """

    in_job: bool
    stop: bool
    asked: Mapping[str, str | None]

    @property
    def option(self) -> str:
        """The option that names it."""
        return "--in-job" if self.in_job else "--remote"


def read_remote(
    asked: Mapping[str, str | None], *, remote: bool, in_job: bool, stop: bool, only_look: bool
) -> Remote | None:
    """What the options say; ``None`` where the monitor works here.

    Raises:
        UsageError: they contradict each other.
    """
    from slipway.errors import UsageError

    if remote and in_job:
        raise UsageError("--remote and --in-job: it is one or the other; a job does not need the login node")
    given = [option for option, value in asked.items() if value is not None]
    if given and (not in_job or stop):
        raise UsageError(f"{', '.join(given)}: that is for the job of `invoke monitor --in-job`")
    if not (remote or in_job):
        if stop:
            raise UsageError(
                "--stop stops a monitor on the cluster: add --remote or --in-job. One that works here ends "
                "by Ctrl-C"
            )
        return None
    if only_look:
        raise UsageError("--explain and --dry-run only look, from here: leave --remote and --in-job out")
    return Remote(in_job=in_job, stop=stop, asked=asked)


def keep_going_there(
    screen: Terminal,
    session: KeptHostsSession,
    targets: Sequence[Target],
    wanted: Remote,
    budget: Budget,
    interval_s: float | None,
) -> None:
    """Start a monitor on the cluster, or join the one that is there, and follow it to its end.

    Raises:
        UsageError: there are several sites, or a sweep and runs.
        RunFailedError: some elements have not ended well.
        RemoteError: it does not begin, or has ended without a word.
    """
    from slipway.errors import UsageError
    from slipway.steps.remote_monitor import RemoteMonitor, RemoteRequest, monitor_job

    if len(targets) != 1:
        raise UsageError(f"{wanted.option} is for one sweep, or for runs of one site; start one for each")
    job = None
    if wanted.in_job:
        job = monitor_job(*(wanted.asked[option] for option in ("--time", "--partition", "--account")))
    request = RemoteRequest(budget=budget, interval_s=interval_s, job=job)
    remote = RemoteMonitor(session=session, target=targets[0], request=request)
    if wanted.stop:
        _stop(screen, remote)
        return
    there = _begin(screen, remote, wanted)
    if there is None:
        return
    come_back = _come_back(remote, wanted)
    try:
        ended = remote.follow(screen.say, screen.note)
    except KeyboardInterrupt as error:
        raise KeyboardInterrupt(come_back) from error
    _finish(screen, remote, wanted, ended)


def _begin(screen: Terminal, remote: RemoteMonitor, wanted: Remote) -> There | None:
    """The monitor that is at work then; ``None`` where there was nothing to do."""
    from slipway.cli.monitor_end import end_with

    there = remote.find()
    if not there.is_alive:
        if there.state == "dead":
            screen.note(
                f"The last monitor there ({_where(there)}) has ended without a word; this one goes on where "
                "it was"
            )
        look = remote.close()
        if look.is_over:
            end_with(screen, [(remote.target, look)])
            return None
        there = remote.start()
    site = remote.target.site.name
    if there.began:
        screen.note(f"The monitor works at {site} ({_where(there)}), also without this command")
    else:
        screen.note(f"A monitor of it is at work at {site} already ({_where(there)}); this is its log")
    return there


def _stop(screen: Terminal, remote: RemoteMonitor) -> None:
    """Stop it.

    Raises:
        RemoteError: it does not stop.
    """
    from slipway.errors import RemoteError

    there = remote.stop()
    if there.is_alive:
        raise RemoteError(
            f"{remote.target.site.name}: the monitor there ({_where(there)}) has been told to stop, and has "
            "not done so yet; the same command looks again"
        )
    screen.say(f"no monitor of it is at work at {remote.target.site.name}; what is on the way goes on")


def _finish(screen: Terminal, remote: RemoteMonitor, wanted: Remote, ended: There) -> None:
    from slipway.cli.monitor_end import end_with
    from slipway.errors import RemoteError

    site, come_back = remote.target.site.name, _again(remote, wanted)
    look = remote.close()
    if ended.why == "over" or look.is_over:
        end_with(screen, [(remote.target, look)])
        return
    if ended.state == "dead":
        raise RemoteError(
            f"{site}: the monitor there ({_where(ended)}) has ended without a word: it was killed, or its "
            f"machine was. Nothing is lost: `{come_back}` goes on where it was"
            + ("" if wanted.in_job else ". Where a site ends such processes, --in-job may be the way")
        )
    if ended.why == "stopped":
        raise RemoteError(f"{site}: {ended.words}. `{come_back}` begins again")
    raise RemoteError(f"{site}: the monitor there has ended by a mistake: {ended.words}; its log says more")


def _again(remote: RemoteMonitor, wanted: Remote) -> str:
    """The command that comes back to it."""
    sweep = remote.target.sweep
    if sweep is not None:
        which = f"--sweep {sweep.sweep_id}"
    else:
        run_ids = dict.fromkeys(one.tries[0][0] for one in remote.target.elements)
        which = " ".join(f"--run {run_id}" for run_id in run_ids)
    return f"invoke monitor {wanted.option} {which}"


def _come_back(remote: RemoteMonitor, wanted: Remote) -> str:
    again = _again(remote, wanted)
    return (
        f"The monitor goes on at {remote.target.site.name}. `{again}` follows it again, `{again} --stop` "
        "stops it."
    )


def _where(there: There) -> str:
    return f"job {there.job}" if there.job else there.where
