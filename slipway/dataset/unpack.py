"""Archives from the internet, unpacked into a folder that nothing in them can leave."""

from __future__ import annotations

import errno
import lzma
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from slipway.errors import DataError
from slipway.skipped import show_name

_CHUNK = 1 << 20
OnFile = Callable[[str], None]
# What Finder adds to a ZIP.
_JUNK = ("__MACOSX", ".DS_Store")
_DAMAGED = (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError)


def unpack(archive: Path, folder: Path, shown: str, on_file: OnFile = lambda name: None) -> None:
    """Unpack a tar or ZIP archive into a folder that is there.

    No name in it may lead out of the folder, nor through a link; links may only lead to what is in the
    folder; devices and the like are refused. What was unpacked before something is refused stays there.

    Args:
        archive: the file.
        folder: where its content goes.
        shown: what the user calls the archive.
        on_file: is told each name.

    Raises:
        DataError: it is damaged, no archive, locked, or something in it is refused.
        OSError: the disk is full, or the folder cannot be written to.
    """
    with _explained(shown):
        if zipfile.is_zipfile(archive):
            _unpack_zip(archive, folder, shown, on_file)
        else:
            _unpack_tar(archive, folder, shown, on_file)


@contextmanager
def _explained(shown: str) -> Iterator[None]:
    try:
        yield
    except _DAMAGED as error:
        raise DataError(f"{shown} is no archive, or a damaged one: {error or 'it ends too soon'}") from error
    except OSError as error:
        # A place in the file that none can have.
        if error.errno not in (None, errno.EINVAL):
            raise
        # gzip's and bz2's words for a stream that is damaged.
        raise DataError(f"{shown} is no archive, or a damaged one: {error}") from error
    except (RuntimeError, NotImplementedError) as error:  # locked, or packed by a method of its own
        raise DataError(f"{shown} cannot be unpacked: {error}") from error


def _unpack_tar(archive: Path, folder: Path, shown: str, on_file: OnFile) -> None:
    links: set[PurePosixPath] = set()
    with tarfile.open(archive, errors="surrogateescape") as tar:
        for member in tar:
            name = _name(member.name, shown)
            if name is None:
                continue
            if not links.isdisjoint((name, *name.parents)):
                raise DataError(f"{shown}: {show_name(member.name)} in it goes through a link; it is refused")
            if member.issym() or member.islnk():
                start = name.parent if member.issym() else PurePosixPath()
                _check_link(start, member.linkname, f"{shown}: {show_name(member.name)}")
                links.add(name)
            elif not (member.isfile() or member.isdir()):
                raise DataError(f"{shown}: {show_name(member.name)} in it is no file; it is refused")
            on_file(str(name))
            tar.extract(member, folder, filter="data")
        # The checksum of what is compressed stands at its end, behind what tar reads.
        while tar.fileobj is not None and tar.fileobj.read(_CHUNK):
            pass


def _unpack_zip(archive: Path, folder: Path, shown: str, on_file: OnFile) -> None:
    with zipfile.ZipFile(archive) as packed:
        for member in packed.infolist():
            name = _name(member.filename, shown)
            if name is None:
                continue
            kind = stat.S_IFMT(member.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise DataError(f"{shown}: {show_name(member.filename)} in it is no file; it is refused")
            on_file(str(name))
            target = folder / name
            if member.is_dir():
                target.mkdir(parents=True, exist_ok=True)
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            with packed.open(member) as source, target.open("wb") as file:
                shutil.copyfileobj(source, file, _CHUNK)


def _name(written: str, shown: str) -> PurePosixPath | None:
    """The name of something in an archive; ``None`` for what nobody wants.

    Raises:
        DataError: it leads out.
    """
    name = PurePosixPath(written)
    if name.is_absolute() or ".." in name.parts or "\\" in written or "\0" in written:
        raise DataError(f"{shown}: {show_name(written)} in it leads out of the folder; it is refused")
    return None if not name.parts or any(part in _JUNK for part in name.parts) else name


def _check_link(start: PurePosixPath, target: str, shown: str) -> None:
    depth = len(start.parts)
    for part in PurePosixPath(target).parts:
        depth += -1 if part == ".." else part != "."
        if depth < 0 or part == "/":
            raise DataError(f"{shown} in it is a link that leads out of the folder; it is refused")
