"""Polling: how runs stand, by their scheduler and by what job scripts wrote."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

from slipway.errors import ParseError, RemoteError
from slipway.host.host import Host
from slipway.job.array import combine
from slipway.job.attempts import NEWEST_ATTEMPT
from slipway.job.bundle_ending import is_final, merge_task
from slipway.job.chain import count_links, most_links, tell_link
from slipway.job.ending import ScriptResult, merge_status, parse_result
from slipway.job.run import Reason, Run, Status
from slipway.scheduler.base import Job, JobQuery, QueryResult, State
from slipway.scheduler.find import find_scheduler

LOOK_S = 1.0
LOOKS = 5
# Their names are sent before an answer is read, and have to fit into the channel's window of some 2 MB.
FOLDERS_AT_ONCE = 5000
# A run that SLURM has forgotten, and whose script said nothing, is given up after this time.
GONE_S = 600
# What is printed of a run whose folder is not there; a task of it has none before it begins.
_NO_FOLDER = "no folder\n"
# Where its last attempt has left no result.
_BEGUN = "begun\n"
# Whatever a file holds, what stands between two of them was drawn for this question, and is in none. One
# program reads them all: to start one for each takes ten times as long.
_RESULTS = f"""{NEWEST_ATTEMPT}while IFS= read -r folder; do
    newest_attempt "$folder"
    file=$folder/attempt-$newest/result.json
    if [ -f "$file" ]; then printf '=%s\\n' "$file"
    elif [ -e "$file" ]; then echo '+no file'
    elif [ ! -e "${{folder%/task-*}}" ]; then echo '+no folder'
    elif [ "$newest" -gt 0 ]; then echo +begun
    else echo; fi
done | LC_ALL=C awk -v mark="$1" '{{
    rest = substr($0, 2)
    if (/^=/) {{
        size = 0
        if ((read = (getline line < rest)) < 0) print "it cannot be read"
        for (; read > 0 && size < 65536; read = (getline line < rest)) {{
            printf "%s%s", size ? "\\n" : "", substr(line, 1, 65536)
            size += length(line) + 1
        }}
        close(rest)
    }} else if (rest != "") print rest
    printf "%s", mark
}}'
"""


def poll(host: Host, runs: Sequence[Run]) -> list[Run]:
    """The same runs of one site as they stand now; all of them are asked for at once.

    A run of which nobody can say how it stands is UNKNOWN, never FAILED. One that has no job id yet, and that
    SLURM does not know, is SUBMITTING: :func:`slipway.job.submit.settle` decides about it.

    Raises:
        SshError: the connection was lost.
    """
    if not runs:
        return []
    wanted = [_query(run) for run in runs]
    asked = find_scheduler(runs[0].scheduler).query(host, wanted)
    results = _results(host, runs, asked)
    links = count_links(host, runs)
    return [_updated(run, asked, results, links) for run in runs]


def _query(run: Run) -> JobQuery:
    return JobQuery(
        name=run.run_id,
        submitted=run.submitted,
        job_id=run.job_id,
        tasks=run.array_tasks,
        folder=run.run_dir,
        site_values=run.site_values,
    )


def _results(host: Host, runs: Sequence[Run], asked: QueryResult) -> dict[str, str]:
    """What ``result.json`` of each last attempt holds, by the folder of its run or task, where that tells."""
    # By folders: whether there ought to be a result.
    wanted = {
        _folder(run, task): job is not None and _has_written(run, job)
        for run in runs
        for task in run.tasks
        if _may_say_more(run, task, job := _job(asked, run, task))
    }
    results: dict[str, str] = {}
    for look in range(1 + LOOKS):
        missing = [folder for folder in wanted if results.get(folder, _NO_FOLDER) in (_NO_FOLDER, _BEGUN)]
        if look:
            # A network file system may show the file some seconds late.
            if not any(map(wanted.get, missing)):
                break
            time.sleep(LOOK_S)
        results |= _read_results(host, missing)
    return results


def _job(asked: QueryResult, run: Run, task: int | None) -> Job | None:
    """What the scheduler says of the job that a task is in."""
    return asked.job(run.run_id, run.array_task(task))


def _may_say_more(run: Run, task: int | None, job: Job | None) -> bool:
    """Whether a task's result tells something that is not known yet."""
    before = _before(run, task)
    if run.bundles:
        # It may be over long before its job is; one that waits has begun before if it was requeued.
        waits = job is not None and job.state is State.PENDING and not _has_begun_before(run, task)
        return not waits and not is_final(before)
    return _has_ended(job) and not _is_settled(before)


def _has_begun_before(run: Run, task: int | None) -> bool:
    """Whether a job that tasks share has ever begun, as far as that was seen."""
    lanes = run.bundles.get(run.array_task(task) or 0, ())
    return any(_before(run, one).started_s is not None for lane in lanes for one in lane)


def _has_written(run: Run, job: Job) -> bool:
    """Whether the scripts of a job came to their end: one that tasks share ends as the one that failed."""
    return job.state is State.COMPLETED or (bool(run.bundles) and job.state is State.FAILED)


def _folder(run: Run, task: int | None) -> str:
    return run.run_dir if task is None else f"{run.run_dir}/task-{task}"


def _read_results(host: Host, folders: Sequence[str]) -> dict[str, str]:
    results: dict[str, str] = {}
    for start in range(0, len(folders), FOLDERS_AT_ONCE):
        results |= _read_some_results(host, folders[start : start + FOLDERS_AT_ONCE])
    return results


