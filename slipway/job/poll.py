"""Polling: how runs stand, by SLURM's queue, its accounting, its controller and what job scripts wrote."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import chain
from pathlib import PurePosixPath

from slipway.errors import ParseError
from slipway.host.host import Host
from slipway.host.login_shell import login_command, parse_login
from slipway.job.array import combine
from slipway.job.ending import ScriptResult, merge_status, parse_result
from slipway.job.run import Reason, Run, RunPaths, Status
from slipway.job.slurm import (
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
    """What SLURM knows: jobs by names and tasks, and why its queue or its accounting could not be asked."""

    jobs: Mapping[tuple[str, int | None], SlurmJob]
    queue_problem: str | None
    accounting_problem: str | None

    def job(self, run: Run, task: int | None) -> SlurmJob | None:
        # Without a task it is for all those that SLURM did not name.
        return self.jobs.get((run.run_id, task)) or self.jobs.get((run.run_id, None))

    def may_be_over(self, run: Run) -> bool:
        found = (self.job(run, task) for task in run.tasks)
        return all(job is None or job.state.is_over for job in found)

    def lacks(self, run: Run) -> bool:
        return any(self.job(run, task) is None for task in run.tasks)


def poll(host: Host, runs: Sequence[Run]) -> list[Run]:
    """The same runs as they stand now; all of them are asked for at once.

    A run that SLURM cannot be asked about is UNKNOWN, never FAILED. One that has no job id yet, and that
    SLURM does not know, is SUBMITTING: :func:`slipway.job.submit.settle` decides about it.

    Raises:
        LinkError: the connection was lost.
    """
    if not runs:
        return []
    asked = _ask(host, runs)
    if asked.queue_problem:
        why = Status(state=JobState.UNKNOWN, note=asked.queue_problem)
        return [replace(run, status=why) for run in runs]
    results = _results(host, [run for run in runs if asked.may_be_over(run)], asked)
    return [_updated(run, asked, results) for run in runs]


def _ask(host: Host, runs: Sequence[Run]) -> _Asked:
    # sacct takes the cluster's own time, which may be a day behind.
    since = (min(run.submitted for run in runs) - timedelta(days=1)).strftime("%Y-%m-%d")
    names = [run.run_id for run in runs]
    waiting, queue_problem = _answers(host, names, queue_command, parse_queue)
    accounted, accounting_problem = _answers(
        host, names, lambda some: accounting_command(some, since), parse_accounting
    )
    # The queue is the fresher of the two: accounting may be some seconds late, also with what it says of an
    # array's tasks that have not begun.
    accounted.sort(key=lambda job: job.state is not JobState.PENDING)
    jobs = {(job.name, job.task): job for job in chain(accounted, waiting)}
    asked = _Asked(jobs=jobs, queue_problem=queue_problem, accounting_problem=accounting_problem)
    # Accounting may also be down, or not be kept at all: the controller remembers a job for some minutes.
    ids = [run.job_id for run in runs if run.job_id and asked.may_be_over(run) and asked.lacks(run)]
    if ids and not queue_problem:
        shown, _ = _answers(host, ids, show_command, parse_shown)
        known = {(job.name, job.task): job for job in shown if job.name in names}
        asked = replace(asked, jobs={**known, **jobs})
    return asked


def _answers(
    host: Host,
    items: Sequence[str],
    command: Callable[[Sequence[str]], Sequence[str]],
    parse: Callable[[str], Iterable[SlurmJob]],
) -> tuple[list[SlurmJob], str | None]:
    """Jobs, and why not all could be asked for."""
    jobs: list[SlurmJob] = []
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


def _results(host: Host, runs: Sequence[Run], asked: _Asked) -> dict[str, str]:
    """What ``result.json`` of each last attempt holds, by the folder of its run or task."""
    jobs = {_folder(run, task): asked.job(run, task) for run in runs for task in run.tasks}
    results: dict[str, str] = {}
    for look in range(1 + LOOKS):
        missing = [folder for folder in jobs if folder not in results]
        if look:
            # A network file system may show the file some seconds late.
            done = filter(None, map(jobs.get, missing))
            if not any(job.state is JobState.COMPLETED for job in done):
                break
            time.sleep(LOOK_S)
        results |= _read_results(host, missing)
    return results


def _folder(run: Run, task: int | None) -> str:
    return str(RunPaths(PurePosixPath(run.run_dir)).of_task(task).folder)


def _read_results(host: Host, folders: Sequence[str]) -> dict[str, str]:
    if not folders:
        return {}
    asked = "".join(f"{folder}\n" for folder in folders)
    contents = host.check(["sh", "-c", _RESULTS], stdin=asked).stdout.split("\0")
    if len(contents) != len(folders) + 1:
        raise ParseError(
            f"{host.target}: {len(contents) - 1} results were read, not {len(folders)}; try again"
        )
    return {folder: content for folder, content in zip(folders, contents, strict=False) if content}


def _updated(run: Run, asked: _Asked, results: Mapping[str, str]) -> Run:
    jobs = filter(None, (asked.job(run, task) for task in run.tasks))
    run = replace(run, job_id=next((job.job_id for job in jobs), run.job_id))
    stands = {task: _stand(run, task, asked, results) for task in run.tasks}
    job_id = run.job_id or next(
        (script_result.job_id for _, script_result in stands.values() if script_result), None
    )
    statuses = {task: status for task, (status, _) in stands.items()}
    tasks = {task: status for task, status in statuses.items() if task is not None}
    return replace(run, job_id=job_id, status=combine(tasks) if tasks else statuses[None])


def _stand(
    run: Run, task: int | None, asked: _Asked, results: Mapping[str, str]
) -> tuple[Status, ScriptResult | None]:
    """How a run stands, or a task of it, and what its script said."""
    job, script_result, note = asked.job(run, task), None, None
    content = results.get(_folder(run, task))
    if content is not None:
        try:
            script_result = parse_result(content)
        except ParseError as error:
            note = str(error)
    if job is None and script_result is None:
        submitting = Status(state=JobState.SUBMITTING)
        return submitting if run.job_id is None else _missing(run, asked, note), None
    if job is None and script_result and script_result.job_id and run.job_id is None:
        # It was over before anybody knew its id. Now SLURM can be asked, too.
        return Status(state=JobState.COMPLETING), script_result
    if job is None and asked.accounting_problem:
        note = f"{asked.accounting_problem}; the job script alone is believed"
        return replace(merge_status(None, script_result), note=note), script_result
    return _merge(job, script_result, note), script_result


def _merge(job: SlurmJob | None, script_result: ScriptResult | None, note: str | None) -> Status:
    status = merge_status(job, script_result)
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
