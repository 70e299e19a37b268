"""What of a dataset is on its way: a folder on the cluster beside the dataset, filled and checked."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from slipway.dataset.comparison import compare
from slipway.dataset.digest import hash_files
from slipway.dataset.manifest import Manifest
from slipway.dataset.survey import some_of, take_survey
from slipway.errors import DataError, RemoteError, RemoteSpaceError
from slipway.host.host import Host
from slipway.host.inventory import Entry, Kind, make_folders, remove, remove_folders, take_inventory
from slipway.progress import Progress
from slipway.transfer.checksum import hash_remote
from slipway.transfer.choice import choose_carrier


@dataclass(frozen=True, kw_only=True)
class Arrived:
    """What arrived: the dataset as it was sent, its entries on the cluster, and the bytes sent."""

    here: Manifest
    entries: Mapping[str, Entry]
    sent_bytes: int


@dataclass(frozen=True, kw_only=True)
class UploadDir:
    """A folder on the cluster that nobody else uses, for what is sent of one dataset.

    Attributes:
        host: the connection.
        source: the folder here.
        memory: the folder with the remembered hashes.
        folder: the folder there; what an attempt that was cut has left in it is made use of.
        progress: is told each step.
    """

    host: Host
    source: Path
    memory: Path
    folder: PurePosixPath
    progress: Progress

    def send(self, here: Manifest, names: Collection[str], old: PurePosixPath | None) -> Arrived:
        """Send files and links, and check what arrived; what changes here meanwhile is sent once more.

        Args:
            here: the dataset.
            names: what of it is sent.
            old: a folder on the cluster with earlier versions.

        Raises:
            DataError: something here changes all the time, or goes away.
            RemoteSpaceError: there is not enough room for it.
        """
        self._prepare(here, names)
        self.progress.step(f"Sending {len(names)} files of {self.source}")
        sent_bytes = self._carry(names, old)
        wrong, entries = self._check(here, names)
        if wrong:
            self.progress.step(f"Sending {len(wrong)} files again, which were changed meanwhile")
            here = self._look_again(here, wrong)
            remove(self.host, self.folder, wrong)
            sent_bytes += self._carry(wrong, None)
            wrong, entries = self._check(here, wrong)
        if wrong:
            raise DataError(
                f"{self.source}: {some_of(wrong)} changed while it was sent, twice; stage again when nothing "
                "is written there. The dataset on the cluster is as it was"
            )
        return Arrived(here=here, entries=entries, sent_bytes=sent_bytes)

    def finish(self, here: Manifest, folders: Collection[str]) -> None:
        """Make it the whole dataset: with its empty folders, and without what it does not have."""
        make_folders(self.host, self.folder, folders)
        left = compare(here, take_inventory(self.host, self.folder) or {}, {})
        remove(self.host, self.folder, left.surplus)
        remove_folders(self.host, self.folder, left.surplus_folders)

    def _prepare(self, here: Manifest, names: Collection[str]) -> None:
        entries = take_inventory(self.host, self.folder) or {}
        sizes = {name: here.files[name].size_bytes for name in names if name in here.files}
        needed = sum(sizes.values())
        needed -= sum(min(size, entries[name].size_bytes) for name, size in sizes.items() if name in entries)
        place = self.folder.parent
        free = self.host.free_bytes(place)
        if free is not None and free < needed:
            raise RemoteSpaceError(
                f"{self.host.target}:{place} has {free / 1e9:.2f} GB free, and {needed / 1e9:.2f} GB of "
                f"{self.source} are to be sent; make room there, then stage again"
            )
        self.host.make_folder(self.folder)
        # What an earlier attempt left in the place of something else.
        left = compare(here, entries, {})
        remove(self.host, self.folder, left.blocking | left.blocked)
        remove_folders(self.host, self.folder, left.blocking_folders)

    def _carry(self, names: Collection[str], old: PurePosixPath | None) -> int:
        carrier = choose_carrier(self.host, self.progress)
        root, listed, listen = self.source.resolve(), sorted(names), self.progress.transfer
        try:
            return carrier.send_tree(root, self.folder, names=listed, old=old, on_progress=listen).sent_bytes
        except RemoteError as error:
            gone = [name for name in listed if not os.path.lexists(root / name)]
            if gone:
                raise _went_away(self.source, gone) from error
            raise

    def _check(self, here: Manifest, names: Collection[str]) -> tuple[list[str], Mapping[str, Entry]]:
        self.progress.step(f"Checking what arrived ({len(names)} files)")
        entries = take_inventory(self.host, self.folder) or {}
        files = [name for name in names if name in entries and entries[name].kind is Kind.FILE]
        digests = hash_remote(self.host, self.folder, files)
        wrong = [name for name in sorted(names) if not _is_right(here, name, entries.get(name), digests)]
        return wrong, entries

    def _look_again(self, here: Manifest, names: Collection[str]) -> Manifest:
        survey = take_survey(self.source)
        gone = [name for name in names if name not in survey.files and name not in survey.links]
        if gone:
            raise _went_away(self.source, gone)
        files = hash_files(survey, self.memory, self.progress, doubted=names)
        rest = here.without(names)
        return replace(
            here,
            files={**rest.files, **{name: files[name] for name in names if name in files}},
            links={**rest.links, **{name: survey.links[name] for name in names if name in survey.links}},
        )


def _is_right(here: Manifest, name: str, entry: Entry | None, digests: Mapping[str, str]) -> bool:
    if name in here.links:
        return entry is not None and entry.target == here.links[name]
    return digests.get(name) == here.files[name].sha256


def _went_away(source: Path, names: Collection[str]) -> DataError:
    return DataError(
        f"{source}: {some_of(names)} went away while it was sent; stage again when nothing is changed there"
    )
