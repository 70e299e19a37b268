"""The index of the records of runs: by it runs are selected, so that no record of another one is read.

As with git's index, a record whose file looks as it did is not read again. Only the files count: what an
older Slipway, a person or another command does to them is seen by how they look, and an index that is
missing, damaged or of another version is made anew.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from slipway.hash_cache import RACY_NS, file_key
from slipway.job.record import VERSION
from slipway.job.record_file import UnreadableRecord, read_record
from slipway.job.run import Run
from slipway.scheduler.base import State

# To be raised when a row changes, or when records are read with another result.
_FORMAT = 1
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_SUFFIX = ".json"

# How the record's file looks; when it was submitted, in µs since 1970; state, site, profile, name, session.
Row = list[Any]


@dataclass(frozen=True, kw_only=True)
class RunEntry:
    """What of a run decides whether it is meant; see :class:`slipway.job.run.Run`."""

    run_id: str
    name: str | None
    site: str
    profile: str
    submitted: datetime
    state: State
    session: str | None


class RunIndex:
    """The index of one folder of records; it is kept beside the folder.

    Args:
        folder: where the records are, one JSON file a run.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._place = folder.with_name(f"{folder.name}.index")

    def look(self) -> tuple[Iterator[RunEntry], list[UnreadableRecord]]:
        """All runs, the newest first, and the records that cannot be read.

        Those that look as they did are not read again.
        """
        began_ns = time.time_ns()
        known, rows, unreadable = self._recall(), dict[str, Row](), list[UnreadableRecord]()
        for run_id, key in sorted(_files(self._folder)):
            row = known.get(run_id)
            if row is None or row[0] != key:
                found = read_record(self._folder / f"{run_id}{_SUFFIX}")
                if isinstance(found, UnreadableRecord):
                    unreadable.append(found)
                row = _row(key, found) if isinstance(found, Run) else None
            if row:
                rows[run_id] = row
        self._remember(known, rows, began_ns - RACY_NS)
        newest_first = sorted(rows, key=lambda run_id: -rows[run_id][1])
        return (_entry(run_id, rows[run_id]) for run_id in newest_first), unreadable

    def _recall(self) -> Mapping[str, Row]:
        try:
            head, _, rows = self._place.read_bytes().partition(b"\n")
        except OSError:
            return {}
        known: Mapping[str, Row] = json.loads(rows) if head == _head(rows) else {}
        return known

    def _remember(self, known: Mapping[str, Row], rows: Mapping[str, Row], before_ns: int) -> None:
        """Keep what was found, without what was written so lately that a change may not be seen."""
        calm = {run_id: row for run_id, row in rows.items() if row[0] and max(row[0][1:3]) < before_ns}
        if calm == known:
            return
        text = json.dumps(calm).encode()
        part = self._place.with_name(f"{self._place.name}.{secrets.token_hex(4)}.part")
        try:
            part.write_bytes(b"\n".join((_head(text), text)))
            part.replace(self._place)
        except OSError:  # It only saves time.
            with suppress(OSError):
                part.unlink(missing_ok=True)


def _files(folder: Path) -> Iterator[tuple[str, list[int]]]:
    """The ids by the names of the records, and how their files look; nothing, where that is not known."""
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.endswith(_SUFFIX):
                key: list[int] = []
                with suppress(OSError):  # Reading it says why.
                    key = [*file_key(entry.stat())]
                yield entry.name.removesuffix(_SUFFIX), key


def _head(rows: bytes) -> bytes:
    """The first line: what it is, and that it is whole."""
    states = ",".join(state.value for state in State)
    return f"slipway {_FORMAT} {VERSION} {states} {hashlib.sha256(rows).hexdigest()}".encode()


def _row(key: Sequence[int], run: Run) -> Row:
    submitted_us = (run.submitted - _EPOCH) // timedelta(microseconds=1)
    return [key, submitted_us, run.state.value, run.site, run.profile, run.name, run.session]


def _entry(run_id: str, row: Row) -> RunEntry:
    _, submitted_us, state, site, profile, name, session = row
    return RunEntry(
        run_id=run_id,
        name=name,
        site=site,
        profile=profile,
        submitted=_EPOCH + timedelta(microseconds=submitted_us),
        state=State(state),
        session=session,
    )
