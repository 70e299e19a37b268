"""Decompressing one block of zstd with the library that mksquashfs itself uses.

mksquashfs compresses the table of fragments whatever it is told of the other tables. Python has no zstd of
its own before 3.14.
"""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any


class ZstdError(ValueError):
    """There is no libzstd, or the block is damaged."""


def decompress(data: bytes, most: int) -> bytes:
    """Decompress.

    Args:
        data: a whole frame.
        most: how many bytes may come out at most.

    Raises:
        ZstdError: it cannot be done.
    """
    library = _library()
    out = ctypes.create_string_buffer(most)
    size = library.ZSTD_decompress(out, most, data, len(data))
    if library.ZSTD_isError(size):
        raise ZstdError("a block of zstd is damaged")
    return out.raw[:size]


@cache
def _library() -> Any:
    try:
        library = ctypes.CDLL("libzstd.so.1")
    except OSError as error:
        raise ZstdError(f"libzstd is missing: {error}") from error
    library.ZSTD_decompress.restype = ctypes.c_size_t
    library.ZSTD_decompress.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_size_t]
    library.ZSTD_isError.argtypes = [ctypes.c_size_t]
    return library
