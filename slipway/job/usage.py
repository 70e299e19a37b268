"""What runs used: asked of accounting and of the samples of their GPUs, once they are over."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from slipway.errors import ParseError, RemoteError
from slipway.host.host import Host
from slipway.job.attempts import NEWEST_ATTEMPT
from slipway.job.run import Run, RunPaths
from slipway.scheduler.base import JobQuery
from slipway.scheduler.find import find_scheduler
from slipway.scheduler.usage import GpuUse, Usage, UsageAnswer, add_up

# Accounting is often some seconds late, and may be down. It is asked again after 5, 10, 20 … seconds, for
# some three hours in all, whenever the run's site is asked for something anyway.
_FIRST_PAUSE_S = 5
_MOST_TRIES = 12
# As in poll.py: what is sent before an answer is read has to fit into the channel's window.
_FOLDERS_AT_ONCE = 5000
_MOST_GPUS = 1000
# A line for each GPU in usage.csv of the newest attempt, or in usage-0.csv and so on, one for each node
# (time_s,gpu,utilization_percent,memory_mb,power_w): its node or -, its index, how many samples, their mean
# use, the most memory, their mean power or -.
_GPUS = (
    NEWEST_ATTEMPT
    + r"""while IFS= read -r folder; do
    newest_attempt "$folder"
    for file in "$folder/attempt-$newest"/usage.csv "$folder/attempt-$newest"/usage-*.csv; do
        [ -f "$file" ] || continue
        node=${file##*/usage} node=${node%.csv}
        LC_ALL=C awk -F, -v node="${node#-}" '
            $2 ~ /^ *[0-9]+ *$/ && $3 ~ /^ *[0-9.]+ *$/ {
                gpu = $2 + 0; count[gpu]++; use[gpu] += $3
                if ($4 + 0 > memory[gpu] + 0) memory[gpu] = $4 + 0
                if ($5 ~ /^ *[0-9.]+ *\r?$/) { powers[gpu]++; power[gpu] += $5 }
            }
            END {
                for (gpu in count)
                    printf "%s %d %d %.3f %.3f %s\n", node == "" ? "-" : node, gpu, count[gpu],
                        use[gpu] / count[gpu], memory[gpu],
                        powers[gpu] ? sprintf("%.3f", power[gpu] / powers[gpu]) : "-"
            }' "$file" 2>/dev/null
    done
    printf %s "$1"
done
"""
)
_NUMBER = r"[0-9]{1,12}(?:\.[0-9]{1,3})?"
_GPU = re.compile(rf"([0-9]{{1,6}}|-) ([0-9]{{1,6}}) ([0-9]{{1,12}}) ({_NUMBER}) ({_NUMBER}) ({_NUMBER}|-)")


def wants_usage(run: Run, now_s: float) -> bool:
    """True where a run is over, and what it used is still to be asked.

    Args:
        run: the run.
        now_s: the time, in seconds since 1970.
    """
    if run.usage is not None or run.job_id is None or not run.status.state.is_over:
        return False
    if run.status.elapsed_s == 0:  # It never began, or for less than a second.
        return False
    pause_s = _FIRST_PAUSE_S * 2 ** (run.usage_tries - 1)
    return run.usage_tries < _MOST_TRIES and (
        run.usage_asked_s is None or now_s - run.usage_asked_s >= pause_s
    )


def add_usage(host: Host, runs: Sequence[Run]) -> list[Run]:
    """The same runs of one site; those that are over have what they used, as far as that is known by now.

    A run that has it is not asked for again. What goes wrong here is no error: it is asked another time.

    Raises:
        SshError: the connection was lost.
    """
    runs = [_unfinished(run) for run in runs]
    now_s = time.time()
    wanted = [run for run in runs if wants_usage(run, now_s)]
    if not wanted:
        return runs
    answer = _ask(host, wanted)
    found = [_with_usage(run, answer) for run in wanted]
    gpus = _gpu_use(host, [run for run in found if run is not None and run.usage and run.usage.gpus])
    new: dict[str, Run] = {}
    for run, known in zip(wanted, found, strict=True):
        tried = replace(run, usage_tries=run.usage_tries + 1, usage_asked_s=int(now_s))
        new[run.run_id] = tried if known is None else _with_gpus(known, gpus)
    return [new.get(run.run_id, run) for run in runs]


def given_memory_bytes(run: Run, task: int | None) -> int | None:
    """The memory that a task had on each node, or its part of that, as far as accounting has told it."""
    usage = run.usage if task is None or run.bundles else run.task_usages.get(task)
    given = usage.asked_memory_bytes if usage else None
    return given // run.width if given is not None else None


def _unfinished(run: Run) -> Run:
    """A run that was requeued after an end is asked for again at its next one."""
    if run.status.state.is_over or (run.usage is None and not run.usage_tries):
        return run
    return replace(run, usage=None, task_usages={}, usage_tries=0, usage_asked_s=None)


def _ask(host: Host, runs: Sequence[Run]) -> UsageAnswer:
    queries = [
        JobQuery(
            name=run.run_id,
            submitted=run.submitted,
            job_id=run.job_id,
            tasks=run.array_tasks,
            site_values=run.site_values,
        )
        for run in runs
    ]
    try:
        return find_scheduler(runs[0].scheduler).usage(host, queries)
    except (ParseError, RemoteError) as error:
        return UsageAnswer(usages={}, problem=str(error))


def _with_usage(run: Run, answer: UsageAnswer) -> Run | None:
    """The run with what it and all its tasks used; ``None`` where one of them is missing."""
    found = {task: answer.usages.get((run.run_id, task)) for task in run.array_tasks}
    usages = {task: usage for task, usage in found.items() if usage is not None}
    if len(usages) < len(found):
        return None
    # Of tasks that share a job accounting knows only what all of them used.
    tasks = {task: usage for task, usage in usages.items() if task is not None and not run.bundles}
    return replace(run, usage=add_up([*usages.values()]), task_usages=tasks)


def _with_gpus(run: Run, gpus: Mapping[str, tuple[GpuUse, ...]]) -> Run:
    if run.usage is None:
        return run
    if not run.task_usages:
        return replace(run, usage=replace(run.usage, gpu_use=gpus.get(_folder(run, None), ())))
    tasks: dict[int, Usage] = {
        task: replace(usage, gpu_use=gpus.get(_folder(run, task), ()))
        for task, usage in run.task_usages.items()
    }
    return replace(run, usage=add_up([*tasks.values()]), task_usages=tasks)


def _folder(run: Run, task: int | None) -> str:
    return str(RunPaths(PurePosixPath(run.run_dir)).of_task(task).folder)


def _gpu_use(host: Host, runs: Sequence[Run]) -> dict[str, tuple[GpuUse, ...]]:
    """How GPUs were used, by the folder of each run or task; where there are no samples, nothing."""
    folders = [_folder(run, task) for run in runs for task in run.tasks]
    found: dict[str, tuple[GpuUse, ...]] = {}
    for start in range(0, len(folders), _FOLDERS_AT_ONCE):
        some = folders[start : start + _FOLDERS_AT_ONCE]
        asked, mark = "".join(f"{folder}\n" for folder in some).encode(), f"-{secrets.token_hex(16)}-"
        try:
            done = host.run_in_login_shell(
                ["sh", "-c", _GPUS, "slipway", mark], stdin=[asked], stdin_bytes=len(asked)
            )
        except RemoteError:
            continue
        texts = done.stdout.split(mark)
        found |= {folder: _parse_gpus(text) for folder, text in zip(some, texts, strict=False) if text}
    return found


def _parse_gpus(text: str) -> tuple[GpuUse, ...]:
    matches = [match for match in map(_GPU.fullmatch, text.splitlines()[:_MOST_GPUS]) if match]
    uses = [
        GpuUse(
            node=None if match[1] == "-" else int(match[1]),
            gpu=int(match[2]),
            samples=int(match[3]),
            mean_utilization_percent=float(match[4]),
            peak_memory_mb=float(match[5]),
            mean_power_w=None if match[6] == "-" else float(match[6]),
        )
        for match in matches
    ]
    return tuple(sorted(uses, key=lambda use: (use.node or 0, use.gpu)))
