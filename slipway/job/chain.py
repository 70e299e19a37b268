"""Runs that go on after their time limit: which link of how many they are in, and what ends the chain."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from slipway.errors import ParseError
from slipway.host.host import Host
from slipway.job.run import Reason, Run, RunPaths, Status
from slipway.text.number import whole

# A link that another one follows leaves this file in its attempt: cluster/job/chain.sh.
_KILLED = "its script was killed before it could ask for the next link"
_COUNT = """while IFS= read -r folder; do
    count=0
    for file in "$folder"/attempt-*/continues; do
        [ ! -e "$file" ] || count=$((count + 1))
    done
    echo $count
done
"""


def most_links(run: Run) -> int | None:
    """How many links a run has at most, the first one included; ``None`` where it ends by its time limit."""
    times = run.resources.get("continue_after_limit")
    return times + 1 if isinstance(times, int) and times > 0 else None


def count_links(host: Host, runs: Iterable[Run]) -> Mapping[tuple[str, int | None], int]:
    """In which link runs are, by their ids and tasks; those that do not go on are left out.

    Raises:
        SshError: the connection was lost.
        ParseError: the answer is not of the documented form.
    """
    wanted = [(run, task) for run in runs if most_links(run) for task in run.tasks]
    if not wanted:
        return {}
    folders = [RunPaths(PurePosixPath(run.run_dir)).of_task(task).folder for run, task in wanted]
    counts = [whole(line) for line in _count(host, folders)]
    if len(counts) != len(wanted) or None in counts:
        raise ParseError(f"{host.target}: the links of runs could not be counted; try again")
    return {(run.run_id, task): (count or 0) + 1 for (run, task), count in zip(wanted, counts, strict=True)}


def _count(host: Host, folders: Sequence[PurePosixPath]) -> list[str]:
    done = host.run(["sh", "-c", _COUNT], stdin="".join(f"{folder}\n" for folder in folders))
    return done.stdout.split() if done.ok else []


def tell_link(status: Status, link: int | None, most: int | None) -> Status:
    """The status with the link that it is of, which its note says as well from the second one on."""
    if link is None or most is None:
        return status
    words = [f"link {link} of at most {most}"] if link > 1 else []
    words += [status.note] if status.note else []
    if status.reason == Reason.TIME_LIMIT and status.script_reason is None:
        words.append(_KILLED)
    return replace(status, link=link, links=most, note="; ".join(words) or None)


def cancel_mark(run: Run) -> PurePosixPath:
    """The file by which a run is told that it was cancelled.

    A link that its script asked for in the very moment in which the job was cancelled would undo that.
    """
    return PurePosixPath(run.run_dir) / "cancelled"
