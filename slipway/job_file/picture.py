"""Whether the file of an image goes on to the image's end, without decoding it. Pure.

PNG: ISO/IEC 15948, 5.3, chunks up to IEND. JPEG: ITU-T T.81, annex B, segments up to the first scan, and from
there on to the marker EOI. What follows the end is none of the image's: phones keep films there.
"""

from __future__ import annotations

import os
from typing import BinaryIO

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8\xff"
_EOI = b"\xff\xd9"
_SOS = 0xDA
# TEM and RST0 to RST7 have no length.
_ALONE = frozenset({0x01, *range(0xD0, 0xD8)})
_PIECE_BYTES = 1 << 16


def is_cut_off(file: BinaryIO) -> bool:
    """True where a PNG or a JPEG ends before its image does; of other kinds that is not known.

    Args:
        file: at its beginning.

    Raises:
        OSError: it cannot be read.
    """
    head = file.read(len(_PNG))
    if head == _PNG:
        return not _has_iend(file)
    if head.startswith(_JPEG):
        file.seek(2)
        return not _has_eoi(file)
    return False


def _has_iend(file: BinaryIO) -> bool:
    size = file.seek(0, os.SEEK_END)
    at = file.seek(len(_PNG))
    while len(chunk := file.read(8)) == 8:
        at += 12 + int.from_bytes(chunk[:4], "big")
        if chunk[4:] == b"IEND":
            return at <= size
        file.seek(at)
    return False


def _has_eoi(file: BinaryIO) -> bool:
    while len(marker := file.read(2)) == 2 and marker[0] == 0xFF:
        if marker[1] == 0xFF:  # a byte that fills
            file.seek(-1, os.SEEK_CUR)
        elif marker == _EOI:
            return True
        elif marker[1] not in _ALONE:
            length = int.from_bytes(file.read(2), "big")
            file.seek(max(length - 2, 0), os.SEEK_CUR)
            if marker[1] == _SOS:
                return _reads_to_eoi(file)
    return False


def _reads_to_eoi(file: BinaryIO) -> bool:
    last = b""
    while piece := file.read(_PIECE_BYTES):
        if _EOI in last + piece:
            return True
        last = piece[-1:]
    return False