def _read_some_results(host: Host, folders: Sequence[str]) -> dict[str, str]:
    asked = "".join(f"{folder}\n" for folder in folders).encode()
    mark = f"-{secrets.token_hex(16)}-"
    done = host.run_in_login_shell(
        ["sh", "-c", _RESULTS, "slipway", mark], stdin=[asked], stdin_bytes=len(asked)
    )
    if not done.ok:
        raise RemoteError(f"{host.target}: results could not be read: {done.explain()}")
    contents = done.stdout.split(mark)
    if len(contents) != len(folders) + 1:
        raise ParseError(
            f"{host.target}: {len(contents) - 1} results were read, not {len(folders)}; try again"
        )
    return {folder: content for folder, content in zip(folders, contents, strict=False) if content}


def _updated(
    run: Run,
    asked: QueryResult,
    results: Mapping[str, str],
    links: Mapping[tuple[str, int | None], int],
) -> Run:
    jobs = filter(None, (asked.job(run.run_id, task) for task in run.array_tasks))
    run = replace(run, job_id=next((job.job_id for job in jobs), run.job_id))
    stands = {task: _stand(run, task, asked, results) for task in run.tasks}
    job_id = run.job_id or next(
        (script_result.job_id for _, script_result in stands.values() if script_result), None
    )
    most = most_links(run)
    statuses = {
        task: tell_link(status, links.get((run.run_id, task)), most) for task, (status, _) in stands.items()
    }
    tasks = {task: status for task, status in statuses.items() if task is not None}
    status = combine(tasks) if tasks else statuses[None]
    return replace(run, job_id=job_id, status=status, task_statuses=tasks)


def _stand(
    run: Run, task: int | None, asked: QueryResult, results: Mapping[str, str]
) -> tuple[Status, ScriptResult | None]:
    """How a run stands, or a task of it, and what its script said."""
    job, script_result, note = _job(asked, run, task), None, None
    before = _before(run, task)
    if is_final(before) if run.bundles else _has_ended(job) and _is_settled(before):
        return before, None
    content = results.get(_folder(run, task))
    is_gone, has_begun = content == _NO_FOLDER, content == _BEGUN
    if content is not None and not is_gone and not has_begun:
        try:
            script_result = parse_result(content)
        except ParseError as error:
            note = str(error)
    if job is None and asked.problem and not (script_result and script_result.is_last):
        return Status(state=State.UNKNOWN, note=asked.problem), script_result
    if job is None and script_result is None and before.state.is_over:
        return before, None
    if job is None and script_result is None:
        submitting = Status(state=State.SUBMITTING)
        return submitting if run.job_id is None else _missing(run, before, asked, note, is_gone=is_gone), None
    if job is None and script_result and script_result.job_id and run.job_id is None:
        # It was over before anybody knew its id. Now SLURM can be asked, too.
        return Status(state=State.COMPLETING), script_result
    problem = asked.problem or asked.history_problem
    if job is None and problem:
        note = f"{problem}; the job script alone is believed"
        merged = merge_task(None, script_result, has_begun=has_begun) if run.bundles else None
        return replace(merged or merge_status(None, script_result, _title(run)), note=note), script_result
    if run.bundles and note is None:
        status = merge_task(job, script_result, has_begun=has_begun)
    else:
        status = _merge(job, script_result, note, _title(run))
    if asked.problem and not status.state.is_over and not status.note:
        status = replace(status, note=f"{asked.problem}; {_title(run)}'s other answers are believed")
    return status, script_result


def _merge(job: Job | None, script_result: ScriptResult | None, note: str | None, title: str) -> Status:
    status = merge_status(job, script_result, title)
    if note is None:
        return status
    if job is not None and job.state is State.COMPLETED:
        # There is a result, so the script came to its end; only nobody can read it.
        status = Status(
            state=job.state,
            reason=Reason.OK.value,
            exit_code=job.exit_code,
            native_state=job.native_state,
        )
    return replace(status, note=f"{note}; {title} alone is believed")


def _title(run: Run) -> str:
    return find_scheduler(run.scheduler).title


def _before(run: Run, task: int | None) -> Status:
    """How a run stood, or a task of it, when it was asked for last."""
    return run.status if task is None else run.task_statuses.get(task, run.status)


def _has_ended(job: Job | None) -> bool:
    """True where SLURM does not know of it that it goes on."""
    return job is None or job.state.is_over


def _is_settled(before: Status) -> bool:
    """True where its script has said how it ended, and that it does not begin again by itself."""
    return before.state.is_over and before.script_reason not in (None, Reason.PREEMPTED, Reason.TIME_LIMIT)


def _missing(run: Run, before: Status, asked: QueryResult, note: str | None, *, is_gone: bool) -> Status:
    """A job that SLURM had, and of which nobody can say how it ended."""
    now = int(time.time())
    # A clock that was set back does not put it off.
    since = min(before.missing_since_s or now, now)
    left = f"{run.run_dir} is gone" if is_gone else "its script left no result"
    words = [f"{_title(run)} does not know job {run.job_id} any more, and {left}"]
    words += filter(None, [asked.history_problem, note])
    if now - since <= GONE_S:
        return Status(state=State.UNKNOWN, note="; ".join(words), missing_since_s=since)
    if is_gone:
        words.append("so nobody knows how it ended; it counts as failed")
        return Status(state=State.FAILED, reason=Reason.UNKNOWN.value, note="; ".join(words))
    words.append("so it was killed outright, by whom is not known")
    return Status(state=State.FAILED, reason=Reason.NODE_FAILURE.value, note="; ".join(words))
