"""What is still to be told: a file a run that only the user can read, and that is gone when all is told.

Webhooks may be secrets, so that these files are the one place where they are kept: not the records of runs,
which are also on the cluster.
"""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from slipway.jsontext import load_json
from slipway.lock import try_lock
from slipway.notify.target import Target, parse_targets

# A run that is being submitted has no record yet; after this time it has none any more.
_ORPHAN_S = 86400.0


@dataclass(frozen=True, kw_only=True)
class Pending:
    """What is to be told when a run has ended.

    Attributes:
        targets: whom.
        failures: how often that has failed.
        again_at_s: when it may be tried again, in seconds since 1970.
    """

    targets: Sequence[Target]
    failures: int = 0
    again_at_s: float = 0.0


class PendingStore:
    """The files of one checkout.

    Args:
        state: the checkout's state folder.
    """

    def __init__(self, state: Path) -> None:
        self._folder = state / "notify"

    def keep(self, run_id: str, pending: Pending) -> None:
        """Write it down as a whole; nobody else can read it."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        values = {
            "targets": [target.word for target in pending.targets],
            "failures": pending.failures,
            "again_at_s": pending.again_at_s,
        }
        part = self._folder / f"{run_id}.{secrets.token_hex(4)}.part"
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "w", encoding="utf-8") as file:  # noqa: PTH123 - of a descriptor
            json.dump(values, file)
        part.replace(self._path(run_id))

    def targets(self, run_id: str) -> tuple[Target, ...] | None:
        """Whom to tell of a run; ``None`` where all is told, or nobody was to be told."""
        pending = self._read(run_id)
        return tuple(pending.targets) if pending else None

    def forget(self, run_id: str) -> None:
        """Nothing is to be told of this run any more."""
        self._path(run_id).unlink(missing_ok=True)

    def run_ids(self) -> list[str]:
        """The runs of which something is to be told."""
        return sorted(file.stem for file in self._folder.glob("*.json"))

    def is_orphan(self, run_id: str) -> bool:
        """True for a file so old that its run, where it has no record, will never have one."""
        try:
            return time.time() - self._path(run_id).stat().st_mtime > _ORPHAN_S
        except FileNotFoundError:
            return False

    @contextmanager
    def claimed(self, run_id: str) -> Iterator[Pending | None]:
        """What is to be told of a run, for one process at a time; ``None`` where nothing is to be done now.

        A process that ends before it has told leaves it to the next.
        """
        with try_lock(self._folder / f"{run_id}.lock") as is_mine:
            pending = self._read(run_id) if is_mine else None
            yield pending if pending and pending.again_at_s <= time.time() else None
        if is_mine and not self._path(run_id).exists():
            (self._folder / f"{run_id}.lock").unlink(missing_ok=True)

    def _path(self, run_id: str) -> Path:
        return self._folder / f"{run_id}.json"

    def _read(self, run_id: str) -> Pending | None:
        try:
            values = load_json(self._path(run_id).read_bytes())
            return Pending(
                targets=parse_targets(values["targets"]),
                failures=int(values["failures"]),
                again_at_s=float(values["again_at_s"]),
            )
        except FileNotFoundError:  # another process has told it meanwhile
            return None
        except (ValueError, TypeError, KeyError, AttributeError):
            self.forget(run_id)
            return None
