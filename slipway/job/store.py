"""The records of runs on this machine."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from slipway.errors import UsageError
from slipway.job.index import RunEntry, RunIndex
from slipway.job.record import format_run
from slipway.job.record_file import (
    UnreadableRecord,
    UnreadableRecordError,
    describe_unreadable,
    read_record,
)
from slipway.job.run import Run
from slipway.job.selection import ALL, Selection, find_called, have_one_name
from slipway.lock import is_locked, try_lock
from slipway.text.nearest import nearest
from slipway.tty import terminal_session
from slipway.whole_file import write_whole

_NO_RUNS = "there are no runs yet; `invoke job -- …` starts one"
# Runs that a message names.
_NAMED = 5


class RunStore:
    """The records of this machine, one JSON file a run.

    Args:
        folder: where they are.
        note: is told of records that are left out because they cannot be read.
    """

    def __init__(self, folder: Path, note: Callable[[str], None] = lambda text: None) -> None:
        self.folder = folder
        self._index = RunIndex(folder)
        self._note = note

    def save(self, run: Run, *, synced: bool = False) -> None:
        """Write a record as a whole.

        Args:
            run: the run.
            synced: a power cut after this leaves this one; else it may leave the one from before.
        """
        write_whole(self._path(run.run_id), format_run(run, local=True), synced=synced)

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
                self.save(run, synced=True)
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

    def select(self, selection: Selection = ALL, count: int | None = None) -> Sequence[Run]:
        """The runs that are meant, the newest first, and no more than ``count``. No other record is read.

        Records that cannot be read are left out, and told in one note.
        """
        runs, unreadable = self.read(selection, count)
        self._tell(unreadable)
        return runs

    def read(
        self, selection: Selection = ALL, count: int | None = None
    ) -> tuple[Sequence[Run], Sequence[UnreadableRecord]]:
        """As :meth:`select`, and all records that cannot be read, of which nothing is told."""
        entries, unreadable = self._index.look()
        runs: list[Run] = []
        for entry in filter(selection.matches, entries):
            if len(runs) == count:
                break
            run = self._readable(entry, unreadable)
            # Another command may just have written it.
            if run and selection.matches(run):
                runs.append(run)
        return runs, unreadable

    def entries(self) -> Iterator[RunEntry]:
        """What is known of all runs without reading their records, the newest first."""
        return self._index.look()[0]

    def newest(self, session: str | None) -> Run:
        """The newest run that a terminal session has submitted; the newest of all where there is none.

        Args:
            session: as :func:`slipway.tty.terminal_session` gives it; the run has it where it is its own.

        Raises:
            UsageError: there are no runs.
        """
        entries, unreadable = self._index.look()
        self._tell(unreadable)
        mine_first = sorted(entries, key=lambda entry: not (session and entry.session == session))
        run = next(filter(None, (self._readable(entry, unreadable) for entry in mine_first)), None)
        if run is None:
            raise UsageError(_NO_RUNS)
        return run

    def find(self, word: str | None, *, to_end: bool = False) -> Run:
        """The run that is called so; without a word, the newest of this terminal session.

        Of several runs that have one name it is the newest, which is told.

        Args:
            word: an id or a name, or the beginning of either.
            to_end: it is to be ended: of several runs that have one name it is the one that is not over,
                and it is not clear which where that is several.

        Raises:
            UnreadableRecordError: it is one whose record cannot be read.
            UsageError: there is none, or it is not clear which.
        """
        if not word:
            return self.newest(terminal_session())
        # A whole id goes before all else, and needs no look at other files.
        run = read_record(self._path(word)) if Path(word).name == word else None
        if isinstance(run, Run):
            return run
        entries, unreadable = self._index.look()
        known: Sequence[RunEntry | UnreadableRecord] = [*entries, *unreadable]
        found = find_called(word, known)
        if not found:
            raise UsageError(_unknown(word, known))
        if len(found) > 1:
            if not have_one_name(word, found):
                raise UsageError(_unclear(word, found))
            found = self._of_one_name(found, to_end=to_end)
        run = read_record(self._path(found[0].run_id))
        if isinstance(run, UnreadableRecord):
            raise UnreadableRecordError(run)
        if run is None:
            raise UsageError(f"{found[0].run_id} has just been removed")
        return run

    def replace_unreadable(self, record: UnreadableRecord, run: Run) -> Path | None:
        """Keep a record that was found elsewhere; the unreadable file gets another name beside it.

        Returns:
            Where the unreadable file is now; ``None`` where another command has replaced it meanwhile.
        """
        if not isinstance(read_record(record.file), UnreadableRecord):
            return None
        kept = record.file.with_suffix(f".{secrets.token_hex(2)}.unreadable")
        record.file.replace(kept)
        self.save(run)
        return kept

    def _of_one_name(
        self, found: Sequence[RunEntry | UnreadableRecord], *, to_end: bool
    ) -> Sequence[RunEntry]:
        """The one of several runs that is meant, which is told."""
        runs = [one for one in found if isinstance(one, RunEntry)]
        name, alive = runs[0].name, [run for run in runs if not run.state.is_over]
        if to_end and len(alive) > 1:
            ids = ", ".join(run.run_id for run in alive[:_NAMED])
            raise UsageError(
                f"{name} is the name of {len(alive)} runs that are not over: {ids}"
                f"{_more(alive)}; write the id of one, or `invoke cancel --name {name}` for all"
            )
        one, which = (alive[0], "one that is not over") if to_end and alive else (runs[0], "newest")
        self._note(
            f"{name} is the name of {len(runs)} runs; this is the {which}, {one.run_id}. "
            f"`invoke status --name {name}` lists them"
        )
        return [one]

    def _readable(self, entry: RunEntry, unreadable: list[UnreadableRecord]) -> Run | None:
        """The run of an entry; where its record cannot be read any more, that is added to the others."""
        run = read_record(self._path(entry.run_id))
        if isinstance(run, UnreadableRecord):
            unreadable.append(run)
            return None
        return run

    def _tell(self, unreadable: Sequence[UnreadableRecord]) -> None:
        if unreadable:
            self._note(describe_unreadable(unreadable))

    def _lock_path(self, run: Run) -> Path:
        return self.folder / f"{run.run_id}.lock"

    def _path(self, run_id: str) -> Path:
        return self.folder / f"{run_id}.json"


def _unknown(word: str, known: Sequence[RunEntry | UnreadableRecord]) -> str:
    if not known:
        return _NO_RUNS
    names = {one.name for one in known if one.name}
    starts = {one.run_id[: len(word)] for one in known} | names
    return f"no run's id or name starts with {word!r}{nearest(word, starts)}; `invoke status` lists them"


def _unclear(word: str, found: Sequence[RunEntry | UnreadableRecord]) -> str:
    shown = ", ".join(f"{one.run_id} ({one.name})" if one.name else one.run_id for one in found[:_NAMED])
    return f"{word!r} is the beginning of several runs' ids or names: {shown}{_more(found)}; write more of it"


def _more(runs: Sequence[object]) -> str:
    return f" and {len(runs) - _NAMED} more" if len(runs) > _NAMED else ""
