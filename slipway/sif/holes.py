"""A ``.sif`` in which the blocks of large layers are not written: the file has holes, which layers fill.

What is kept of the layers has the same bytes, so a push reads them there. The file is written as a whole
where somebody needs it.
"""

from __future__ import annotations

import os
import threading
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from slipway.errors import ImageError
from slipway.transfer.source import CHUNK

SUFFIX = ".sparse"


@dataclass(frozen=True, kw_only=True)
class Piece:
    """Bytes of a ``.sif`` that are those of what is kept of a layer.

    Attributes:
        layer: what is kept of the layer, by name and checksum.
        start: where they are there.
        size_bytes: how many.
        offset: where they are in the file.
    """

    layer: str
    start: int
    size_bytes: int
    offset: int


def parse_piece(layer: Any, start: Any, size_bytes: Any, offset: Any) -> Piece:
    """A piece, as it was written down.

    Raises:
        ValueError: it is something else.
    """
    numbers = (start, size_bytes, offset)
    if not isinstance(layer, str) or any(type(one) is not int or one < 0 for one in numbers):
        raise ValueError("it is no piece")
    return Piece(layer=layer, start=start, size_bytes=size_bytes, offset=offset)


@dataclass
class SparseFile:
    """Such a file, as a :class:`~slipway.transfer.source.Source`.

    Attributes:
        path: the file with holes.
        name: of the whole file.
        size_bytes: of the whole file.
        holes: in order; none reaches into another.
        layers: the folder of what is kept of the layers.
        write: writes the whole file, and says where.
    """

    path: Path
    name: str
    size_bytes: int
    holes: Sequence[Piece]
    layers: Path
    write: Callable[[SparseFile], Path]
    _held: dict[Path, BinaryIO] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    is_whole = False

    def file(self) -> Path:
        """See :class:`~slipway.transfer.source.Source`."""
        return self.write(self)

    @contextmanager
    def hold(self) -> Iterator[None]:
        """See :class:`~slipway.transfer.source.Source`.

        Raises:
            ImageError: the file, or a layer, is gone.
        """
        places = {self.path, *(self.layers / layer_file(hole) for hole in self.holes)}
        with ExitStack() as stack:
            with self._explained():
                held = {path: stack.enter_context(path.open("rb")) for path in places}
            self._held.update(held)
            try:
                yield
            finally:
                self._held.clear()

    def status(self) -> os.stat_result:
        """See :class:`~slipway.transfer.source.Source`."""
        held = self._held.get(self.path)
        with self._explained():
            return self.path.stat() if held is None else os.fstat(held.fileno())

    def read(self, start: int, size_bytes: int, chunk_bytes: int = CHUNK) -> Iterator[bytes]:
        """See :class:`~slipway.transfer.source.Source`. Several threads may do so while it is held.

        Raises:
            ImageError: the file, or a layer, is gone.
        """
        end = min(start + size_bytes, self.size_bytes)
        with self._explained():
            for path, at, size in self._places(start, end):
                with self._opened(path) as file:
                    left = size
                    while left and (chunk := self._read_at(file, at + size - left, min(left, chunk_bytes))):
                        left -= len(chunk)
                        yield chunk
                if left:
                    raise ImageError(f"{path} is cut; push again, which makes {self.name} anew")

    def _opened(self, path: Path) -> AbstractContextManager[BinaryIO]:
        held = self._held.get(path)
        return path.open("rb") if held is None else nullcontext(held)

    def _read_at(self, file: BinaryIO, at: int, size: int) -> bytes:
        # Windows has no pread.
        with self._lock:
            file.seek(at)
            return file.read(size)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            raise ImageError(
                f"{error.filename} is gone: its image was converted anew meanwhile; push again"
            ) from error

    def _places(self, start: int, end: int) -> Iterator[tuple[Path, int, int]]:
        """Where the bytes are from ``start`` to ``end``: a file, a place in it, and how many are there."""
        at = start
        first = max(0, bisect_right(self.holes, start, key=lambda one: one.offset) - 1)
        for hole in self.holes[first:]:
            if hole.offset >= end:
                break
            if hole.offset > at:
                yield self.path, at, hole.offset - at
                at = hole.offset
            skipped = at - hole.offset
            size = min(hole.size_bytes - skipped, end - at)
            if size > 0:
                yield self.layers / layer_file(hole), hole.start + skipped, size
                at += size
        if at < end:
            yield self.path, at, end - at


def layer_file(piece: Piece) -> str:
    """The name of the file that is kept of a piece's layer."""
    return piece.layer.partition(" ")[0]
