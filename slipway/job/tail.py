"""Tails: what a run prints, piece by piece, over one connection or several."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Protocol

from slipway.host.host import Host
from slipway.job.elements import describe_values
from slipway.job.run import Run, RunPaths
from slipway.job.wanted import LAST

# A log may be larger than this machine's memory: so much of it is in there at once.
PIECE_BYTES = 4 << 20
_BLOCK_BYTES = 64 << 10
# A progress bar ends its lines by carriage returns alone.
_LINE_END = re.compile(rb"\r\n|\r|\n")


class Files(Protocol):
    """Files that can be read in pieces."""

    def size(self, path: PurePosixPath) -> int | None:
        """The size of one in bytes; ``None`` where it is not there."""
        ...

    def read(self, path: PurePosixPath, offset: int = 0, most_bytes: int | None = None) -> bytes | None:
        """The bytes of one from ``offset`` on, at most so many; ``None`` where it is not there."""
        ...


@dataclass(frozen=True, kw_only=True)
class LogPart:
    """Which part of a run's log is wanted; nothing in it is all of it.

    Attributes:
        tasks: indices of an array's tasks.
        attempt: a number, or ``last`` for the newest, and those that begin meanwhile.
        last_lines: so many lines from the end, of each task; of its newest attempt, if no other is named.
    """

    tasks: frozenset[int] = frozenset()
    attempt: int | str | None = None
    last_lines: int | None = None


class LogTail:
    """Hands over a run's log piece by piece, each piece once, attempts and tasks one after the other.

    What was handed over is remembered here, so that the next piece may be read over another connection.

    Attributes:
        said: something was handed over.
        is_behind: there is more to be read at once.
    """

    def __init__(self, run: Run, on_text: Callable[[str], None], part: LogPart | None = None) -> None:
        part = part or LogPart()
        self._paths = RunPaths(PurePosixPath(run.run_dir))
        self._on_text = on_text
        self._tasks = [
            _TaskTail(self._paths.of_task(task), _describe_task(run, task), self._tell, part)
            for task in run.tasks
            if not part.tasks or task in part.tasks
        ]
        # One log of SLURM's is for all attempts.
        self._speaks_for_all = not isinstance(part.attempt, int) and part.last_lines != 0
        self._current = 0
        self._finished = 0
        self._heading: str | None = None
        self._ends_line = True
        self.said = False
        self.is_behind = False

    def read(self, host: Host) -> bool:
        """Hand over what has come since the last call; true if the newest attempt has written its result.

        Where that is much it is only a piece, and ``is_behind`` says so. An array's tasks are read in order:
        what one prints is handed over when those before it are over.

        Raises:
            SshError: the connection was lost. Nothing is lost with it: call this again with a new one.
        """
        self.is_behind = False
        while self._tasks[self._current].read(host):
            if self._current == len(self._tasks) - 1:
                return True
            self._current += 1
        self.is_behind = self._tasks[self._current].is_behind
        return False

    def finish(self, host: Host) -> bool:
        """Hand over the rest, or what SLURM itself has said of a run whose script never printed anything.

        Returns:
            False where that was only a piece of it: call this again.
        """
        self.is_behind = False
        # Tasks may have been tried again after their turn.
        while self._finished < len(self._tasks):
            task = self._tasks[self._finished]
            task.read(host)
            if task.is_behind:
                self.is_behind = True
                return False
            self._finished += 1
        if self.said or not self._speaks_for_all:
            return True
        if content := host.read(self._paths.slurm_log, 0, PIECE_BYTES):
            self._tell(content.decode("utf-8", errors="surrogateescape"), None)
        return True

    def left_bytes(self, host: Host) -> int:
        """How much of the log that is read now is still to come."""
        return self._tasks[min(self._finished, len(self._tasks) - 1)].left_bytes(host)

    def _tell(self, text: str, heading: str | None) -> None:
        if heading != self._heading:
            self._heading = heading
            text = f"{'' if self._ends_line else chr(10)}--- {heading} ---\n{text}"
        if text:
            self.said, self._ends_line = True, text.endswith("\n")
            self._on_text(text)


class EndTail:
    """In the place of a :class:`LogTail` where nobody reads the log: only looks whether the run has ended."""

    is_behind = False

    def __init__(self, run: Run) -> None:
        paths = RunPaths(PurePosixPath(run.run_dir))
        self._left = [paths.of_task(task) for task in run.tasks]

    def read(self, host: Host) -> bool:
        """See :meth:`LogTail.read`."""
        while _look_for_end(host, self._left[0])[1]:
            if len(self._left) == 1:
                # It may begin again.
                return True
            self._left.pop(0)
        return False

    def finish(self, host: Host) -> bool:
        """Nothing is left to be read."""
        return True


class FileTail:
    """Hands over one file, in pieces."""

    def __init__(
        self, path: PurePosixPath, on_text: Callable[[str], None], last_lines: int | None = None
    ) -> None:
        self._path = path
        self._on_text = on_text
        self._last_lines = last_lines
        self._offset: int | None = None
        self._decoder = _decoder()

    def read(self, host: Host) -> bool:
        """Hand over a piece; false where there was none any more."""
        if self._offset is None:
            lines = self._last_lines
            self._offset = 0 if lines is None else begin_of_last(host, self._path, lines)
        content = host.read(self._path, self._offset, PIECE_BYTES) or b""
        self._offset += len(content)
        if text := self._decoder.decode(content, final=not content):
            self._on_text(text)
        return bool(content)


class _TaskTail:
    """The log of a run, or of one of its tasks."""

    def __init__(
        self, paths: RunPaths, name: str | None, tell: Callable[[str, str | None], None], part: LogPart
    ) -> None:
        self._paths = paths
        self._name = name
        self._tell = tell
        self._part = part
        self._only = part.attempt if isinstance(part.attempt, int) else None
        self._attempt = self._only or 1
        self._offset = 0
        self._decoder = _decoder()
        self._has_begun = part.last_lines is None and part.attempt != LAST
        self._newest, self._ended = 1, False
        self.is_behind = False

    def read(self, host: Host) -> bool:
        if not self.is_behind:
            # Looked for first: what comes before the result is then in the log.
            self._newest, self._ended = _look_for_end(host, self._paths)
        if not self._has_begun:
            self._begin(host)
        self._read_on(host)
        while not self.is_behind and self._attempt < (self._only or self._newest):
            self._tell_text(self._decoder.decode(b"", final=True))
            self._attempt, self._offset, self._decoder = self._attempt + 1, 0, _decoder()
            self._tell("", self._heading())
            self._read_on(host)
        return self._ended and not self.is_behind

    def left_bytes(self, host: Host) -> int:
        return (host.size(self._paths.log(self._attempt)) or 0) - self._offset

    def _begin(self, host: Host) -> None:
        """Go to where the part that is wanted begins."""
        self._attempt = self._only or self._newest
        if self._part.last_lines is not None:
            self._offset = begin_of_last(host, self._paths.log(self._attempt), self._part.last_lines)
        self._has_begun = True

    def _read_on(self, host: Host) -> None:
        content = host.read(self._paths.log(self._attempt), self._offset, PIECE_BYTES) or b""
        # Nothing between here and the end can fail for the connection.
        self._offset += len(content)
        self.is_behind = len(content) >= PIECE_BYTES
        self._tell_text(self._decoder.decode(content))

    def _tell_text(self, text: str) -> None:
        if text:
            self._tell(text, self._heading())

    def _heading(self) -> str | None:
        words = [] if self._name is None else [self._name]
        words += [] if self._attempt == 1 else [f"attempt {self._attempt}"]
        return ", ".join(words) or None


def _describe_task(run: Run, task: int | None) -> str | None:
    """What a person is told that a task is: its number, and what sets it apart in a sweep."""
    if task is None:
        return None
    values = run.elements.get(task)
    return f"task {task}, {describe_values(values)}" if values else f"task {task}"


def begin_of_last(host: Files, path: PurePosixPath, lines: int) -> int:
    """Where in a file its last lines begin, found from its end; a carriage return ends a line, too.

    Args:
        host: where it lies.
        path: the file; where it is not there that is 0.
        lines: how many.
    """
    position = size = host.size(path) or 0
    block_bytes, left, behind = _BLOCK_BYTES, lines, b""
    while position and left:
        start = max(0, position - block_bytes)
        content = host.read(path, start, position - start) or b""
        ends = [start + found.end() for found in _LINE_END.finditer(content)]
        if content.endswith(b"\r") and behind.startswith(b"\n"):
            ends.pop()  # Its second half was counted.
        # What ends the file begins no line.
        begins = [end for end in ends if end < size]
        if len(begins) >= left:
            return begins[-left]
        left -= len(begins)
        position, behind, block_bytes = start, content[:1], min(block_bytes * 2, PIECE_BYTES)
    return 0 if left else size


def _look_for_end(host: Host, paths: RunPaths) -> tuple[int, bool]:
    """The newest attempt's number, 1 at least, and whether it has written its result."""
    newest = max(last_attempt(host, paths), 1)
    return newest, host.size(paths.result(newest)) is not None


def last_attempt(host: Host, paths: RunPaths) -> int:
    """The number of the newest attempt, 0 where the script has not begun yet."""
    numbers = [name.removeprefix("attempt-") for name in host.list(paths.folder) if "attempt-" in name]
    return max((int(number) for number in numbers if re.fullmatch(r"[0-9]{1,9}", number)), default=0)


def _decoder() -> codecs.IncrementalDecoder:
    # A character of several bytes may be half written: its beginning waits for the rest.
    # What is no UTF-8 stays as lone surrogates, so that whoever wants the bytes can have them.
    return codecs.getincrementaldecoder("utf-8")(errors="surrogateescape")
