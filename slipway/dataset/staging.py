"""One attempt to have a dataset on a cluster: look, compare, send beside it, and move into place."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from slipway.dataset.comparison import Comparison, believed, compare
from slipway.dataset.manifest import Manifest, format_manifest, manifest_path, parse_manifest
from slipway.dataset.upload_dir import Arrived, UploadDir
from slipway.errors import DataError, IncompleteError, ParseError, RemoteError
from slipway.host.host import Host
from slipway.host.inventory import (
    Entry,
    Kind,
    make_folders,
    place,
    read_text,
    remove,
    remove_all,
    remove_folders,
    take_inventory,
    write_text,
)
from slipway.progress import Progress
from slipway.skipped import Skipped, list_skipped, some_of
from slipway.text.wording import counted
from slipway.transfer.checksum import hash_remote


@dataclass(frozen=True, kw_only=True)
class Staged:
    """A dataset that is on the cluster.

    Attributes:
        name: jobs see it as ``/data/<name>``.
        path: its folder on the cluster.
        files: how many files and links it has here.
        size_bytes: of all files.
        sent_files: how many of ``files`` were not there as they are here.
        sent_bytes: what was sent for them.
        surplus: what is there and not here; it was removed if that was asked for.
        removed: whether it was.
        left_out: pipes, sockets and devices that are here; they are never sent.
        skipped: what else is here and could not be sent, and why.
        packed_bytes: of the file that it is packed in; ``None`` where it is not.
        older: the files of older packed versions that are there.
        has_folder: it is there unpacked, too; ``path`` is then still the packed one.
    """

    name: str
    path: PurePosixPath
    files: int
    size_bytes: int
    sent_files: int
    sent_bytes: int
    surplus: Sequence[str]
    removed: bool
    left_out: Sequence[str]
    skipped: Sequence[Skipped]
    packed_bytes: int | None = None
    older: Sequence[str] = ()
    has_folder: bool = False

    def check(self) -> None:
        """Say what could not be sent, once all else is said.

        Raises:
            IncompleteError: there is something.
        """
        if self.skipped:
            count = len(self.skipped)
            what = "1 file, link or folder" if count == 1 else f"{count:,} files, links or folders"
            raise IncompleteError(
                f"{what} could not be sent to {self.name}; all others are there:\n"
                f"{list_skipped(self.skipped)}\n"
                "Make them readable (`chmod -R u+rX`), copy in what a link leads to, or move them out of the "
                "folder; then stage again, which sends only what is missing"
            )


@dataclass(frozen=True, kw_only=True)
class _There:
    """What is on the cluster: the manifest as it is written and as it is meant, and what is in the folder."""

    text: str | None
    manifest: Manifest
    entries: Mapping[str, Entry]
    exists: bool


@dataclass(frozen=True, kw_only=True)
class Staging:
    """Brings one dataset to one cluster.

    Attributes:
        host: the connection.
        path: the dataset's folder there.
        upload_dir: what is sent goes through it.
        progress: is told each step.
        delete: remove what is there and not here.
        verify: believe no hash that the manifest there has.
    """

    host: Host
    path: PurePosixPath
    upload_dir: UploadDir
    progress: Progress
    delete: bool
    verify: bool

    def attempt(self, here: Manifest, skipped: Sequence[Skipped], left_out: Sequence[str]) -> Staged | None:
        """Bring it there; ``None`` where somebody else has changed it there in the meantime.

        Args:
            here: what is here and can be sent.
            skipped: what cannot; what is there of these names stays.
            left_out: pipes, sockets and devices.

        Raises:
            DataError: nothing can be sent, or something would remove what is there.
        """
        there = self._look()
        digests = self._hash_there(here, there)
        different = compare(here, there.entries, digests, [one.name for one in skipped])
        self._refuse_loss(different)
        arrived = Arrived(here=here, entries={}, sent_bytes=0)
        if different.send or not there.exists:
            arrived = self.upload_dir.send(here, different.send, self.path if there.exists else None)
            here, skipped = arrived.here, [*skipped, *arrived.skipped]
            different = compare(here, there.entries, digests, [one.name for one in skipped])
        wanted = self._describe(here, different, there, arrived)
        if not self._settle(here, different, there, wanted):
            return None
        return Staged(
            name=self.path.name,
            path=self.path,
            files=len(here.files) + len(here.links),
            size_bytes=sum(file.size_bytes for file in here.files.values()),
            sent_files=len(different.send),
            sent_bytes=arrived.sent_bytes,
            surplus=different.listed_surplus,
            removed=self.delete,
            left_out=left_out,
            skipped=skipped,
        )

    def _look(self) -> _There:
        self.progress.step(f"Looking at what is there of {self.path.name}")
        place = manifest_path(self.path)
        text = read_text(self.host, place)
        entries = take_inventory(self.host, self.path)
        try:
            manifest = parse_manifest(text) if text else Manifest()
        except ParseError as error:
            self.progress.note(f"{self.host.target}:{place}: {error}; what is there is hashed again")
            manifest = Manifest()
        return _There(text=text, manifest=manifest, entries=entries or {}, exists=entries is not None)

    def _hash_there(self, here: Manifest, there: _There) -> dict[str, str]:
        """The hashes of those files there that may be what they are here."""
        known = {} if self.verify else believed(there.manifest, there.entries)
        alike = {
            name: file
            for name, file in here.files.items()
            if _is_alike(there.entries.get(name), file.size_bytes)
        }
        unsure = alike.keys() - known.keys()
        if unsure:
            size_bytes = sum(alike[name].size_bytes for name in unsure)
            self.progress.step(f"Hashing {counted(len(unsure), 'file')} there ({size_bytes / 1e6:,.1f} MB)")
            known |= hash_remote(self.host, self.path, sorted(unsure))
        return known

    def _refuse_loss(self, different: Comparison) -> None:
        if different.blocked and not self.delete:
            names = sorted(different.blocking_folders & different.send)
            raise DataError(
                f"{self.host.target}:{self.path}: there {some_of(names)} is a folder, and here it is none; "
                f"{len(different.blocked)} files in it are not here; --delete removes them"
            )

    def _describe(self, here: Manifest, different: Comparison, there: _There, arrived: Arrived) -> str:
        """The manifest of what will be there."""
        entries = {**there.entries, **{name: arrived.entries[name] for name in different.send}}
        files = {name: replace(file, mtime_s=entries[name].mtime_s) for name, file in here.files.items()}
        links = dict(here.links)
        kept = different.unread | (frozenset() if self.delete else different.surplus - different.blocked)
        known = believed(there.manifest, there.entries).keys() & kept
        files |= {name: there.manifest.files[name] for name in known}
        links |= {name: target for name in kept if (target := entries[name].target) is not None}
        manifest = Manifest(files=files, links=links, folders=here.folders)
        return format_manifest(manifest, self.path.name)

    def _settle(self, here: Manifest, different: Comparison, there: _There, wanted: str) -> bool:
        """Move all into place; ``False`` where somebody else is at it, too."""
        text = there.text
        changes = different.send or different.make or (self.delete and different.listed_surplus)
        if text == wanted and not changes:
            return True
        if self._has_changed(text) or self.host.is_folder(self.path) != there.exists:
            return False
        # As long as not all is in place, the manifest says nothing of what is replaced. If this is cut, the
        # next attempt hashes what it finds.
        doubtful = different.send & {*there.manifest.files, *there.manifest.links}
        if doubtful:
            text = format_manifest(there.manifest.without(doubtful), self.path.name)
            write_text(self.host, manifest_path(self.path), text)
        if there.exists:
            self._place(different, there)
        elif not self._place_whole(here, different):
            return False
        if self._has_changed(text):
            # Nobody knows whose files are there now: without a manifest all of them are hashed.
            self.host.remove(manifest_path(self.path))
            return False
        if text != wanted:
            write_text(self.host, manifest_path(self.path), wanted)
        return True

    def _has_changed(self, text: str | None) -> bool:
        place = manifest_path(self.path)
        digest = hash_remote(self.host, place.parent, [place.name]).get(place.name)
        # An empty one says as much as none, and is read as none.
        expected = hashlib.sha256((text or "").encode(errors="surrogateescape")).hexdigest()
        return (digest or hashlib.sha256().hexdigest()) != expected

    def _place_whole(self, here: Manifest, different: Comparison) -> bool:
        self.upload_dir.finish(here, different.make)
        try:
            self.host.move(self.upload_dir.folder, self.path)
        except RemoteError:
            if self.host.is_folder(self.path):
                return False  # somebody else was a moment earlier
            raise
        return True

    def _place(self, different: Comparison, there: _There) -> None:
        links = [name for name in different.blocking if there.entries[name].kind is Kind.LINK]
        if links:
            self.progress.note(f"{some_of(sorted(links))} was a link there; a folder takes its place")
        gone, gone_folders = different.blocking | different.blocked, different.blocking_folders
        if self.delete:
            gone, gone_folders = gone | different.surplus, gone_folders | different.surplus_folders
        remove(self.host, self.path, gone)
        remove_folders(self.host, self.path, gone_folders)
        make_folders(self.host, self.path, different.make)
        if different.send:
            self.progress.step(f"Moving {counted(len(different.send), 'file')} into place")
            place(self.host, self.upload_dir.folder, self.path, different.send)
        # Also where an attempt that was cut has moved everything, and has left its folders.
        remove_all(self.host, self.upload_dir.folder)


def _is_alike(entry: Entry | None, size_bytes: int) -> bool:
    return entry is not None and entry.kind is Kind.FILE and entry.size_bytes == size_bytes
