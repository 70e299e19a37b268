"""The end of jobs, asked for."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta, timezone

from slipway.errors import ParseError, RemoteError
from slipway.host.host import Host
from slipway.scheduler.base import State
from slipway.scheduler.ngc.commands import info_command, kill_command, list_command, run_label, split_id
from slipway.scheduler.ngc.parse import Found, explain, parse_job, parse_jobs
from slipway.scheduler.ngc.query import ASK_S

_AT_ONCE = 100


def cancel_jobs(host: Host, job_ids: Sequence[str], *, only_waiting: bool = False) -> None:
    """Ask for the end of jobs; an array's first job stands for all of it.

    Raises:
        RemoteError: that was refused for one of them at least, or it is not known.
        SshError: the connection was lost.
    """
    problems = []
    for job_id in job_ids:
        try:
            _cancel(host, job_id, only_waiting=only_waiting)
        except (RemoteError, ParseError) as error:
            problems.append(f"job {job_id} was not cancelled: {error}")
    if problems:
        raise RemoteError(f"{host.target}: " + "; ".join(problems))


def find_job(host: Host, job_id: str) -> Found:
    """A job by its id.

    Raises:
        RemoteError: the platform does not know it, or could not be asked.
        ParseError: its answer is not of the documented form.
    """
    number, where = split_id(job_id)
    done = host.run_in_login_shell(info_command(where, number), timeout_s=ASK_S)
    if not done.ok:
        raise RemoteError(explain(done.stderr, done.exit_code))
    return parse_job(done.stdout)


def find_array(host: Host, first: Found, where: Sequence[str]) -> list[Found]:
    """All jobs of an array, by one of them.

    Raises:
        RemoteError: the platform could not be asked.
        ParseError: its answer is not of the documented form.
    """
    # Nothing of what is asked says when the array was submitted; it was not long before its first job began.
    since = datetime.now(timezone.utc) - timedelta(days=400)
    own = [
        *where,
        *([f"--team={first.team}"] if first.team else []),
        *([f"--ace={first.ace}"] if first.ace else []),
    ]
    asked = list_command(own, since=since, label=run_label(first.job.name))
    done = host.run_in_login_shell(asked, timeout_s=ASK_S)
    if not done.ok:
        raise RemoteError(explain(done.stderr, done.exit_code))
    return [one for one in parse_jobs(done.stdout) if one.job.name == first.job.name]


def _cancel(host: Host, job_id: str, *, only_waiting: bool) -> None:
    first, (_, where) = find_job(host, job_id), split_id(job_id)
    some = [first] if first.job.task is None else find_array(host, first, where)
    alive = [one for one in some if _is_meant(one.job.state, only_waiting=only_waiting)]
    for start in range(0, len(alive), _AT_ONCE):
        numbers = [str(one.number) for one in alive[start : start + _AT_ONCE]]
        done = host.run_in_login_shell(kill_command(where, numbers), timeout_s=ASK_S)
        # It ends with 0 also where the platform has refused; what has ended meanwhile it refuses, too.
        if not done.ok or ("failed" in done.stderr and not find_job(host, job_id).job.state.is_over):
            raise RemoteError(explain(done.stderr, done.exit_code))


def _is_meant(state: State, *, only_waiting: bool) -> bool:
    return state is State.PENDING if only_waiting else not state.is_over
