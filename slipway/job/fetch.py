"""A run's files on their way home: what there is, bringing it, and bringing again what differs."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from slipway.host.host import Host
from slipway.job.comparison import Compared, compare, look_here
from slipway.job.home import MARK, Arrived
from slipway.job.run import RunPaths
from slipway.progress import Progress, Transfer
from slipway.sftp.listing import PARTIAL, Listing, list_tree
from slipway.skipped import Skipped
from slipway.text.wording import counted
from slipway.transfer.choice import choose_carrier
from slipway.transfer.unfinished import remove_unfinished

_CHANNELS = 2
# What the program was given may be secret; the record that is written here has the arguments. The claim is a
# link that leads nowhere, and of no use here.
_PATHS = RunPaths(PurePosixPath("/"))
_OWN = (
    _PATHS.argv,
    _PATHS.elements,
    _PATHS.elements_index,
    _PATHS.environment,
    _PATHS.record,
    _PATHS.claim,
)
_WITHOUT = (*(path.name for path in _OWN), MARK, "*.part")


@dataclass(frozen=True, kw_only=True)
class Fetched:
    """What came.

    Attributes:
        transfer: what was copied, and what was not.
        arrived: files that are here.
        different: files that are not as they are there, after a second try.
    """

    transfer: Transfer
    arrived: Mapping[str, Arrived]
    different: Sequence[Skipped]


@dataclass(frozen=True, kw_only=True)
class Fetcher:
    """What brings files of one run's folder.

    Args:
        host: the connection.
        source: the folder there.
        home: the folder here; it exists before anything is brought.
        progress: is told what is copied.
    """

    host: Host
    source: PurePosixPath
    home: Path
    progress: Progress

    def look(self) -> Listing:
        """All that is to be had there; folders that cannot be looked into are told by :meth:`bring`.

        Raises:
            RemoteError: the folder is not there.
        """
        with self.host.pool(_CHANNELS) as pool:
            found = list_tree(
                pool, self.source, lambda _: True, missing_ok=False, on_refused=lambda name, refusal: None
            )
        return {name: entry for name, entry in found.items() if _comes(name)}

    def bring(
        self,
        there: Listing,
        names: Sequence[str] | None,
        *,
        compare_all: bool,
        known: Mapping[str, Arrived] | None = None,
    ) -> Fetched:
        """Bring files, and say what of them is here.

        Args:
            there: what there is.
            names: only these; ``None`` for all.
            compare_all: compare what came with what is there, and bring once more what differs.
            known: what came before; see :func:`slipway.job.comparison.compare`.
        """
        began_s = time.time()
        transfer = self._fetch(names)
        remove_unfinished(self.home, (name for name, entry in there.items() if entry.is_file), began_s)
        files = _arriving(there, names, transfer.skipped)
        if compare_all:
            compared, transfer = self._compare(files, transfer, known or {})
        else:
            compared = Compared(arrived=look_here(self.home, files), different={})
        different = [Skipped(name=name, why=why) for name, why in sorted(compared.different.items())]
        return Fetched(transfer=transfer, arrived=compared.arrived, different=different)

    def _fetch(self, names: Sequence[str] | None) -> Transfer:
        carrier, tell = choose_carrier(self.host, self.progress), self.progress.transfer
        return carrier.fetch_tree(self.source, self.home, names=names, without=_WITHOUT, on_progress=tell)

    def _compare(
        self, files: Listing, transfer: Transfer, known: Mapping[str, Arrived]
    ) -> tuple[Compared, Transfer]:
        self.progress.step(f"Comparing {counted(len(files), 'file')} with those on the cluster")
        first = compare(self.host, self.source, self.home, files, known)
        if not first.different:
            return first, transfer
        names = sorted(first.different)
        self.progress.note(f"{len(names):,} files here are not as they are there; bringing them again")
        for name in names:
            # By size and time they may look the same.
            with suppress(OSError):
                (self.home / name).unlink()
        again = self._fetch(names)
        second = compare(self.host, self.source, self.home, {name: files[name] for name in names})
        both = Compared(arrived={**first.arrived, **second.arrived}, different=second.different)
        return both, _sum(transfer, again)


def _sum(first: Transfer, second: Transfer) -> Transfer:
    return replace(
        first,
        sent_bytes=first.sent_bytes + second.sent_bytes,
        received_bytes=first.received_bytes + second.received_bytes,
        files=first.files + second.files,
    )


def _comes(name: str) -> bool:
    words = name.split("/")
    return PARTIAL not in words and not any(fnmatchcase(words[0], pattern) for pattern in _WITHOUT)


def _arriving(there: Listing, names: Sequence[str] | None, skipped: Sequence[Skipped]) -> Listing:
    """The files that should be here by now."""
    wanted, gone = None if names is None else {*names}, {one.name for one in skipped}
    return {
        name: entry
        for name, entry in there.items()
        if entry.is_file and (wanted is None or name in wanted) and gone.isdisjoint(_with_folders(name))
    }


def _with_folders(name: str) -> Iterable[str]:
    while name:
        yield name
        name = name.rpartition("/")[0]
