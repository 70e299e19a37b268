"""How jobs stand, by ``qstat``: those whose ids are known by these, others by their names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from slipway.host.host import Host
from slipway.scheduler.base import Job, JobQuery, QueryResult
from slipway.scheduler.pbs.answers import Answer, ask
from slipway.scheduler.pbs.attributes import Attributes
from slipway.scheduler.pbs.commands import jobs_command, named_jobs_command
from slipway.scheduler.pbs.job import make_job
from slipway.scheduler.pbs.name import job_name, own_name, parse_id

_NO_HISTORY = "this PBS keeps no history of jobs that are over (job_history_enable)"


def query_jobs(host: Host, wanted: Sequence[JobQuery]) -> QueryResult:
    """What PBS knows of jobs.

    Raises:
        SshError: the connection was lost.
    """
    answer = ask_all(host, wanted)
    jobs = {(job.name, job.task): job for job, _ in found_jobs(answer.jobs, wanted)}
    return QueryResult(
        jobs=jobs, problem=answer.problem, history_problem=None if answer.keeps_history else _NO_HISTORY
    )


def ask_all(host: Host, wanted: Sequence[JobQuery]) -> Answer:
    """The attributes of all jobs that are asked for, by ids."""
    by_id = ask(host, [query.job_id for query in wanted if query.job_id], jobs_command)
    by_name = ask(host, [job_name(query.name) for query in wanted if not query.job_id], named_jobs_command)
    return Answer(
        jobs={**by_id.jobs, **by_name.jobs},
        problem=by_id.problem or by_name.problem,
        keeps_history=by_id.keeps_history and by_name.keeps_history,
    )


def found_jobs(
    jobs: Mapping[str, Attributes], wanted: Sequence[JobQuery]
) -> Iterator[tuple[Job, Attributes]]:
    """The jobs that were asked for, with their attributes; an array is there by itself and by its parts."""
    queries = {query.name: query for query in wanted}
    for text, attributes in jobs.items():
        job_id = parse_id(text)
        if job_id is None:
            continue
        # An id may be another job's by now.
        query = queries.get(own_name(attributes.get("Job_Name", ""), job_id.index))
        if query is None:
            continue
        job = make_job(job_id, attributes, query.tasks)
        if job_id.index is None or job.task is not None:
            yield job, attributes
