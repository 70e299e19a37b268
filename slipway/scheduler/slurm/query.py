"""How jobs stand: SLURM's queue, its accounting and its controller are asked, in this order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import chain

from slipway.errors import ParseError
from slipway.host.host import Host
from slipway.host.login_shell import login_command, parse_login
from slipway.scheduler.base import Job, JobQuery, QueryResult, State
from slipway.scheduler.slurm.commands import accounting_command, queue_command, show_command
from slipway.scheduler.slurm.parse import parse_accounting, parse_queue, parse_shown

# A program is given at most 128 kB as one argument (MAX_ARG_STRLEN), which the whole command is to sshd.
AT_ONCE = 1000


def query_jobs(host: Host, wanted: Sequence[JobQuery]) -> QueryResult:
    """What SLURM knows of jobs. Where the queue cannot be read, its accounting and its controller serve.

    Raises:
        LinkError: the connection was lost.
    """
    # sacct takes the cluster's own time, which may be a day behind.
    since = (min(query.submitted for query in wanted) - timedelta(days=1)).strftime("%Y-%m-%d")
    names = [query.name for query in wanted]
    waiting, queue_problem = _answers(host, names, queue_command, parse_queue)
    accounted, accounting_problem = _answers(
        host, names, lambda some: accounting_command(some, since), parse_accounting
    )
    # The queue is the fresher of the two: accounting may be some seconds late, also with what it says of an
    # array's tasks that have not begun.
    accounted.sort(key=lambda job: job.state is not State.PENDING)
    jobs = {(job.name, job.task): job for job in chain(accounted, waiting)}
    found = QueryResult(jobs=jobs, problem=queue_problem, history_problem=accounting_problem)
    # Accounting may also be down, or not be kept at all: the controller remembers a job for some minutes.
    ids = [query.job_id for query in wanted if query.job_id and (queue_problem or _lacks(found, query))]
    shown = _answers(host, ids, show_command, parse_shown)[0] if ids else []
    known = {(job.name, job.task): job for job in shown if job.name in names}
    # The controller is fresher than accounting, and the queue is fresher than it says of jobs that are over.
    return replace(found, jobs={**jobs, **known} if queue_problem else {**known, **jobs})


def _lacks(found: QueryResult, query: JobQuery) -> bool:
    return found.may_be_over(query) and found.lacks(query)


def _answers(
    host: Host,
    items: Sequence[str],
    command: Callable[[Sequence[str]], Sequence[str]],
    parse: Callable[[str], Iterable[Job]],
) -> tuple[list[Job], str | None]:
    """Jobs, and why not all could be asked for."""
    jobs: list[Job] = []
    for start in range(0, len(items), AT_ONCE):
        argv = command(items[start : start + AT_ONCE])
        result = host.run(login_command(argv))
        if not result.ok:
            words = " ".join(result.stderr.split()) or f"it ended with exit code {result.exit_code}"
            return jobs, f"{argv[0]} could not be asked: {words}"
        try:
            jobs += parse(parse_login(result.stdout))
        except ParseError as error:
            return jobs, str(error)
    return jobs, None
