"""The SIF format, as far as it says whether a file is whole and what is in it.

The layout of header and descriptors is that of ``github.com/apptainer/sif`` (``pkg/sif/sif.go``), that of the
superblock is the kernel's (``fs/squashfs/squashfs_fs.h``). All numbers are little-endian.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from slipway.sif.layered.container import (
    DESCRIPTOR,
    DESCRIPTOR_BYTES,
    HEADER,
    MAGIC,
    MAX_DESCRIPTORS,
    PARTITION,
)

_SQUASHFS = 1
# magic, inodes, time, block size, fragments, compression, block log, flags, ids, version, root, bytes used.
_SUPERBLOCK = struct.Struct("<4s4I6H2Q")
_COMPRESSIONS = {1: "gzip", 2: "lzma", 3: "lzo", 4: "xz", 5: "lz4", 6: "zstd"}


@dataclass(frozen=True, kw_only=True)
class SifContent:
    """What a ``.sif`` says of itself: where its squashfs is, in bytes, and how that is compressed."""

    offset: int
    size_bytes: int
    compression: str


def read_sif(path: Path) -> SifContent:
    """Read a ``.sif``'s own tables; nothing is unpacked.

    Raises:
        ValueError: this is no ``.sif``, or it is cut; the text says which.
        OSError: it cannot be read.
    """
    length = path.stat().st_size
    with path.open("rb") as file:
        try:
            for kind, offset, size, file_system in _descriptors(file):
                if offset < 0 or size < 0 or offset + size > length:
                    raise ValueError(f"it is cut: {length} bytes, and one part ends at {offset + size}")
                if kind == PARTITION and file_system == _SQUASHFS:
                    compression = _compression(file, offset, size)
                    return SifContent(offset=offset, size_bytes=size, compression=compression)
        except struct.error as error:
            raise ValueError("it is cut in the middle of its header") from error
    raise ValueError("it holds no squashfs file system")


def _descriptors(file: BinaryIO) -> Iterator[tuple[int, int, int, int]]:
    header = HEADER.unpack(file.read(HEADER.size))
    if header[1] != MAGIC:
        raise ValueError("it does not begin as a .sif does")
    total, start = header[8], header[9]
    if not (0 < total <= MAX_DESCRIPTORS and start > 0):
        raise ValueError("its table of contents makes no sense")
    for number in range(total):
        file.seek(start + number * DESCRIPTOR_BYTES)
        fields = DESCRIPTOR.unpack(file.read(DESCRIPTOR.size))
        (file_system,) = struct.unpack("<i", file.read(4))
        if fields[1]:
            yield fields[0], fields[5], fields[6], file_system


def _compression(file: BinaryIO, offset: int, size: int) -> str:
    file.seek(offset)
    block = _SUPERBLOCK.unpack(file.read(_SUPERBLOCK.size))
    if block[0] != b"hsqs":
        raise ValueError("its file system is no squashfs")
    if block[-1] > size:
        raise ValueError("its file system is cut")
    return _COMPRESSIONS.get(block[5], f"compression {block[5]}")
