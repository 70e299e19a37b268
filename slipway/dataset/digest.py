"""SHA-256 of files here, computed once for each content and remembered."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from slipway.dataset.manifest import File
from slipway.dataset.survey import Survey
from slipway.hash_cache import FileKey, HashCache, Hashed, file_key
from slipway.progress import Amount, Progress
from slipway.skipped import Skipped, reason
from slipway.text.wording import counted

_CHUNK = 1 << 20
_MOST_THREADS = 8
_TOLD_EVERY_S = 0.2


@dataclass(frozen=True, kw_only=True)
class HashedFiles:
    """The files of a folder with their SHA-256, by name, and those that could not be read."""

    files: Mapping[str, File]
    skipped: Sequence[Skipped]


def hash_files(
    survey: Survey, memory: Path, progress: Progress, *, doubted: Collection[str] = ()
) -> HashedFiles:
    """Hash the files of a folder.

    A hash that is remembered is believed as long as size, both times and inode of the file are what they
    were. That of a file that was written only seconds before is not remembered.

    Args:
        survey: what is in the folder.
        memory: a folder of Slipway's own, where the hashes are kept.
        progress: is told how far it is.
        doubted: files whose hash is not believed if it is remembered.
    """
    cache = HashCache(memory, survey.root)
    keys = {name: file_key(status) for name, status in survey.files.items()}
    recalled = {name: cache.find(name, key) for name, key in keys.items() if name not in doubted}
    known = {name: (keys[name], digest) for name, digest in recalled.items() if digest is not None}
    wanted = sorted(keys.keys() - known.keys(), key=lambda name: keys[name][0], reverse=True)
    skipped: dict[str, str] = {}
    if wanted:
        total_bytes = sum(keys[name][0] for name in wanted)
        progress.step(f"Hashing {counted(len(wanted), 'file')} ({total_bytes / 1e6:,.1f} MB)")
        hashing = _Hashing(survey.root, total_bytes, progress)
        try:
            hashing.run(wanted)
        finally:
            known |= hashing.found
            cache.remember(known)
        skipped = hashing.skipped
    return HashedFiles(
        files={name: _file(survey.files[name], *one) for name, one in known.items()},
        skipped=[Skipped(name=name, why=why) for name, why in sorted(skipped.items())],
    )


class _Hashing:
    """Hashes files in several threads, and tells how far it is."""

    def __init__(self, root: Path, total_bytes: int, progress: Progress) -> None:
        self.root = root
        self.found: dict[str, Hashed] = {}
        self._total_bytes = total_bytes
        self._progress = progress
        self.skipped: dict[str, str] = {}
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._done_bytes = 0
        self._began = self._told = time.monotonic()

    def run(self, names: Sequence[str]) -> None:
        """Hash these files into ``found``."""
        with ThreadPoolExecutor(min(_MOST_THREADS, os.cpu_count() or 1)) as pool:
            try:
                list(pool.map(self._hash, names))
            except BaseException:
                self._stopped.set()
                pool.shutdown(cancel_futures=True)
                raise

    def _hash(self, name: str) -> None:
        digest = hashlib.sha256()
        try:
            with open(self.root / name, "rb", buffering=0, opener=_open_no_link) as file:
                while chunk := file.read(_CHUNK):
                    digest.update(chunk)
                    self._tell(len(chunk))
                    if self._stopped.is_set():
                        return
                # One that was written meanwhile has a time of now, so that its hash is not remembered.
                self.found[name] = (file_key(os.fstat(file.fileno())), digest.hexdigest())
        except OSError as error:
            self.skipped[name] = reason(error)

    def _tell(self, size_bytes: int) -> None:
        with self._lock:
            self._done_bytes += size_bytes
            now = time.monotonic()
            if now - self._told < _TOLD_EVERY_S:
                return
            self._told = now
            self._progress.transfer(
                Amount(
                    done_bytes=self._done_bytes,
                    total_bytes=max(self._total_bytes, self._done_bytes),
                    moved_bytes=self._done_bytes,
                    elapsed_s=now - self._began,
                )
            )


def _file(status: os.stat_result, key: FileKey, digest: str) -> File:
    executable = bool(status.st_mode & 0o100)
    return File(sha256=digest, size_bytes=key[0], mtime_s=key[1] // 10**9, executable=executable)


def _open_no_link(path: str, flags: int) -> int:
    # It was a file a moment ago; what took its place may lead anywhere.
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0))
