"""The records of runs on this machine."""

from __future__ import annotations

import secrets
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from slipway.errors import UsageError
from slipway.job.record import NewerRecordError, format_run, parse_run
from slipway.job.run import Run
from slipway.job.selection import Selection, is_called
from slipway.lock import is_locked, try_lock
from slipway.text.nearest import nearest
from slipway.tty import terminal_session

# Arguments may have 2 MB, and JSON has six bytes for some of theirs.
MOST_BYTES = 64 << 20
# Records that a note names.
_NAMED = 5


@dataclass(frozen=True, kw_only=True)
class UnreadableRecord:
    """A file that should be a record and cannot be read as one.

    Attributes:
        run_id: of the run, by the file's name.
        file: the file.
        why: what is wrong with it.
        is_newer: a newer Slipway wrote it, so nothing is wrong with it.
        content: what it holds, as far as it can be read.
    """

    run_id: str
    file: Path
    why: str
    is_newer: bool = False
    content: bytes = b""


class UnreadableRecordError(UsageError):
    """The run that is asked for has a record that cannot be read."""

    def __init__(self, record: UnreadableRecord) -> None:
        super().__init__(f"{record.file} cannot be read: {record.why}")
        self.record = record


def describe_unreadable(records: Sequence[UnreadableRecord]) -> str:
    """What is said of records that are left out: which, why, and what to do."""
    are = "1 record is" if len(records) == 1 else f"{len(records)} records are"
    lines = [f"{are} left out:", *(f"  {one.file}: {one.why}" for one in records[:_NAMED])]
    if len(records) > _NAMED:
        lines.append(f"  and {len(records) - _NAMED} more in {records[0].file.parent}")
    damaged = next((one for one in records if not one.is_newer), None)
    if damaged:
        lines.append(f"  `invoke status {damaged.run_id}` brings it again from its cluster")
    if any(one.is_newer for one in records):
        lines.append("  Update Slipway in this checkout to read what a newer one wrote")
    return "\n".join(lines)


