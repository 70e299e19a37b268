"""Tails: what a run prints, piece by piece, over one connection or several."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable
from pathlib import PurePosixPath

from slipway.host.host import Host
from slipway.job.run import Run, RunPaths


class LogTail:
    """Hands over a run's log piece by piece, each piece once, attempts and tasks one after the other.

    What was handed over is remembered here, so that the next piece may be read over another connection.
    """

    def __init__(self, run: Run, on_text: Callable[[str], None]) -> None:
        self._paths = RunPaths(PurePosixPath(run.run_dir))
        self._on_text = on_text
        self._tasks = [_TaskTail(self._paths.of_task(task), task, self._tell) for task in run.tasks]
        self._current = 0
        self._heading: str | None = None
        self._ends_line = True
        self.said = False

    def read(self, host: Host) -> bool:
        """Hand over what has come since the last call; true if the newest attempt has written its result.

        An array's tasks are read in order: what one prints is handed over when those before it are over.

        Raises:
            SshError: the connection was lost. Nothing is lost with it: call this again with a new one.
        """
        while self._tasks[self._current].read(host):
            if self._current == len(self._tasks) - 1:
                return True
            self._current += 1
        return False

    def finish(self, host: Host) -> None:
        """Hand over the rest, or what SLURM itself has said of a run whose script never printed anything."""
        # Tasks may have been tried again after their turn.
        for task in self._tasks:
            task.read(host)
        content = None if self.said else host.read(self._paths.slurm_log)
        if content:
            self._tell(content.decode("utf-8", errors="surrogateescape"), None)

    def _tell(self, text: str, heading: str | None) -> None:
        if heading != self._heading:
            self._heading = heading
            text = f"{'' if self._ends_line else chr(10)}--- {heading} ---\n{text}"
        if text:
            self.said, self._ends_line = True, text.endswith("\n")
            self._on_text(text)


class EndTail:
    """In the place of a :class:`LogTail` where nobody reads the log: only looks whether the run has ended."""

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

    def finish(self, host: Host) -> None:
        """Nothing is left to be read."""


class _TaskTail:
    """The log of a run, or of one of its tasks."""

    def __init__(self, paths: RunPaths, task: int | None, tell: Callable[[str, str | None], None]) -> None:
        self._paths = paths
        self._task = task
        self._tell = tell
        self._attempt = 1
        self._offset = 0
        self._decoder = _decoder()

    def read(self, host: Host) -> bool:
        # Looked for first: what comes before the result is then in the log.
        newest, ended = _look_for_end(host, self._paths)
        self._read_on(host)
        while self._attempt < newest:
            self._tell_text(self._decoder.decode(b"", final=True))
            self._attempt, self._offset, self._decoder = self._attempt + 1, 0, _decoder()
            self._tell("", self._heading())
            self._read_on(host)
        return ended

    def _read_on(self, host: Host) -> None:
        content = host.read(self._paths.log(self._attempt), self._offset) or b""
        # Nothing between here and the end can fail for the connection.
        self._offset += len(content)
        self._tell_text(self._decoder.decode(content))

    def _tell_text(self, text: str) -> None:
        if text:
            self._tell(text, self._heading())

    def _heading(self) -> str | None:
        words = [] if self._task is None else [f"task {self._task}"]
        words += [] if self._attempt == 1 else [f"attempt {self._attempt}"]
        return ", ".join(words) or None


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
