"""What jobs had, as the platform tells it: there is no accounting of what they used of that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timezone

from slipway.errors import ParseError, RemoteError
from slipway.host.host import Host
from slipway.scheduler.accounts import Accounted, AccountedJob, AccountQuery
from slipway.scheduler.base import JobQuery
from slipway.scheduler.ngc.commands import list_command
from slipway.scheduler.ngc.parse import Found, explain, parse_jobs
from slipway.scheduler.ngc.places import find_places
from slipway.scheduler.ngc.query import ASK_S, find_all
from slipway.scheduler.usage import Usage, UsageAnswer


def find_usage(host: Host, wanted: Sequence[JobQuery]) -> UsageAnswer:
    """How long jobs ran, and what instance they had."""
    found, problem = find_all(host, wanted)
    usages = {(one.job.name, one.job.task): _usage(one) for one in found if one.job.state.is_over}
    return UsageAnswer(usages=usages, problem=problem)


def find_memory(host: Host, wanted: Sequence[JobQuery]) -> Mapping[str, int]:
    """The memory of each job's instance, by the jobs' names."""
    found, _ = find_all(host, wanted)
    return {one.job.name: one.memory_bytes for one in found if one.memory_bytes}


def find_accounted(host: Host, query: AccountQuery) -> Accounted:
    """The user's own jobs of a span; an account is a team.

    Raises:
        RemoteError: the platform could not be asked.
        ParseError: its answer is not of the documented form.
    """
    start, end = (datetime.fromtimestamp(moment, timezone.utc) for moment in (query.start_s, query.end_s))
    rows: list[Found] = []
    for where in _wheres(find_places(host), query.accounts):
        done = host.run_in_login_shell(list_command(where, since=start, until=end), timeout_s=ASK_S)
        if not done.ok:
            raise RemoteError(f"{host.target}: ngc batch list: {explain(done.stderr, done.exit_code)}")
        try:
            rows += parse_jobs(done.stdout)
        except ParseError as error:
            raise ParseError(f"{host.target}: {error}") from error
    return Accounted(
        jobs=[_accounted(one, query) for one in rows if one.has_begun],
        totals_problem="the platform adds nothing up by itself",
        accounts=tuple(query.accounts),
        hidden="your own jobs only, by when they were submitted: that is all `ngc batch list` shows",
    )


def _wheres(places: Sequence[Sequence[str]], teams: Sequence[str]) -> list[list[str]]:
    """The places that are asked; with teams, these at each of them."""
    if not teams:
        return [list(place) for place in places]
    others = [tuple(word for word in place if not word.startswith("--team=")) for place in places]
    return [[*place, f"--team={team}"] for place in dict.fromkeys(others) for team in teams]


def _usage(found: Found) -> Usage:
    elapsed_s = found.job.elapsed_s or 0
    return Usage(
        elapsed_s=elapsed_s,
        longest_s=elapsed_s,
        limit_s=found.job.limit_s,
        nodes=1,
        cpus=found.cpus,
        gpus=found.gpus,
        asked_memory_bytes=found.memory_bytes,
    )


def _accounted(found: Found, query: AccountQuery) -> AccountedJob:
    job = found.job
    began = max(job.started_s or query.start_s, query.start_s)
    ended = min(job.ended_s or query.end_s, query.end_s)
    return AccountedJob(
        job_id=job.job_id,
        task=job.task,
        name=job.name,
        user=found.user,
        account=found.team,
        partition=found.instance,
        state=job.state,
        elapsed_s=max(ended - began, 0),
        nodes=1,
        cpus=found.cpus or 0,
        gpus=found.gpus or 0,
    )
