"""The attempts of a run: what the job script wrote at the end of each, here or on the cluster."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from slipway.errors import ParseError, RemoteError
from slipway.host.host import Host
from slipway.job.ending import ScriptResult, parse_result
from slipway.job.output import read_small
from slipway.job.run import Run

_FOLDER = re.compile(r"(?:task-(?P<task>[0-9]{1,9})/)?attempt-(?P<number>[0-9]{1,9})")
_GONE = 79
# For scripts that run on a cluster.
NEWEST_ATTEMPT = """newest_attempt() { # the folder of a run or a task; sets newest, to 0 where there is none
    newest=0
    for path in "$1"/attempt-*; do
        number=${path##*/attempt-}
        case $number in *[!0-9]*) continue ;; esac
        [ "$number" -le "$newest" ] || newest=$number
    done
}
"""
# One round trip: the difference, where it is asked for, then each attempt, with a mark before it that was
# drawn for this question.
_READ = f"""
mark=$1 with_diff=$2
cd -- "$3" 2>/dev/null || {{ [ -n "$4" ] && cd -- "$4" 2>/dev/null; }} || exit {_GONE}
[ "$with_diff" = no ] || [ ! -f code.diff ] || head -c 16777216 code.diff
for folder in attempt-* task-*/attempt-*; do
    [ -d "$folder" ] || continue
    printf '%s%s\\0' "$mark" "$folder"
    [ ! -f "$folder/result.json" ] || head -c 65536 "$folder/result.json"
done
"""


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One attempt.

    Attributes:
        number: counted from 1.
        task: of an array.
        result: what its script wrote at its end; ``None`` while it runs, and where it could not write.
    """

    number: int
    task: int | None = None
    result: ScriptResult | None = None


@dataclass(frozen=True, kw_only=True)
class There:
    """What a run's folder on the cluster holds: its attempts, and what was not committed."""

    attempts: Sequence[Attempt]
    diff: str | None


def read_attempts_here(folder: Path) -> list[Attempt]:
    """The attempts of a run whose results are home, in order.

    Args:
        folder: the run's, here. Nothing in it is followed that is a link.
    """
    names = [path.relative_to(folder).as_posix() for path in _folders(folder)]
    return _in_order(_attempt(name, _read(folder / name / "result.json")) for name in names)


def read_attempts_there(host: Host, run: Run, *, with_diff: bool) -> There | None:
    """What is on the cluster, by one round trip; ``None`` where the run's folder is gone, and its copy, too.

    Raises:
        SshError: the connection was lost.
        RemoteError: it cannot be read.
    """
    mark = f"-{secrets.token_hex(16)}-"
    words = [mark, "yes" if with_diff else "no", run.run_dir, run.kept or ""]
    done = host.run_in_login_shell(["sh", "-c", _READ, "slipway", *words], timeout_s=600)
    if done.exit_code == _GONE:
        return None
    if not done.ok:
        raise RemoteError(f"{host.target}:{run.run_dir} cannot be read: {done.explain()}")
    diff, *pieces = done.stdout.split(mark)
    named = (piece.partition("\0") for piece in pieces)
    attempts = _in_order(_attempt(name, content) for name, _, content in named)
    return There(attempts=attempts, diff=diff if with_diff and diff else None)


def newest_output(folder: Path) -> Path | None:
    """The output of a run's last attempt that is home; ``None`` for an array, and where there is none."""
    numbers = [one.number for one in read_attempts_here(folder) if one.task is None]
    return folder / f"attempt-{max(numbers)}" / "out" if numbers else None


def _folders(folder: Path) -> Iterable[Path]:
    tasks = (path for path in folder.glob("task-*") if not path.is_symlink())
    found = [*folder.glob("attempt-*"), *(path for task in tasks for path in task.glob("attempt-*"))]
    return [path for path in found if path.is_dir() and not path.is_symlink()]


def _read(file: Path) -> str:
    try:
        return read_small(file).decode("utf-8", errors="replace")
    except OSError:
        return ""


def _attempt(name: str, content: str) -> Attempt | None:
    found = _FOLDER.fullmatch(name)
    if found is None:
        return None
    result = None
    if content:
        try:
            result = parse_result(content)
        except ParseError:
            result = None  # A full disk may have cut it short.
    task = None if found["task"] is None else int(found["task"])
    return Attempt(number=int(found["number"]), task=task, result=result)


def _in_order(attempts: Iterable[Attempt | None]) -> list[Attempt]:
    found = [one for one in attempts if one is not None]
    return sorted(found, key=lambda one: (-1 if one.task is None else one.task, one.number))
