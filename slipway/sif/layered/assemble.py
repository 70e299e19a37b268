"""From the layers of an image to its ``.sif``: what is missing is squashed, and all of it put together."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from . import format as f
from .container import HeadError, find_file_system, make_front
from .hasher import Hasher
from .merge import LayerError, merge, put_head
from .node import Content, Node
from .origin import with_origin
from .read import FormatError, Squashfs, read, read_bytes
from .squash import SquashError, is_usable, squash
from .write import DamageError, FileSystem, Source

_COMPRESSIONS = {"zstd": f.ZSTD, "gzip": f.GZIP}
# A file with more holes is written as a whole.
_MOST_HOLES = 2000
_CHUNK = 1 << 20


class UnusableError(Exception):
    """This image cannot be put together here, and Apptainer has to convert it; the text says why."""


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One layer.

    Attributes:
        squashfs: what is kept of it, or the file to make.
        source: its folder or its archive; ``None`` where ``squashfs`` is there.
        is_overlay: whether it is, or was, a folder of overlayfs, and not an archive.
        crc32: of ``squashfs``, where that is there.
    """

    squashfs: Path
    source: Path | None
    is_overlay: bool
    crc32: int


@dataclass(frozen=True, kw_only=True)
class Order:
    """What to make.

    Attributes:
        layers: of the image, the lowest first. One that comes twice stands twice.
        head: what Apptainer made of an image with the same configuration and no files.
        sif: the file to make.
        compression: ``zstd`` or ``gzip``.
        architecture: of the image, as its configuration says.
        identity: of the image.
        created: when the image was made, in seconds since 1970; what is added to it gets this time.
        hole_bytes: layers of which so much or more would be copied are left out: there are holes in the file.
            ``None`` where all is to be copied.
    """

    layers: tuple[Layer, ...]
    head: Path
    sif: Path
    compression: str
    architecture: str
    identity: str
    created: int
    hole_bytes: int | None = None

    @classmethod
    def read(cls, path: Path) -> Order:
        """Read an order."""
        content: dict[str, Any] = json.loads(path.read_text(encoding="ascii"))
        layers = tuple(
            Layer(
                squashfs=Path(one["squashfs"]),
                source=None if one["source"] is None else Path(one["source"]),
                is_overlay=one["is_overlay"],
                crc32=one["crc32"],
            )
            for one in content["layers"]
        )
        places = {name: Path(content[name]) for name in ("head", "sif")}
        return cls(**{**content, **places, "layers": layers})


def assemble(order: Order, wait_for_head: Callable[[], object] = lambda: True) -> dict[str, Any]:
    """Do it.

    Args:
        order: what to make.
        wait_for_head: called before the head is read; what it returns is false where there will be none.

    Returns:
        ``sha256`` of the ``.sif``; ``crc32`` of what is kept of each layer, by its file's name; ``pieces``:
        what is of them, each with the file's name, where it was there, its size in bytes, and where it is
        now; ``holes``: those of the pieces that were not copied.

    Raises:
        UnusableError: it cannot be done here.
        DamageError: what is kept of a layer is not what it was.
    """
    try:
        return _assemble(order, wait_for_head)
    except (FormatError, LayerError, HeadError, SquashError) as error:
        raise UnusableError(str(error)) from error
    except (struct.error, RecursionError) as error:
        raise UnusableError(f"{type(error).__name__}: {error}") from error


def _assemble(order: Order, wait_for_head: Callable[[], object]) -> dict[str, Any]:
    if not is_usable():
        raise UnusableError("mksquashfs is missing, or older than 4.6")
    crc32 = {layer.squashfs.name: layer.crc32 for layer in order.layers if layer.source is None}
    for layer in order.layers:
        if layer.source is not None and layer.squashfs.name not in crc32:
            crc32[layer.squashfs.name] = squash(layer.source, layer.squashfs, order.compression)
    read_ones = [_read_layer(number, layer) for number, layer in enumerate(order.layers)]
    options = _common(order, read_ones)
    root = merge(
        [(one.root, layer.is_overlay) for one, layer in zip(read_ones, order.layers, strict=True)],
        order.created,
    )
    if not wait_for_head():
        raise UnusableError("Apptainer has made nothing of an image with its configuration")
    put_head(root, _read_head(order))
    sources = [Source(layer.squashfs, crc32[layer.squashfs.name]) for layer in order.layers]
    system = FileSystem(
        root,
        sources,
        compression=_COMPRESSIONS[order.compression],
        options=options,
    )
    large = [one for one in sources if order.hole_bytes is not None and one.size >= order.hole_bytes]
    if sum(len(one.ranges) for one in large) <= _MOST_HOLES:
        for one in large:
            one.is_hole = True
    with order.sif.open("wb") as file, Hasher() as hasher:

        def out(data: bytes | memoryview) -> None:
            hasher.update(data)
            file.write(data)

        def skip(data: bytes | memoryview) -> None:
            hasher.update(data)
            file.seek(len(data), os.SEEK_CUR)

        front = make_front(
            order.head,
            system.size,
            order.architecture,
            identity=f"{order.identity} {order.compression}",
            rewrite=partial(with_origin, origin=order.identity, created=order.created),
        )
        out(front)
        system.write(out, skip)
    order.sif.chmod(0o755)
    rows = [
        (one.is_hole, (one.path.name, start, size, len(front) + at))
        for one in sources
        for start, size, at in one.pieces
    ]
    return {
        "crc32": crc32,
        "sha256": hasher.hexdigest(),
        "pieces": [row for _, row in rows],
        "holes": [row for is_hole, row in rows if is_hole],
    }


def fill(order: Order, answer: dict[str, Any]) -> dict[str, Any]:
    """Copy what was left out; ``answer`` is that of :func:`assemble`. Returns the answer without holes."""
    places = {layer.squashfs.name: layer.squashfs for layer in order.layers}
    with order.sif.open("r+b") as file:
        for name, start, size, offset in answer["holes"]:
            with places[name].open("rb") as layer:
                layer.seek(start)
                file.seek(offset)
                while size and (chunk := layer.read(min(size, _CHUNK))):
                    file.write(chunk)
                    size -= len(chunk)
            if size:
                raise DamageError(places[name])
    return {**answer, "holes": []}


def _read_layer(number: int, layer: Layer) -> Squashfs:
    try:
        return read(layer.squashfs, layer=number)
    except FormatError as error:
        if layer.source is None:
            raise DamageError(layer.squashfs) from error
        raise


def _common(order: Order, layers: list[Squashfs]) -> bytes:
    """The options of the compression, which all layers have in common."""
    kinds = {(one.compression, one.block_size, one.options) for one in layers}
    if len(kinds) > 1 or any(kind[:2] != (_COMPRESSIONS[order.compression], f.BLOCK_BYTES) for kind in kinds):
        raise UnusableError("what is kept of its layers is compressed in several ways")
    return next(iter(kinds))[2] if kinds else b""


def _read_head(order: Order) -> Node:
    """What Apptainer adds. Its files are small: their bytes go into the file system as they are."""
    offset = find_file_system(order.head)
    head = read(order.head, offset=offset)
    if head.compression != f.GZIP:
        raise HeadError("its file system is not compressed with gzip")
    with order.head.open("rb") as file:
        for node in head.root.walk():
            node.mtime, node.uid, node.gid, node.xattrs = order.created, 0, 0, ()
            if node.content is not None:
                content = read_bytes(file, offset, node.content)
                node.content = Content(layer=-1, inline=with_origin(content, order.identity, order.created))
    return head.root
