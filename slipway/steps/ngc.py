"""The login-node job at NVIDIA's platform: started, renewed, entered and ended."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from slipway.errors import JobError, RemoteError, UsageError
from slipway.host.host import Host
from slipway.job.inputs import find_image
from slipway.scheduler.base import JobQuery, State
from slipway.scheduler.ngc.cancel import cancel_jobs, find_job
from slipway.scheduler.ngc.commands import exec_command, split_id
from slipway.scheduler.ngc.login_node import HOURS, alive, find_command, left_s, start_command
from slipway.scheduler.ngc.parse import Found, explain, parse_job, parse_jobs
from slipway.scheduler.ngc.query import ASK_S, find_all
from slipway.scheduler.ngc.site import NgcSite
from slipway.site import Site
from slipway.steps.find import find_record
from slipway.steps.session import Choice, Session

_LOOK_S = 5.0


@dataclass(frozen=True, kw_only=True)
class LoginNode:
    """A login-node job.

    Attributes:
        job_id: its id.
        state: how it stands.
        instance: on which instance.
        left_s: for how many seconds it still runs, as far as that is known.
        replaced: the id of the one that was ended for it.
    """

    job_id: str
    state: State
    instance: str
    left_s: int | None
    replaced: str | None = None


def own_site(site: Site) -> NgcSite:
    """The site, where it is one at the platform.

    Raises:
        UsageError: it is none.
    """
    if not isinstance(site, NgcSite):
        raise UsageError(f"{site.name} is no site at NVIDIA's platform: {site.file} has no `scheduler: ngc`")
    return site


def open_login_node(
    session: Session,
    choice: Choice,
    *,
    instance: str | None = None,
    hours: int = HOURS,
    renew_hours: float = 24,
) -> tuple[LoginNode, bool]:
    """Have a login-node job, and another in its place where it ends soon.

    The old one is ended once the new one runs.

    Args:
        session: the checkout's.
        choice: the profile, whose image the job has, and the site.
        instance: on which instance. Default: the site's own, or the profile's.
        hours: for how long.
        renew_hours: with fewer left, another takes its place.

    Returns:
        The job, and whether it was started now.

    Raises:
        ImageError: the image was never pushed.
        JobError: no instance is named, or the platform refused it.
        RemoteError: the platform could not be asked.
    """
    site = own_site(choice.site)
    if not 0 < hours <= HOURS:
        raise UsageError(f"--hours {hours}: write 1 to {HOURS}; the platform ends a job after a week")
    wanted = choice.profile.resources.over(site.defaults)
    instance = instance or wanted.partition
    if instance is None:
        raise UsageError("which instance? Write --partition, or defaults.partition in the site's file")
    with session.open_scratch(site) as (host, scratch):
        there = _find(host, site)
        last = there[-1] if there else None
        left = left_s(last) if last else None
        if last is not None and (left is None or left > renew_hours * 3600):
            return _shown(last, site), False
        image = find_image(host, scratch, choice.profile, site)
        reference = (host.read(image.path) or b"").decode().strip()
        session.progress.step(f"Asking for a login-node job of {hours} hours on {instance}")
        priority = str(getattr(wanted, "qos", None) or "NORMAL")
        asked = start_command(site.ngc, reference, instance, hours, priority)
        done = host.run_in_login_shell(asked, timeout_s=ASK_S)
        if not done.ok:
            raise JobError(f"{site.name}: {explain(done.stderr, done.exit_code)}")
        new = parse_job(done.stdout, site.ngc.org)
        for old in there:
            _wait(session, host, new)
            cancel_jobs(host, [old.job.job_id])
        shown = _shown(find_job(host, new.job.job_id), site)
        replaced = last.job.job_id if last else None
        return LoginNode(**{**vars(shown), "replaced": replaced}), True


def use_job(
    session: Session,
    site: Site,
    words: Sequence[str],
    attach: Callable[[Host, Sequence[str]], int],
    *,
    run: str | None = None,
    task: int | None = None,
) -> int:
    """Run a line of shell, or bash, in the login-node job, or in that of a run.

    Args:
        session: the checkout's.
        site: the site.
        words: the line, or a program and its arguments; none for bash.
        attach: runs a program to its end, and returns its exit code.
        run: a run's id or name. Default: the login-node job.
        task: which task of an array.

    Raises:
        JobError: there is none that runs.
    """
    own = own_site(site)
    with session.connect(own) as host:
        job_id = _running_run(session, host, own, run, task) if run else _running_login_node(host, own)
        number, where = split_id(job_id)
        # One word is a line of shell; several are a program and its arguments.
        line = shlex.join(words) if len(words) > 1 else "".join(words) or None
        return attach(host, ["bash", "-lc", 'exec "$@"', "slipway", *exec_command(where, number, line)])


def _running_login_node(host: Host, site: NgcSite) -> str:
    running = [one for one in _find(host, site) if one.job.state is State.RUNNING]
    if not running:
        raise JobError(
            f"{site.name} has no login-node job that runs; `invoke ngc.login {site.name}` starts one"
        )
    return running[-1].job.job_id


def _running_run(session: Session, host: Host, site: NgcSite, prefix: str, task: int | None) -> str:
    run = find_record(session, prefix)
    query = JobQuery(
        name=run.run_id,
        submitted=run.submitted,
        job_id=run.job_id,
        tasks=run.array_tasks,
        site_values=run.site_values,
    )
    found, problem = find_all(host, [query])
    if problem:
        raise RemoteError(f"{site.name}: {problem}")
    one = next((one for one in found if one.job.task == task), None)
    if one is None or one.job.state is not State.RUNNING:
        stands = f"{one.job.state}" if one else "not there; of an array say which task with --task N"
        raise JobError(f"{run.run_id} has no job that runs at {site.name}: it is {stands}")
    return f"{one.number}@{site.ngc.org}"


def close_login_node(session: Session, site: Site) -> list[str]:
    """End all login-node jobs of a site, and return their ids."""
    own = own_site(site)
    with session.connect(own) as host:
        ids = [one.job.job_id for one in _find(host, own)]
        if ids:
            cancel_jobs(host, ids)
        return ids


def _find(host: Host, site: NgcSite) -> list[Found]:
    done = host.run_in_login_shell(find_command(site.ngc), timeout_s=ASK_S)
    if not done.ok:
        raise RemoteError(f"{site.name}: ngc batch list: {explain(done.stderr, done.exit_code)}")
    return alive(parse_jobs(done.stdout, site.ngc.org))


def _wait(session: Session, host: Host, new: Found) -> None:
    """Wait until it runs."""
    session.progress.step(f"Waiting for job {new.job.job_id}; the old one goes on until then")
    while (state := find_job(host, new.job.job_id).job.state) is not State.RUNNING:
        if state.is_over:
            raise JobError(f"the new login-node job {new.job.job_id} is {state}; the old one goes on")
        time.sleep(_LOOK_S)


def _shown(found: Found, site: NgcSite) -> LoginNode:
    number, _ = split_id(found.job.job_id)
    return LoginNode(
        job_id=f"{number}@{site.ngc.org}",
        state=found.job.state,
        instance=found.instance,
        left_s=left_s(found),
    )
