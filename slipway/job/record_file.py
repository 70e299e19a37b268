"""Record files: the record of one run, read from a file of this machine, and those that cannot be read."""

from __future__ import annotations

import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from slipway.errors import UsageError
from slipway.job.record import NewerRecordError, parse_run
from slipway.job.run import Run

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
        name: of the run, which is not known.
    """

    run_id: str
    file: Path
    why: str
    is_newer: bool = False
    content: bytes = b""
    name: None = None


class UnreadableRecordError(UsageError):
    """The run that is asked for has a record that cannot be read."""

    def __init__(self, record: UnreadableRecord) -> None:
        super().__init__(f"{record.file} cannot be read: {record.why}")
        self.record = record


# What was read last, with inode, size and times of its file: a command looks at the same records often.
# A record is written as a new file each time.
_READ: dict[Path, tuple[tuple[int, ...], Run]] = {}
_MOST_READ = 64


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


def read_record(file: Path) -> Run | UnreadableRecord | None:
    """What a record file holds; ``None`` where it is not there."""
    content = b""
    try:
        status = file.stat()
        if not stat.S_ISREG(status.st_mode) or status.st_size > MOST_BYTES:
            raise ValueError("it is too large, or not a file")
        stamp = (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        known = _READ.get(file)
        if known and known[0] == stamp:
            return known[1]
        content = file.read_bytes()
        run = parse_run(content)
        if run.run_id != file.stem:
            raise ValueError(f"it is the record of {run.run_id}")
        _keep(file, stamp, run)
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


def _keep(file: Path, stamp: tuple[int, ...], run: Run) -> None:
    _READ[file] = (stamp, run)
    # Two threads may do so at once.
    while len(_READ) > _MOST_READ:
        _READ.pop(next(iter(_READ)), None)
