"""What of a dataset is on its way: a folder on the cluster beside the dataset, filled and checked."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from slipway.dataset.comparison import compare
from slipway.dataset.digest import hash_files
from slipway.dataset.manifest import Manifest
from slipway.dataset.survey import root_of, take_survey
from slipway.errors import DataError, RemoteSpaceError
from slipway.host.host import Host
from slipway.host.inventory import Entry, Kind, make_folders, remove, remove_folders, take_inventory
from slipway.progress import Progress
from slipway.skipped import Skipped, list_skipped
from slipway.text.wording import counted
from slipway.transfer.checksum import hash_remote
from slipway.transfer.choice import choose_carrier


@dataclass(frozen=True, kw_only=True)
class Arrived:
    """The dataset as it was sent, its entries on the cluster, the bytes sent, and what could not be sent."""

    here: Manifest
    entries: Mapping[str, Entry]
    sent_bytes: int
    skipped: Sequence[Skipped] = ()


@dataclass(frozen=True, kw_only=True)
class UploadDir:
    """A folder on the cluster that nobody else uses, for what is sent of one dataset.

    Attributes:
        host: the connection.
        source: the folder here, or a single file.
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

        What cannot be read here by now, or changes again, is skipped.

        Args:
            here: the dataset.
            names: what of it is sent.
            old: a folder on the cluster with earlier versions.

        Raises:
            DataError: nothing could be sent.
            RemoteSpaceError: there is not enough room for it.
        """
        self._prepare(here, names)
        self.progress.step(f"Sending {counted(len(names), 'file')} of {self.source}")
        sent_bytes = self._carry(names, old)
        wrong, entries = self._check(here, names)
        skipped: list[Skipped] = []
        if wrong:
            here, skipped = self._look_again(here, wrong)
            remove(self.host, self.folder, entries.keys() & set(wrong))
            again = sorted(set(wrong) - {one.name for one in skipped})
            self.progress.step(f"Sending {counted(len(again), 'file')} again, changed meanwhile")
            sent_bytes += self._carry(again, None) if again else 0
            twice, entries = self._check(here, again)
            remove(self.host, self.folder, entries.keys() & set(twice))
            skipped += [Skipped(name=name, why="it changed while it was sent, twice") for name in twice]
            here = here.leaving_out([one.name for one in skipped])
        if not (here.files or here.links or here.folders):
            raise DataError(f"{self.source}: nothing in it could be sent:\n{list_skipped(skipped)}")
        return Arrived(here=here, entries=entries, sent_bytes=sent_bytes, skipped=skipped)

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
        root, listed, listen = root_of(self.source), sorted(names), self.progress.transfer
        # What was skipped is found when it is checked what arrived.
        return carrier.send_tree(
            root, self.folder, names=listed, old=old, partial=True, on_progress=listen
        ).sent_bytes

    def _check(self, here: Manifest, names: Collection[str]) -> tuple[list[str], Mapping[str, Entry]]:
        self.progress.step(f"Checking what arrived ({counted(len(names), 'file')})")
        entries = take_inventory(self.host, self.folder) or {}
        files = [name for name in names if name in entries and entries[name].kind is Kind.FILE]
        digests = hash_remote(self.host, self.folder, files)
        wrong = [name for name in sorted(names) if not _is_right(here, name, entries.get(name), digests)]
        return wrong, entries

    def _look_again(self, here: Manifest, names: Collection[str]) -> tuple[Manifest, list[Skipped]]:
        """The dataset with these files as they are by now, and those of them that cannot be read any more."""
        survey = take_survey(self.source)
        hashed = hash_files(survey, self.memory, self.progress, doubted=names)
        why = {one.name: one.why for one in (*survey.skipped, *hashed.skipped)}
        gone = [name for name in names if name not in hashed.files and name not in survey.links]
        skipped = [Skipped(name=name, why=why.get(name, "it went away meanwhile")) for name in gone]
        rest = here.without(names)
        files = {name: hashed.files[name] for name in names if name in hashed.files}
        links = {name: survey.links[name] for name in names if name in survey.links}
        return replace(here, files={**rest.files, **files}, links={**rest.links, **links}), skipped


def _is_right(here: Manifest, name: str, entry: Entry | None, digests: Mapping[str, str]) -> bool:
    if name in here.links:
        return entry is not None and entry.target == here.links[name]
    return digests.get(name) == here.files[name].sha256
