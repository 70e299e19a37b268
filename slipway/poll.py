"""Polling: how runs stand, by SLURM's queue, its accounting, its controller and what job scripts wrote."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import chain

from slipway.ending import Told, judge, parse_result
from slipway.errors import ParseError
from slipway.link import Link
from slipway.loginshell import login_command, parse_login
from slipway.run import Reason, Run, Status
from slipway.slurm import (
    JobState,
    SlurmJob,
    accounting_command,
    parse_accounting,
    parse_queue,
    parse_shown,
    queue_command,
    show_command,
)

LOOK_S = 1.0
LOOKS = 5
# A run that SLURM has forgotten, and whose script said nothing, is given up after this time.
GONE_S = 600
# A program is given at most 128 kB as one argument (MAX_ARG_STRLEN), which the whole command is to sshd.
AT_ONCE = 1000
_RESULTS = """while IFS= read -r folder; do
    newest=0
    for path in "$folder"/attempt-*; do
        number=${path##*/attempt-}
        case $number in *[!0-9]*) continue ;; esac
        [ "$number" -le "$newest" ] || newest=$number
    done
    file=$folder/attempt-$newest/result.json
    if [ -e "$file" ]; then cat "$file" 2>&1; fi
    printf '\\0'
done
"""


@dataclass(frozen=True, kw_only=True)
class _Asked:
    """What SLURM knows: jobs by their names, and why its queue or its accounting could not be asked."""

    jobs: Mapping[str, SlurmJob]
    queue_problem: str | None
    accounting_problem: str | None


def poll(link: Link, runs: Sequence[Run]) -> list[Run]:
    """The same runs as they stand now; all of them are asked for at once.

    A run that SLURM cannot be asked about is UNKNOWN, never FAILED. One that has no job id yet, and that
    SLURM does not know, is SUBMITTING: :func:`slipway.submit.settle` decides about it.

    Raises:
        LinkError: the connection was lost.
    """
    if not runs:
        return []
    asked = _ask(link, runs)
    if asked.queue_problem:
        why = Status(state=JobState.UNKNOWN, note=asked.queue_problem)
        return [replace(run, status=why) for run in runs]
    results = _results(link, [run for run in runs if _may_be_over(asked.jobs.get(run.run_id))], asked.jobs)
    return [_updated(run, asked, results) for run in runs]


def _ask(link: Link, runs: Sequence[Run]) -> _Asked:
    # sacct takes the cluster's own time, which may be a day behind.
    since = (min(run.submitted for run in runs) - timedelta(days=1)).strftime("%Y-%m-%d")
    names = [run.run_id for run in runs]
    waiting, queue_problem = _answers(link, names, queue_command, parse_queue)
    accounted, accounting_problem = _answers(
        link, names, lambda some: accounting_command(some, since), parse_accounting
    )
    # The queue is the fresher of the two: accounting may be some seconds late.
    jobs = {job.name: job for job in chain(accounted, waiting)}
    # Accounting may also be down, or not be kept at all: the controller remembers a job for some minutes.
    ids = [run.job_id for run in runs if run.job_id and run.run_id not in jobs]
    if ids and not queue_problem:
        shown, _ = _answers(link, ids, show_command, parse_shown)
        jobs |= {job.name: job for job in shown if job.name in names}
    return _Asked(jobs=jobs, queue_problem=queue_problem, accounting_problem=accounting_problem)


def _answers(
    link: Link,
    items: Sequence[str],
    command: Callable[[Sequence[str]], Sequence[str]],
    parse: Callable[[str], Iterable[SlurmJob]],
) -> tuple[list[SlurmJob], str | None]:
    """Jobs, and why not all could be asked for."""
    jobs: list[SlurmJob] = []
    for start in range(0, len(items), AT_ONCE):
        argv = command(items[start : start + AT_ONCE])
        result = link.run(login_command(argv))
        if not result.ok:
            words = " ".join(result.stderr.split()) or f"it ended with exit code {result.exit_code}"
            return jobs, f"{argv[0]} could not be asked: {words}"
        try:
            jobs += parse(parse_login(result.stdout))
        except ParseError as error:
            return jobs, str(error)
    return jobs, None


def _may_be_over(job: SlurmJob | None) -> bool:
    return job is None or job.state.is_over


def _results(link: Link, runs: Sequence[Run], jobs: Mapping[str, SlurmJob]) -> dict[str, str]:
    """What ``result.json`` of each run's last attempt holds; runs without one are left out."""
    results: dict[str, str] = {}
    for look in range(1 + LOOKS):
        missing = [run for run in runs if run.run_id not in results]
        if look:
            # A network file system may show the file some seconds late.
            done = (jobs.get(run.run_id) for run in missing)
            if not any(job is not None and job.state is JobState.COMPLETED for job in done):
                break
            time.sleep(LOOK_S)
        results |= _read_results(link, missing)
    return results


def _read_results(link: Link, runs: Sequence[Run]) -> dict[str, str]:
    if not runs:
        return {}
    folders = "".join(f"{run.run_dir}\n" for run in runs)
    contents = link.check(["sh", "-c", _RESULTS], stdin=folders).stdout.split("\0")
    if len(contents) != len(runs) + 1:
        raise ParseError(f"{link.target}: {len(contents) - 1} results were read, not {len(runs)}; try again")
    return {run.run_id: content for run, content in zip(runs, contents, strict=False) if content}


def _updated(run: Run, asked: _Asked, results: Mapping[str, str]) -> Run:
    job, told, note = asked.jobs.get(run.run_id), None, None
    if run.run_id in results:
        try:
            told = parse_result(results[run.run_id])
        except ParseError as error:
            note = str(error)
    if job is None and told is None:
        new = Status(state=JobState.SUBMITTING)
        return replace(run, status=new if run.job_id is None else _missing(run, asked, note))
    if job is None and told and told.job_id and run.job_id is None:
        # It was over before anybody knew its id. Now SLURM can be asked, too.
        return replace(run, job_id=told.job_id, status=Status(state=JobState.COMPLETING))
    if job is None and asked.accounting_problem:
        note = f"{asked.accounting_problem}; the job script alone is believed"
        return replace(run, status=replace(judge(None, told), note=note))
    status = _judge(job, told, note)
    return replace(run, status=status, job_id=job.job_id if job is not None else run.job_id)


def _judge(job: SlurmJob | None, told: Told | None, note: str | None) -> Status:
    status = judge(job, told)
    if note is None:
        return status
    if job is not None and job.state is JobState.COMPLETED:
        # There is a result, so the script came to its end; only nobody can read it.
        status = Status(
            state=job.state, reason=Reason.OK.value, exit_code=job.exit_code, slurm_state=job.state.value
        )
    return replace(status, note=f"{note}; SLURM alone is believed")


def _missing(run: Run, asked: _Asked, note: str | None) -> Status:
    """A job that SLURM had, and of which nobody can say how it ended."""
    now = int(time.time())
    since = run.status.missing_since_s or now
    words = [f"SLURM does not know job {run.job_id} any more, and its script left no result"]
    words += filter(None, [asked.accounting_problem, note])
    if now - since > GONE_S:
        words.append("so it was killed outright, by whom is not known")
        return Status(state=JobState.FAILED, reason=Reason.NODE_FAILURE.value, note="; ".join(words))
    return Status(state=JobState.UNKNOWN, note="; ".join(words), missing_since_s=since)
