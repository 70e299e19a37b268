"""What of a run is home: a mark beside its results, written last, with what came.

While results are on their way there is no mark, so that nobody believes those of a pull that was cut.
"""

from __future__ import annotations

import json
import stat
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path

from slipway.job.selection import Entry
from slipway.jsontext import load_json
from slipway.whole_file import write_whole

MARK = "home.json"
_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Arrived:
    """A file that came.

    Attributes:
        size_bytes: its size.
        sha256: what both sides have; ``None`` where that was not asked.
        mtime_s: when it was last changed there, before that was asked, in seconds since 1970.
    """

    size_bytes: int
    sha256: str | None = None
    mtime_s: int | None = None


@dataclass(frozen=True, kw_only=True)
class Home:
    """What of a run is home.

    Attributes:
        folder: the run's folder here.
        is_complete: all that the run has left, as it was at its end, and it is still here.
        brought: when the last of it came.
        files: by their names in the folder.
    """

    folder: Path
    is_complete: bool
    brought: datetime
    files: Mapping[str, Arrived] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """How many files came."""
        return len(self.files)

    @property
    def size_bytes(self) -> int:
        """The size of all that came."""
        return sum(one.size_bytes for one in self.files.values())


def read_home(results: Path, run: Entry) -> Home | None:
    """What of a run is home, complete or in part; ``None`` where nothing is, or a pull was cut.

    It is complete only as long as the run is over, and every file that came is there with its size.

    Args:
        results: the folder of all results.
        run: the run, or what an index has of it.
    """
    home = _read(results / run.run_id)
    if home is None or not home.is_complete:
        return home
    is_there = run.state.is_over and all(is_here(home.folder / name, one) for name, one in home.files.items())
    return home if is_there else _in_part(home)


def is_marked_home(results: Path, run: Entry) -> bool:
    """True where the mark says that all of a run is home; nobody looks whether the files are there."""
    home = _read(results / run.run_id) if run.state.is_over else None
    return home is not None and home.is_complete


def forget_home(folder: Path) -> Home | None:
    """Take the mark away, before anything in a run's folder is changed; what it said."""
    home = _read(folder)
    with suppress(FileNotFoundError):
        (folder / MARK).unlink()
    return home


def write_home(home: Home) -> None:
    """Write the mark as a whole."""
    values = {
        "version": _VERSION,
        "complete": home.is_complete,
        "brought": home.brought.isoformat(timespec="seconds"),
        "files": {name: [one.size_bytes, one.sha256] for name, one in sorted(home.files.items())},
        # Not among the files: an older Slipway could not read them.
        "times": {name: one.mtime_s for name, one in sorted(home.files.items()) if one.mtime_s is not None},
    }
    write_whole(home.folder / MARK, json.dumps(values, indent=0) + "\n")


def now() -> datetime:
    """This moment, in whole seconds."""
    return datetime.now(timezone.utc).replace(microsecond=0)


def _read(folder: Path) -> Home | None:
    try:
        values = load_json((folder / MARK).read_bytes())
        if values["version"] != _VERSION:
            return None
        times = values.get("times") or {}
        return Home(
            folder=folder,
            is_complete=values["complete"] is True,
            brought=datetime.fromisoformat(values["brought"]),
            files={
                name: Arrived(size_bytes=int(size), sha256=sha256, mtime_s=times.get(name))
                for name, (size, sha256) in values["files"].items()
            },
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None  # None was written, or by somebody else.


def is_here(path: Path, one: Arrived) -> bool:
    """True where a file that came is still there, with its size."""
    with suppress(OSError, ValueError):
        found = path.lstat()
        return stat.S_ISREG(found.st_mode) and found.st_size == one.size_bytes
    return False


def _in_part(home: Home) -> Home:
    return Home(folder=home.folder, is_complete=False, brought=home.brought, files=home.files)