class RunStore:
    """The records of this machine, one JSON file a run.

    Args:
        folder: where they are.
        note: is told of records that are left out because they cannot be read.
    """

    def __init__(self, folder: Path, note: Callable[[str], None] = lambda text: None) -> None:
        self.folder = folder
        self._note = note

    def save(self, run: Run) -> None:
        """Write a record as a whole."""
        self.folder.mkdir(parents=True, exist_ok=True)
        file = self._path(run.run_id)
        # Two commands may write down the same run at once.
        part = file.with_suffix(f".{secrets.token_hex(4)}.part")
        part.write_text(format_run(run, local=True), encoding="utf-8")
        part.replace(file)

    def forget(self, run: Run) -> None:
        """Remove a record."""
        self._path(run.run_id).unlink(missing_ok=True)

    @contextmanager
    def submitting(self, run: Run) -> Iterator[None]:
        """Write a new record, and hold it while its job is submitted; that ends with this process at last.

        Raises:
            FileExistsError: there is a run of this id.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self._lock_path(run)
        is_mine = False
        try:
            with try_lock(path) as is_mine:
                if not is_mine or self.has(run):
                    raise FileExistsError(f"{self._path(run.run_id)} is there already")
                self.save(run)
                yield
        finally:
            if is_mine:  # Not before it is let go: Windows does not remove a file that is open.
                path.unlink(missing_ok=True)

    def is_submitting(self, run: Run) -> bool:
        """True while a process of this machine is in :meth:`submitting` with the run."""
        return is_locked(self._lock_path(run))

    def has(self, run: Run) -> bool:
        """True where there is a record of the run."""
        return self._path(run.run_id).is_file()

    def list(self) -> list[Run]:
        """All runs whose records can be read, the newest first; the others are told in one note."""
        runs, unreadable = self.read_all()
        if unreadable:
            self._note(describe_unreadable(unreadable))
        return [*runs]

    def select(self, selection: Selection, count: int | None = None) -> Sequence[Run]:
        """The runs that are meant, the newest first, and no more than ``count``; see :meth:`list`."""
        return [run for run in self.list() if selection.matches(run)][:count]

    def read_all(self) -> tuple[Sequence[Run], Sequence[UnreadableRecord]]:
        """All runs, the newest first, and the records that cannot be read."""
        found = [one for file in sorted(self.folder.glob("*.json")) if (one := self._read(file)) is not None]
        runs = [one for one in found if isinstance(one, Run)]
        unreadable = [one for one in found if isinstance(one, UnreadableRecord)]
        return sorted(runs, key=lambda run: run.submitted, reverse=True), unreadable

    def newest(self, session: str | None) -> Run:
        """The newest run that a terminal session has submitted; the newest of all where there is none.

        Args:
            session: as :func:`slipway.tty.terminal_session` gives it; the run has it where it is its own.

        Raises:
            UsageError: there are no runs.
        """
        runs = self.list()
        if not runs:
            raise UsageError("there are no runs yet; `invoke job -- …` starts one")
        return next((run for run in runs if session and run.session == session), runs[0])

    def find(self, prefix: str | None) -> Run:
        """The run whose id or name starts with ``prefix``; without one, the newest of this terminal session.

        Raises:
            UnreadableRecordError: it is one whose record cannot be read.
            UsageError: there is none, or more than one.
        """
        if not prefix:
            return self.newest(terminal_session())
        runs, unreadable = self.read_all()
        known: Sequence[Run | UnreadableRecord] = [*runs, *unreadable]
        if not known:
            raise UsageError("there are no runs yet; `invoke job -- …` starts one")
        found = [
            one
            for one in known
            if (is_called(one, prefix) if isinstance(one, Run) else one.run_id.startswith(prefix))
        ]
        if not found:
            starts = {one[: len(prefix)] for one in (run.run_id for run in known)}
            raise UsageError(
                f"no run's id or name starts with {prefix!r}{nearest(prefix, starts)}; "
                "`invoke status` lists them"
            )
        if len(found) > 1:
            ids = ", ".join(one.run_id for one in found)
            raise UsageError(
                f"{prefix!r} is the beginning of several runs' ids or names: {ids}; write more of it"
            )
        if isinstance(found[0], UnreadableRecord):
            raise UnreadableRecordError(found[0])
        return found[0]

    def replace_unreadable(self, record: UnreadableRecord, run: Run) -> Path | None:
        """Keep a record that was found elsewhere; the unreadable file gets another name beside it.

        Returns:
            Where the unreadable file is now; ``None`` where another command has replaced it meanwhile.
        """
        if not isinstance(self._read(record.file), UnreadableRecord):
            return None
        kept = record.file.with_suffix(f".{secrets.token_hex(2)}.unreadable")
        record.file.replace(kept)
        self.save(run)
        return kept

    def _lock_path(self, run: Run) -> Path:
        return self.folder / f"{run.run_id}.lock"

    def _path(self, run_id: str) -> Path:
        return self.folder / f"{run_id}.json"

    def _read(self, file: Path) -> Run | UnreadableRecord | None:
        content = b""
        try:
            status = file.stat()
            if not stat.S_ISREG(status.st_mode) or status.st_size > MOST_BYTES:
                raise ValueError("it is too large, or not a file")
            content = file.read_bytes()
            run = parse_run(content)
            if run.run_id != file.stem:
                raise ValueError(f"it is the record of {run.run_id}")
        except FileNotFoundError:  # another command has just removed it
            return None
        except (OSError, ValueError) as error:
            why = (error.strerror if isinstance(error, OSError) else str(error)) or type(error).__name__
            return UnreadableRecord(
                run_id=file.stem,
                file=file,
                why=why.splitlines()[0],
                is_newer=isinstance(error, NewerRecordError),
                content=content,
            )
        return run
