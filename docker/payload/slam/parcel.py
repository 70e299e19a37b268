"""A sequence, or its results, as bytes, for a machine that does not see the folder that they lie in."""

from __future__ import annotations

import io
import shutil
import tarfile
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from slam.dataset.files import list_folder
from slam.dataset.layout import find_layout
from slam.errors import InputError, OutputError

# What may belong to a sequence and lie above it: a camera, a ground truth, a list; no images or recordings.
_SUFFIXES = {".txt", ".yaml", ".yml", ".json", ".csv", ".xml", ".toml", ".ini", ".tum", ".cfg"}
_MOST_BYTES = 20_000_000


def files_of(folder: Path, top: Path) -> list[Path]:
    """The files of a sequence, and the small ones above it, and beside it, up to its dataset's folder.

    Args:
        folder: the sequence's folder, or the one file that it is.
        top: the folder of its dataset.
    """
    inside = [path for path in sorted(folder.rglob("*")) if path.is_file()] if folder.is_dir() else [folder]
    above = [place for place in folder.parents if place == top or top in place.parents]
    return [*dict.fromkeys([*inside, *(path for place in above for path in _small_files(place, folder))])]


def _small_files(place: Path, folder: Path) -> Iterator[Path]:
    for path in list_folder(place):
        if path.is_dir() and path != folder and path not in folder.parents and find_layout(path) is None:
            yield from (one for one in list_folder(path) if _is_small(one))
        elif _is_small(path):
            yield path


def _is_small(path: Path) -> bool:
    return path.suffix.lower() in _SUFFIXES and path.is_file() and path.stat().st_size <= _MOST_BYTES


def size_of(files: Iterable[Path]) -> int:
    """The bytes of some files together."""
    return sum(path.stat().st_size for path in files)


def pack_sequence(folder: Path, root: Path) -> bytes:
    """A sequence's files as an archive, by their paths below ``root``.

    Raises:
        InputError: one cannot be read.
    """
    top = root / folder.relative_to(root).parts[0]
    try:
        return _pack(files_of(folder, top), root)
    except OSError as error:
        raise InputError(f"{error.filename or folder}: {error.strerror or error}") from error


def pack_results(folder: Path) -> bytes:
    """The files of a folder of results, as an archive."""
    return _pack([path for path in sorted(folder.rglob("*")) if path.is_file()], folder)


def _pack(files: Iterable[Path], root: Path) -> bytes:
    archive = io.BytesIO()
    # Names need not be Unicode; what a link leads to is sent in its place.
    with tarfile.open(
        fileobj=archive, mode="w", dereference=True, format=tarfile.PAX_FORMAT, errors="surrogateescape"
    ) as tar:
        for path in files:
            tar.add(path, str(path.relative_to(root)), recursive=False)
    return archive.getvalue()


def unpack(content: bytes, folder: Path) -> None:
    """The files of an archive, in a folder that they cannot leave."""
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:", errors="surrogateescape") as tar:
        tar.extractall(folder, filter="data")


def unpack_results(content: bytes, folder: Path) -> None:
    """Results in the place of what is in a folder, as a whole.

    Raises:
        OutputError: they cannot be written.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=".slam-part-", dir=folder.parent))
        try:
            unpack(content, part)
            part.chmod(0o755)
            shutil.rmtree(folder, ignore_errors=True)
            part.replace(folder)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    except OSError as error:
        raise OutputError(
            f"the results cannot be written to {folder} ({error.strerror}); make room"
        ) from error
