"""Which files of a run are wanted. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from slipway.code.dockerignore import MOST_LETTERS, translate
from slipway.errors import ParseError, UsageError
from slipway.job.run import Run
from slipway.quantity import parse_array

_ATTEMPT = re.compile(
    r"(?:task-(?P<task>[0-9]{1,9})/)?attempt-(?P<attempt>[0-9]{1,9})(?:/(?P<rest>.*))?", re.S
)
LAST = "last"


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Which files of a run are wanted; nothing in it is all of them.

    Attributes:
        only: patterns, of which one matches a name in an attempt's ``out``, or a folder that it lies in.
        tasks: indices of an array's tasks.
        attempt: a number, or :data:`LAST` for the newest of each task.
    """

    only: tuple[str, ...] = ()
    tasks: frozenset[int] = frozenset()
    attempt: int | str | None = None

    @property
    def is_all(self) -> bool:
        """True where nothing is left out."""
        return self == Wanted()

    def choose(self, names: Iterable[str]) -> list[str]:
        """Those of a run's files and folders that are wanted."""
        names = list(names)
        newest = newest_attempts(names)
        patterns = [_compile(pattern) for pattern in self.only]
        return [name for name in names if self._has(name, newest, patterns)]

    def _has(self, name: str, newest: dict[int | None, int], patterns: Sequence[re.Pattern[str]]) -> bool:
        found = _ATTEMPT.fullmatch(name)
        if found is None:
            # The run's own files beside its attempts are small.
            return not self.only and "/" not in name and not re.fullmatch(r"(task|attempt)-[0-9]+", name)
        task, attempt = _task(found), int(found["attempt"])
        if self.tasks and task not in self.tasks:
            return False
        if self.attempt is not None and attempt != (newest[task] if self.attempt == LAST else self.attempt):
            return False
        return not patterns or _matches(found["rest"] or "", patterns)


def newest_attempts(names: Iterable[str]) -> dict[int | None, int]:
    """The newest attempt of each task, by its index; of a run that is no array by ``None``."""
    newest: dict[int | None, int] = {}
    for name in names:
        if found := _ATTEMPT.fullmatch(name):
            task = _task(found)
            newest[task] = max(newest.get(task, 0), int(found["attempt"]))
    return newest


def parse_attempt(text: str | None) -> int | str | None:
    """Which attempt ``--attempt`` names: a number, :data:`LAST`, or ``None`` for all.

    Raises:
        UsageError: it is something else.
    """
    if text in (None, "all"):
        return None
    if text == LAST:
        return LAST
    if text is None or not re.fullmatch(r"[1-9][0-9]{0,8}", text):
        raise UsageError(f"--attempt {text:.99}: write a number from 1 on, last, or all")
    return int(text)


def parse_tasks(text: str | None) -> frozenset[int]:
    """Which tasks ``--task`` names, as ``--array`` has them; none for all.

    Raises:
        UsageError: they cannot be read.
    """
    if text is None:
        return frozenset()
    try:
        return frozenset(parse_array(text))
    except ParseError as error:
        raise UsageError(f"--task {text:.99}: write it as numbers and ranges, such as 3 or 0-9,12") from error


def parse_only(patterns: Iterable[str]) -> tuple[str, ...]:
    """Patterns that ``--only`` names, once they are seen to be some.

    Raises:
        UsageError: one is none.
    """
    patterns = tuple(patterns)
    for pattern in patterns:
        _compile(pattern)
    return patterns


def check_tasks(run: Run, tasks: Collection[int]) -> None:
    """Refuse tasks that a run does not have.

    Raises:
        UsageError: it has no tasks, or not these.
    """
    if not tasks:
        return
    if not run.task_indices:
        raise UsageError(f"{run.run_id} is no array: it has no tasks. Leave --task out")
    unknown = sorted(set(tasks) - set(run.task_indices))
    if unknown:
        spec = run.resources.get("array")
        raise UsageError(f"{run.run_id} has no task {unknown[0]}; its tasks are {spec}")


def _task(found: re.Match[str]) -> int | None:
    return None if found["task"] is None else int(found["task"])


def _compile(pattern: str) -> re.Pattern[str]:
    clean = pattern.removeprefix("./").removeprefix("/").removesuffix("/")
    if not clean or len(clean) > MOST_LETTERS:
        raise UsageError(
            f"--only {pattern!r:.200}: write a pattern of names in the output folder, such as '*.json'"
        )
    # As in .gitignore: a pattern that is one name is looked for in every folder.
    whole = clean if "/" in clean else f"**/{clean}"
    try:
        return re.compile(translate(whole), re.DOTALL)
    except (ValueError, re.error) as error:
        raise UsageError(f"--only {pattern!r:.200} is no pattern: {error}") from error


def _matches(rest: str, patterns: Sequence[re.Pattern[str]]) -> bool:
    if not rest.startswith("out/"):
        return False
    return any(pattern.fullmatch(path) for path in _with_folders(rest[4:]) for pattern in patterns)


def _with_folders(path: str) -> Iterator[str]:
    """A name, and the folders that it lies in."""
    while path:
        yield path
        path = path.rpartition("/")[0]
