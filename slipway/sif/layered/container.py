"""The ``.sif`` around a file system: what Apptainer wrote around that of an empty image.

The layout of header and descriptors is that of ``github.com/apptainer/sif`` (``pkg/sif``).
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

# launch, magic, version, arch, id, then: created, modified, free and all descriptors, where they are, how
# long they are, where the data is and how long it is.
HEADER = struct.Struct("<32s10s3s3s16s8q")
# type, whether it is used, id, group, link, offset, size, size with padding, created, modified, uid, gid,
# name.
DESCRIPTOR = struct.Struct("<i?3I7q128s")
DESCRIPTOR_BYTES = 585
MAX_DESCRIPTORS = 1000
MAGIC = b"SIF_MAGIC\0"
PARTITION = 0x4004
_PAGE = 4096
# Of a partition's descriptor, behind what all have: file system, kind, processor.
_EXTRA = struct.Struct("<ii3s")
_SQUASHFS, _SYSTEM = 1, 2
# What a processor is called in an image's configuration, and in a .sif.
_ARCHITECTURES = {
    "386": b"01\0",
    "amd64": b"02\0",
    "arm": b"03\0",
    "arm64": b"04\0",
    "ppc64le": b"06\0",
    "s390x": b"11\0",
    "riscv64": b"12\0",
}


class HeadError(ValueError):
    """What Apptainer made of an empty image is not what is known of its files; the text says what."""


def find_file_system(path: Path) -> int:
    """Where the file system of a ``.sif`` begins, which has to be the last thing in it.

    Raises:
        HeadError: it is something else.
    """
    offset: int = _read(path)[1][-1][1][5]
    return offset


def make_front(
    path: Path, size: int, architecture: str, *, identity: str, rewrite: Callable[[bytes], bytes]
) -> bytes:
    """All of a ``.sif`` that stands before its file system.

    The same arguments give the same bytes, whoever made the file, and when.

    Args:
        path: what Apptainer made of an image without files.
        size: of the file system that will follow, in bytes.
        architecture: the image's processor, as its configuration calls it.
        identity: what is in it, in words; the file's identifier is made of it.
        rewrite: is given each other part of the file, and gives what stands there.

    Raises:
        HeadError: the file is not what is known of a ``.sif``.
    """
    header, found = _read(path)
    code = _ARCHITECTURES.get(architecture)
    if code is None:
        raise HeadError(f"no .sif is known for the processor {architecture}")
    with path.open("rb") as file:
        old = file.read(found[-1][1][5])
    end = found[0][1][5]
    front = bytearray(old[:end])
    for place, fields in found:
        values = list(fields)
        # created, modified, user, group
        values[8:12] = [0, 0, 0, 0]
        if fields[0] == PARTITION:
            # Where the one in Apptainer's file is, too: at a whole page.
            offset = end + -end % _PAGE
            values[5:8] = [offset, size, size + offset - end]
            file_system, kind, _ = _EXTRA.unpack_from(old, place + DESCRIPTOR.size)
            _EXTRA.pack_into(front, place + DESCRIPTOR.size, file_system, kind, code)
        else:
            data = rewrite(old[fields[5] : fields[5] + fields[6]])
            values[5:8] = [end, len(data), len(data)]
            front += data
            end += len(data)
        DESCRIPTOR.pack_into(front, place, *values)
    front += bytes(offset - end)
    values = list(header)
    values[3:7] = [code, hashlib.sha256(identity.encode()).digest()[:16], 0, 0]
    values[12] = offset + size - values[11]
    HEADER.pack_into(front, 0, *values)
    return bytes(front)


def _read(path: Path) -> tuple[tuple[Any, ...], list[tuple[int, tuple[Any, ...]]]]:
    """The header, and the descriptors in use with their places, in the order of their data."""
    with path.open("rb") as file:
        try:
            header = HEADER.unpack(file.read(HEADER.size))
            if header[1] != MAGIC or not 0 < header[8] <= MAX_DESCRIPTORS or not 0 < header[9] < 1 << 40:
                raise HeadError("it does not begin as a .sif does")
            rows = []
            for number in range(header[8]):
                place = header[9] + number * DESCRIPTOR_BYTES
                file.seek(place)
                row = file.read(DESCRIPTOR_BYTES)
                rows.append((place, DESCRIPTOR.unpack_from(row), _EXTRA.unpack_from(row, DESCRIPTOR.size)))
        except struct.error as error:
            raise HeadError("it is cut") from error
    used = sorted((row for row in rows if row[1][1]), key=lambda row: row[1][5])
    partitions = [row for row in used if row[1][0] == PARTITION]
    if len(partitions) != 1 or used[-1] is not partitions[0]:
        raise HeadError("its last part is not its only file system")
    if used[-1][2][:2] != (_SQUASHFS, _SYSTEM):
        raise HeadError("its file system is not a squashfs of a whole system")
    return header, [row[:2] for row in used]
