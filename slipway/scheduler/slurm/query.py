"""How jobs stand: SLURM's queue, its accounting and its controller are asked, in this order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import chain

from slipway.host.host import Host
from slipway.scheduler.base import JobQuery, QueryResult, State
from slipway.scheduler.slurm.answers import Answers, parts, run_all
from slipway.scheduler.slurm.commands import accounting_command, queue_command, show_command
from slipway.scheduler.slurm.parse import parse_accounting, parse_queue, parse_shown


def query_jobs(host: Host, wanted: Sequence[JobQuery]) -> QueryResult:
    """What SLURM knows of jobs. Where the queue cannot be read, its accounting and its controller serve.

    Raises:
        SshError: the connection was lost.
    """
    # sacct takes the cluster's own time, which may be a day behind.
    since = (min(query.submitted for query in wanted) - timedelta(days=1)).strftime("%Y-%m-%d")
    names = [query.name for query in wanted]
    queue, accounting = Answers("squeue", parse_queue), Answers("sacct", parse_accounting)
    for some in parts(names):
        results = run_all(host, [queue_command(some), accounting_command(some, since)])
        for answers, result in zip((queue, accounting), results, strict=True):
            answers.add(result)
    accounted, queue_problem = accounting.rows, queue.problem
    # The queue is the fresher of the two: accounting may be some seconds late, also with what it says of an
    # array's tasks that have not begun.
    accounted.sort(key=lambda job: job.state is not State.PENDING)
    # Of a job that was cancelled as it was requeued it says for minutes that it waits.
    listed = {job.name for job in queue.rows}
    late = {
        (job.name, job.task): job
        for job in accounted
        if not (queue_problem or job.state.is_over or job.name in listed)
    }
    jobs = {(job.name, job.task): job for job in chain(accounted, queue.rows)}
    jobs = {key: job for key, job in jobs.items() if key not in late}
    found = QueryResult(jobs=jobs, problem=queue_problem, history_problem=accounting.problem)
    # Accounting may also be down, or not be kept at all: the controller remembers a job for some minutes.
    ids = [query.job_id for query in wanted if query.job_id and (queue_problem or _lacks(found, query))]
    controller = Answers("scontrol", parse_shown)
    for some in parts(ids):
        controller.add(run_all(host, [show_command(some)])[0])
    known = {(job.name, job.task): job for job in controller.rows if job.name in names}
    # The controller is fresher than accounting, and the queue is fresher than it says of jobs that are over.
    return replace(found, jobs={**jobs, **known} if queue_problem else {**late, **known, **jobs})


def _lacks(found: QueryResult, query: JobQuery) -> bool:
    return found.may_be_over(query) and found.lacks(query)
