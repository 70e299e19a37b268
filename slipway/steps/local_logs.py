"""What runs of this machine print: until now, or until their end."""

from __future__ import annotations

import codecs
import time
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from slipway.errors import UsageError
from slipway.job.run import Run
from slipway.job.tail import PIECE_BYTES, begin_of_last
from slipway.progress import explain_stop
from slipway.steps.local_runs import LOOK_S, look_here
from slipway.steps.logs import LogQuery
from slipway.steps.session import Session


def print_here(run: Run, query: LogQuery, on_text: Callable[[str], None]) -> None:
    """Hand over what a run has printed until now.

    Raises:
        UsageError: it has printed nothing, or other lines are asked for than its last.
    """
    log = _find_log(run, query)
    if not log.exists():
        raise UsageError(f"{run.shown} has printed nothing yet, or its folder was removed: there is no {log}")
    tail = _Tail(log, query.part.last_lines, on_text)
    tail.read()
    tail.end()


def follow_here(session: Session, run: Run, query: LogQuery, on_text: Callable[[str], None]) -> Run:
    """Hand over what a run prints until it is over.

    Returns:
        The run as it ended.

    Raises:
        UsageError: its program never began, or other lines are asked for than its last.
        KeyboardInterrupt: somebody has seen enough; the program goes on.
    """
    tail = _Tail(_find_log(run, query), query.part.last_lines, on_text)
    come_back = (
        f"The program goes on. `invoke logs {run.run_id} --follow` comes back to it, "
        f"`invoke cancel {run.run_id}` ends it."
    )
    with explain_stop(come_back):
        while True:
            is_known = session.store.is_submitting(run) or session.store.has(run)
            if not is_known:
                raise UsageError(f"{run.shown}: its program did not begin, and nothing is left of it")
            # Looked for first: what comes before the end is then in the log.
            (run,) = look_here(session, [run])
            tail.read()
            if run.status.state.is_over:
                tail.end()
                return run
            time.sleep(LOOK_S)


def _find_log(run: Run, query: LogQuery) -> Path:
    log = Path(run.run_dir) / "attempt-1" / "log"
    if query.pattern is not None or query.slurm:
        raise UsageError(f"{run.shown} ran on this machine; its log is {log}, to be searched with grep")
    return log


class _FilesHere:
    """Files of this machine."""

    def size(self, path: PurePosixPath) -> int | None:
        file = Path(path)
        return file.stat().st_size if file.exists() else None

    def read(self, path: PurePosixPath, offset: int = 0, most_bytes: int | None = None) -> bytes | None:
        if not Path(path).exists():
            return None
        with Path(path).open("rb") as file:
            file.seek(offset)
            return file.read(-1 if most_bytes is None else most_bytes)


class _Tail:
    """A log, handed over in pieces."""

    def __init__(self, log: Path, last_lines: int | None, on_text: Callable[[str], None]) -> None:
        self._files, self._log, self._on_text = _FilesHere(), PurePosixPath(log), on_text
        self._offset = 0 if last_lines is None else begin_of_last(self._files, self._log, last_lines)
        # A character may be half written; what is no UTF-8 stays as lone surrogates.
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="surrogateescape")

    def read(self) -> None:
        """Hand over what has come since the last time."""
        while content := self._files.read(self._log, self._offset, PIECE_BYTES):
            self._offset += len(content)
            self._tell(self._decoder.decode(content))

    def end(self) -> None:
        """Hand over what of a character has come."""
        self._tell(self._decoder.decode(b"", final=True))

    def _tell(self, text: str) -> None:
        if text:
            self._on_text(text)
