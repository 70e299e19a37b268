"""A dataset's sequences, fetched to this machine: downloaded, checked, unpacked, each of them as a whole."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from slipway.dataset.catalog import Archive, Dataset, SequenceEntry, is_archive
from slipway.dataset.fetched import Note, is_whole, measure, notes_file, read_notes, write_notes
from slipway.dataset.unpack import unpack
from slipway.download import download
from slipway.errors import DataError, DownloadError, HostError, IncompleteError, SlipwayError, SpaceError
from slipway.progress import Amount, Progress
from slipway.skipped import Skipped, list_skipped
from slipway.text.wording import counted, megabytes
from slipway.web import hide_password

CALIBRATION = "calib.txt"
_CHUNK = 1 << 20
_TOLD_EVERY_S = 0.5
# A line that is cut again and again is waited for, as long as something comes between two cuts.
_MOST_CUTS = 20
_PAUSE_S = 1.0


@dataclass(frozen=True, kw_only=True)
class Fetched:
    """What came of it, by the names of sequences.

    Attributes:
        new: fetched now.
        there: there before, and whole.
        unknown: folders that were there without a note of ours; nothing in them was touched.
        failed: those that could not be fetched, and why.
    """

    new: Sequence[str] = ()
    there: Sequence[str] = ()
    unknown: Sequence[str] = ()
    failed: Sequence[tuple[str, SlipwayError]] = ()

    def check(self, name: str) -> None:
        """Say what could not be fetched, once all else is said.

        Raises:
            SlipwayError: it was one of one; its own error.
            IncompleteError: some of several.
        """
        if not self.failed:
            return
        if len(self.failed) == 1 and not (self.new or self.there or self.unknown):
            raise self.failed[0][1]
        skipped = [Skipped(name=sequence, why=str(error)) for sequence, error in self.failed]
        raise IncompleteError(
            f"{counted(len(skipped), 'sequence')} of {name} could not be fetched; the others are there:\n"
            f"{list_skipped(skipped)}\nThe same command tries these again, and goes on where they were cut"
        )


def fetch(root: Path, dataset: Dataset, names: Sequence[str], progress: Progress) -> Fetched:
    """Fetch sequences of a dataset, unless they are here; one that fails stops no other.

    Args:
        root: the folder of data; the dataset is a folder in it.
        dataset: what is fetched.
        names: which of its sequences.
        progress: is told each step.

    Raises:
        SpaceError: the disk is full.
    """
    new, there, unknown = [], [], []
    failed: list[tuple[str, SlipwayError]] = []
    file = notes_file(root, dataset.name)
    for place, name in enumerate(names, 1):
        note = read_notes(file).get(name)
        target = root / dataset.name / dataset.sequences[name].folder
        if note is not None and is_whole(target, note):
            there.append(name)
        elif note is None and measure(target)[0]:
            unknown.append(name)
        else:
            shown = f"{name} ({place} of {len(names)})" if len(names) > 1 else name
            one = _One(root=root, dataset=dataset, name=name, shown=shown, progress=progress)
            try:
                write_notes(file, {**read_notes(file), name: one.fetch()})
                new.append(name)
            except SpaceError:
                raise
            except SlipwayError as error:
                failed.append((name, error))
                if len(names) > 1:
                    progress.note(f"{name}: {error}")
    return Fetched(new=new, there=there, unknown=unknown, failed=failed)


@dataclass(frozen=True, kw_only=True)
class _One:
    """One sequence on its way; ``shown`` is how it is told."""

    root: Path
    dataset: Dataset
    name: str
    shown: str
    progress: Progress

    @property
    def entry(self) -> SequenceEntry:
        return self.dataset.sequences[self.name]

    @property
    def target(self) -> Path:
        return self.root / self.dataset.name / self.entry.folder

    @property
    def parts(self) -> Path:
        return self.root / f".{self.dataset.name}.fetch"

    def fetch(self) -> Note:
        if not self.entry.fetch:
            raise DataError(
                f"{self.dataset.file} does not say where {self.name} is fetched from. {self._by_hand()}"
            )
        unpacked = self.parts / self.name
        try:
            self.parts.mkdir(parents=True, exist_ok=True)
            shutil.rmtree(unpacked, ignore_errors=True)
            hashes = {archive.file_name: self._bring(archive, unpacked) for archive in self.entry.fetch}
            note = self._settle(unpacked, hashes)
            for archive in self.entry.fetch:
                self._part(archive).unlink(missing_ok=True)
        except OSError as error:
            raise explain_disk(error, self.root) from error
        finally:
            with suppress(OSError):  # others are in it, or what has arrived
                self.parts.rmdir()
        return note

    def _by_hand(self) -> str:
        source = self.dataset.source or "its publishers know where it is"
        return f"By hand: {source}; unpack it as {self.target}"

    def _part(self, archive: Archive) -> Path:
        return self.parts / f"{self.name}.{archive.file_name}.part"

    def _bring(self, archive: Archive, unpacked: Path) -> str:
        """Download one archive, check it, and unpack it; gives its SHA-256."""
        part = self._part(archive)
        # Without a note beside it, it is whole: an attempt was cut while it was unpacked.
        if not part.exists() or part.with_name(f"{part.name}.json").exists():
            self.progress.step(f"Fetching {self.shown}: {archive.file_name}")
            self._download(archive, part)
        digest = self._check(archive, part)
        self._unpack(archive, part, unpacked)
        return digest

    def _download(self, archive: Archive, part: Path) -> None:
        for _ in range(_MOST_CUTS):
            before = part.stat().st_size if part.exists() else 0
            try:
                download(archive.url, part, self.progress.transfer)
                return
            except DownloadError as error:
                last = error
                # Where there was more here than the server has, that is gone, and it begins anew.
                if part.exists() == (before > 0) and (not before or part.stat().st_size <= before):
                    break
                time.sleep(_PAUSE_S)
        raise DownloadError(f"{last}\n  {self._by_hand()}") from last

    def _check(self, archive: Archive, part: Path) -> str:
        size_bytes, where = part.stat().st_size, hide_password(archive.url)
        if archive.size_bytes not in (None, size_bytes):
            part.unlink()
            raise DataError(
                f"{where} has {size_bytes:,} bytes, and {archive.size_bytes:,} by {self.dataset.file}; it "
                "was removed. Has it been published anew?"
            )
        self.progress.step(f"Hashing {self.shown}: {archive.file_name} ({megabytes(size_bytes)})")
        found = _hash(part, ["sha256", *(["md5"] if archive.md5 else [])], self.progress)
        for kind, wanted in (("sha256", archive.sha256), ("md5", archive.md5)):
            if wanted is not None and found[kind] != wanted:
                part.unlink()
                raise DataError(
                    f"{where}: its {kind} is {found[kind]}, and {wanted} by {self.dataset.file}; it was "
                    "removed. The same command fetches it again"
                )
        return found["sha256"]

    def _unpack(self, archive: Archive, part: Path, unpacked: Path) -> None:
        unpacked.mkdir(exist_ok=True)
        if not is_archive(archive.file_name):
            shutil.copyfile(part, unpacked / archive.file_name)
            return
        self.progress.step(f"Unpacking {self.shown}: {archive.file_name}")
        told, count = time.monotonic(), 0

        def tell(name: str) -> None:
            nonlocal told, count
            count += 1
            if time.monotonic() - told > _TOLD_EVERY_S:
                told = time.monotonic()
                self.progress.line(f"{count:,} files and folders: {name}")

        try:
            unpack(part, unpacked, hide_password(archive.url), tell)
        except DataError:
            part.unlink()
            raise

    def _settle(self, unpacked: Path, hashes: dict[str, str]) -> Note:
        """Give what was unpacked its place."""
        content = _content_of(unpacked, self.target.name)
        files, size_bytes = measure(content)
        if not files:
            raise DataError(f"{self.name}: there is no file in what was fetched")
        calibration = content / CALIBRATION
        if self.entry.calibration and not calibration.exists():
            calibration.write_text(self.entry.calibration.strip() + "\n", encoding="utf-8")
        self.target.parent.mkdir(parents=True, exist_ok=True)
        if self.target.exists():
            _fill(content, self.target)
        else:
            content.rename(self.target)
        shutil.rmtree(unpacked, ignore_errors=True)
        return Note(folder=self.entry.folder, files=files, size_bytes=size_bytes, archives=hashes)


def _hash(path: Path, kinds: Sequence[str], progress: Progress) -> dict[str, str]:
    hashes = {kind: hashlib.new(kind, usedforsecurity=False) for kind in kinds}
    total, done, began = path.stat().st_size, 0, time.monotonic()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            for one in hashes.values():
                one.update(chunk)
            done += len(chunk)
            elapsed = time.monotonic() - began
            progress.transfer(Amount(done_bytes=done, total_bytes=total, moved_bytes=done, elapsed_s=elapsed))
    return {kind: one.hexdigest() for kind, one in hashes.items()}


def _content_of(unpacked: Path, name: str) -> Path:
    """What was unpacked, without a folder of the sequence's own name around it."""
    inner = unpacked / name
    is_alone = [path.name for path in unpacked.iterdir()] == [name]
    return inner if is_alone and inner.is_dir() and not inner.is_symlink() else unpacked


def _fill(content: Path, target: Path) -> None:
    """Put files into a folder in which they are missing, or have another size; all else in it stays."""
    for top, folders, names in os.walk(content):
        place = target / Path(top).relative_to(content)
        place.mkdir(exist_ok=True)
        links = [name for name in folders if (Path(top) / name).is_symlink()]
        for name in (*names, *links):
            old, new = place / name, Path(top) / name
            if not os.path.lexists(old) or old.lstat().st_size != new.lstat().st_size:
                new.replace(old)


def explain_disk(error: OSError, place: Path) -> HostError:
    """Why something could not be written to this machine's disk."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return SpaceError(
            f"{place}: the disk is full, or your quota is reached; what has arrived is kept. Make room, or "
            "name another folder with --to, then try again"
        )
    return HostError(f"{error.filename or place}: {error.strerror or error}")
