"""Reading the tables of a squashfs; what files hold is not read."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, ClassVar

from . import format as f
from .node import Content, Node, Xattrs
from .zstd import decompress

# No file system of Linux has longer ones.
_LONGEST_NAME = 255


class FormatError(ValueError):
    """This is no squashfs that can be read here; the text says why."""


@dataclass(frozen=True, kw_only=True)
class Squashfs:
    """A squashfs that was read.

    Attributes:
        root: its root directory.
        compression: as the superblock has it.
        block_size: in bytes.
        options: of the compression, as they are in the file, or nothing.
    """

    root: Node
    compression: int
    block_size: int
    options: bytes


def read(path: Path, *, layer: int = -1, offset: int = 0) -> Squashfs:
    """Read a squashfs.

    Args:
        path: a file.
        layer: the number that the contents of its files get.
        offset: where the file system begins in the file.

    Raises:
        FormatError: this is none, it is cut, or it has another compression than gzip or zstd.
    """
    try:
        with path.open("rb") as file:
            file.seek(offset)
            return _Reader(file.read, lambda place: file.seek(offset + place), layer).read()
    except FormatError:
        raise
    except (struct.error, zlib.error, ValueError, LookupError, RecursionError) as error:
        raise FormatError(f"{path.name} is no whole squashfs: {error}") from error
    # Sizes and places that no file has.
    except (ArithmeticError, MemoryError) as error:
        why = str(error) or "it names more than there is"
        raise FormatError(f"{path.name} is no whole squashfs: {why}") from error


def read_bytes(file: BinaryIO, offset: int, content: Content) -> bytes:
    """What a small file holds, of a gzip squashfs that begins at ``offset`` of ``file``.

    Raises:
        FormatError: it is damaged.
    """

    def block(start: int, size: int) -> bytes:
        file.seek(offset + start)
        data = file.read(size & f.DATA_SIZE)
        return data if size & f.DATA_PLAIN else _inflate(data, f.BLOCK_BYTES)

    parts = []
    start = content.start
    try:
        for size in content.sizes:
            parts.append(block(start, size) if size else bytes(f.BLOCK_BYTES))
            start += size & f.DATA_SIZE
        if content.fragment is not None:
            tail = block(*content.fragment)
            parts.append(tail[content.offset : content.offset + content.size % f.BLOCK_BYTES])
    except zlib.error as error:
        raise FormatError(f"a file in it is damaged: {error}") from error
    return b"".join(parts)[: content.size]


def _inflate(data: bytes, most: int) -> bytes:
    whole = zlib.decompressobj()
    content = whole.decompress(data, most + 1)
    if not whole.eof or len(content) > most:
        raise FormatError("a block in it is cut, or larger than one is")
    return content


def _decompress(compression: int, data: bytes) -> bytes:
    if compression == f.GZIP:
        return _inflate(data, f.METADATA_BYTES)
    if compression == f.ZSTD:
        return decompress(data, f.METADATA_BYTES)
    raise FormatError(f"its tables have compression {compression}")


class _Reader:
    def __init__(self, read: Callable[[int], bytes], seek: Callable[[int], object], layer: int) -> None:
        self._read = read
        self._seek = seek
        self._layer = layer
        self._nodes: dict[int, Node] = {}

    def read(self) -> Squashfs:
        fields = f.SUPERBLOCK.unpack(self._read(f.SUPERBLOCK.size))
        magic, _, _, block_size, fragments, compression, _, flags, ids, major, _, root, _ = fields[:13]
        id_table, xattr_table, inode_table, directory_table, fragment_table, export_table = fields[13:]
        if magic != f.MAGIC or major != 4:
            raise FormatError("it does not begin as a squashfs does")
        self._compression, self._block_size = compression, block_size
        options = b""
        if flags & f.COMPRESSOR_OPTIONS:
            # The whole block, its header too.
            (size,) = struct.unpack("<H", self._read(2))
            options = struct.pack("<H", size) + self._read(size & ~f.METADATA_PLAIN)
        self._inodes = self._blocks(inode_table, directory_table)
        self._ids = self._table(id_table, ids, f.U32)
        self._fragments = self._table(fragment_table, fragments, f.FRAGMENT)
        # Of the tables behind the listings some may be missing.
        behind = [self._index(id_table, ids, f.U32)[0]]
        if fragments:
            behind.append(self._index(fragment_table, fragments, f.FRAGMENT)[0])
        if flags & f.EXPORTABLE:
            behind.append(self._index(export_table, 1, f.U64)[0])
        end = min(behind)
        self._listings = self._blocks(directory_table, end)
        self._xattrs = self._read_xattrs(xattr_table)
        tree = self._inode(root)
        if tree.kind != f.DIR:
            raise FormatError("its root is no directory")
        return Squashfs(root=tree, compression=compression, block_size=block_size, options=options)

    def _index(self, place: int, count: int, record: struct.Struct) -> list[int]:
        blocks = -(-count * record.size // f.METADATA_BYTES)
        self._seek(place)
        return list(struct.unpack(f"<{blocks}Q", self._read(8 * blocks)))

    def _table(self, place: int, count: int, record: struct.Struct) -> list[tuple[int, ...]]:
        if not count:
            return []
        data = b"".join(self._block(where)[0] for where in self._index(place, count, record))
        return list(record.iter_unpack(data[: count * record.size]))

    def _block(self, place: int) -> tuple[bytes, int]:
        """A metadata block, and where the next one begins."""
        self._seek(place)
        (header,) = struct.unpack("<H", self._read(2))
        size = header & ~f.METADATA_PLAIN
        data = self._read(size)
        if len(data) != size:
            raise FormatError("it is cut")
        if not header & f.METADATA_PLAIN:
            data = _decompress(self._compression, data)
        return data, place + 2 + size

    def _blocks(self, start: int, end: int) -> _Blocks:
        """All metadata blocks between two places."""
        starts: dict[int, int] = {}
        parts: list[bytes] = []
        place = start
        length = 0
        while place < end:
            starts[place - start] = length
            data, place = self._block(place)
            parts.append(data)
            length += len(data)
        return _Blocks(starts, b"".join(parts))

    def _inode(self, reference: int) -> Node:
        inodes = self._inodes
        place = inodes.find(reference >> 16, reference & 0xFFFF)
        data = inodes.data
        kind, mode, user, group, mtime, number = f.INODE.unpack_from(data, place)
        known = self._nodes.get(number)
        if known is not None:
            # Only files have several names: a directory in itself would have no end.
            if known.kind == f.DIR:
                raise FormatError("a directory in it has two names")
            return known
        place += f.INODE.size
        basic = kind - f.EXTENDED if kind > f.EXTENDED else kind
        node = Node(kind=basic, mode=mode, uid=self._ids[user][0], gid=self._ids[group][0], mtime=mtime)
        self._nodes[number] = node
        self._take[basic](self, node, data, place, kind > f.EXTENDED)
        return node

    def _take_directory(self, node: Node, data: bytes, place: int, is_long: bool) -> None:
        xattr = f.NO_XATTR
        if is_long:
            _, size, block, _, _, offset, xattr = f.LONG_DIRECTORY.unpack_from(data, place)
        else:
            block, _, size, offset, _ = f.DIRECTORY.unpack_from(data, place)
        node.xattrs = self._attributes(xattr)
        if size <= f.LISTING_EXTRA:
            return
        listings = self._listings
        here = listings.find(block, offset)
        end = here + size - f.LISTING_EXTRA
        data = listings.data
        while here < end:
            count, start, _ = f.LISTING.unpack_from(data, here)
            here += f.LISTING.size
            for _ in range(count + 1):
                where, _, _, length = f.ENTRY.unpack_from(data, here)
                here += f.ENTRY.size
                name = data[here : here + length + 1]
                here += length + 1
                if name in (b".", b"..") or b"/" in name or b"\0" in name or len(name) > _LONGEST_NAME:
                    raise FormatError(f"it has a file of the name {name!r:.200}")
                node.children[name] = self._inode(start << 16 | where)

    def _take_file(self, node: Node, data: bytes, place: int, is_long: bool) -> None:
        xattr, sparse = f.NO_XATTR, 0
        if is_long:
            start, size, sparse, _, fragment, offset, xattr = f.LONG_FILE.unpack_from(data, place)
            place += f.LONG_FILE.size
        else:
            start, fragment, offset, size = f.FILE.unpack_from(data, place)
            place += f.FILE.size
        has_fragment = fragment != f.NO_FRAGMENT
        blocks = size // self._block_size if has_fragment else -(-size // self._block_size)
        node.content = Content(
            layer=self._layer,
            start=start,
            sizes=struct.unpack_from(f"<{blocks}I", data, place),
            fragment=(self._fragments[fragment][0], self._fragments[fragment][1]) if has_fragment else None,
            offset=offset if has_fragment else 0,
            size=size,
            sparse=sparse,
        )
        node.xattrs = self._attributes(xattr)

    def _take_symlink(self, node: Node, data: bytes, place: int, is_long: bool) -> None:
        _, size = f.SYMLINK.unpack_from(data, place)
        place += f.SYMLINK.size
        node.target = data[place : place + size]
        if is_long:
            node.xattrs = self._attributes(f.U32.unpack_from(data, place + size)[0])

    def _take_device(self, node: Node, data: bytes, place: int, is_long: bool) -> None:
        _, node.device = f.DEVICE.unpack_from(data, place)
        if is_long:
            node.xattrs = self._attributes(f.U32.unpack_from(data, place + f.DEVICE.size)[0])

    def _take_other(self, node: Node, data: bytes, place: int, is_long: bool) -> None:
        if is_long:
            node.xattrs = self._attributes(f.U32.unpack_from(data, place + f.COUNT.size)[0])

    _take: ClassVar[dict[int, Callable[[_Reader, Node, bytes, int, bool], None]]] = {
        f.DIR: _take_directory,
        f.REG: _take_file,
        f.LINK: _take_symlink,
        f.BLOCK: _take_device,
        f.CHAR: _take_device,
        f.FIFO: _take_other,
        f.SOCKET: _take_other,
    }

    def _attributes(self, number: int) -> Xattrs:
        return () if number == f.NO_XATTR else self._xattrs[number]

    def _read_xattrs(self, place: int) -> list[Xattrs]:
        if place == f.NO_TABLE:
            return []
        self._seek(place)
        start, count, _ = f.XATTR_TABLE.unpack(self._read(f.XATTR_TABLE.size))
        if not count:
            return []
        places = self._index(place + f.XATTR_TABLE.size, count, f.XATTR)
        data = b"".join(self._block(where)[0] for where in places)
        sets = list(f.XATTR.iter_unpack(data[: count * f.XATTR.size]))
        blocks = self._blocks(start, places[0])
        return [_read_set(blocks, reference, many) for reference, many, _ in sets]


class _Blocks:
    """The content of metadata blocks, one after the other."""

    def __init__(self, starts: dict[int, int], data: bytes) -> None:
        self._starts = starts
        self.data = data

    def find(self, block: int, offset: int) -> int:
        return self._starts[block] + offset


def _read_set(blocks: _Blocks, reference: int, count: int) -> Xattrs:
    here = blocks.find(reference >> 16, reference & 0xFFFF)
    data = blocks.data
    found = []
    for _ in range(count):
        space, length = f.XATTR_KEY.unpack_from(data, here)
        here += f.XATTR_KEY.size
        name = f.XATTR_PREFIXES[space & 0xFF].encode() + data[here : here + length]
        here += length
        (size,) = f.U32.unpack_from(data, here)
        here += f.U32.size
        value = data[here : here + size]
        here += size
        if space & f.XATTR_ELSEWHERE:
            (elsewhere,) = f.U64.unpack(value)
            there = blocks.find(elsewhere >> 16, elsewhere & 0xFFFF)
            (size,) = f.U32.unpack_from(data, there)
            value = data[there + f.U32.size : there + f.U32.size + size]
        found.append((name, value))
    return tuple(sorted(found))
