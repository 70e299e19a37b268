"""Making a layer's squashfs with mksquashfs, whose tables stay plain so that they can be read here."""

from __future__ import annotations

import re
import subprocess
import tarfile
import zlib
from pathlib import Path

from .merge import IMPLIED_MODE, IMPLIED_UID

# From this version on it reads archives as it reads folders.
_OLDEST = (4, 6)
_COMPRESSIONS = {"zstd": ["-comp", "zstd", "-Xcompression-level", "3"], "gzip": ["-comp", "gzip"]}
# What mksquashfs says where it has left something out, and ends well all the same.
_LEFT_OUT = re.compile(r"ignoring|skipping|failed to|unrecognised|not supported|creating empty file", re.I)
# Of the root directory, which is said in another way.
_ROOT_LEFT_OUT = re.compile(r"Empty tar filename after skipping leading [^\n]*ignoring")
# By the first bytes of what they made (RFC 1952, RFC 8878).
_PROGRAMS = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
_CHUNK = 1 << 20


class SquashError(Exception):
    """mksquashfs is missing, too old or failed; the text has its words."""


def find_version() -> tuple[int, int] | None:
    """The version of the mksquashfs that is here, or ``None``."""
    try:
        said = subprocess.run(["mksquashfs", "-version"], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None
    found = re.search(r"mksquashfs version (\d+)\.(\d+)", said.stdout + said.stderr)
    return (int(found[1]), int(found[2])) if found else None


def is_usable() -> bool:
    """Whether the mksquashfs that is here can do this."""
    version = find_version()
    return version is not None and version >= _OLDEST


def squash(source: Path, to: Path, compression: str) -> int:
    """Make a squashfs of a layer.

    Args:
        source: the layer: a folder, or an archive, which may be compressed with gzip or zstd.
        to: the file to make. Its own name stays free until it is whole.
        compression: ``zstd`` or ``gzip``.

    Returns:
        The CRC-32 of the file.

    Raises:
        SquashError: mksquashfs failed, or left something out.
    """
    part = to.with_name(f"{to.name}.part")
    part.unlink(missing_ok=True)
    argv = ["mksquashfs", "-" if source.is_file() else str(source), str(part)]
    argv += ["-noappend", "-no-progress", "-quiet", "-mkfs-time", "0", "-noI", "-noX"]
    argv += _COMPRESSIONS[compression]
    if source.is_file():
        argv += ["-tar", "-default-mode", f"{IMPLIED_MODE:o}"]
        argv += ["-default-uid", str(IMPLIED_UID), "-default-gid", str(IMPLIED_UID)]
        argv += _root_options(source)
        done = _run_with(argv, source)
    else:
        done = _run(argv, subprocess.DEVNULL)
    if done.returncode or _LEFT_OUT.search(_ROOT_LEFT_OUT.sub("", done.stdout)):
        part.unlink(missing_ok=True)
        raise SquashError(f"mksquashfs ended with exit code {done.returncode}: {done.stdout.strip()[-2000:]}")
    crc = 0
    with part.open("rb") as file:
        while chunk := file.read(_CHUNK):
            crc = zlib.crc32(chunk, crc)
    part.rename(to)
    return crc


def _root_options(archive: Path) -> list[str]:
    """What an archive says of the root directory, which is its first member where it is one at all."""
    try:
        with tarfile.open(archive) as opened:
            first = opened.next()
    except (tarfile.TarError, EOFError, zlib.error):
        return []  # compressed with zstd, or nothing that mksquashfs reads either
    if first is None or not first.isdir() or first.name.strip("./"):
        return []
    words = ["-root-mode", f"{first.mode & 0o7777:o}", "-root-time", str(int(first.mtime))]
    return [*words, "-root-uid", str(first.uid), "-root-gid", str(first.gid)]


def _run_with(argv: list[str], archive: Path) -> subprocess.CompletedProcess[str]:
    with archive.open("rb", buffering=0) as file:
        head = file.read(4)
        file.seek(0)
        program = next((name for magic, name in _PROGRAMS.items() if head.startswith(magic)), None)
        if program is None:
            return _run(argv, file.fileno())
        try:
            with subprocess.Popen([program, "-dc"], stdin=file, stdout=subprocess.PIPE) as unpacking:
                assert unpacking.stdout is not None  # noqa: S101 - it is a pipe
                done = _run(argv, unpacking.stdout.fileno())
        except FileNotFoundError as error:
            raise SquashError(f"a layer is compressed, and {program} is missing") from error
        if unpacking.returncode:
            raise SquashError(f"{program} ended with exit code {unpacking.returncode}")
        return done


def _run(argv: list[str], stdin: int) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        argv,
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
