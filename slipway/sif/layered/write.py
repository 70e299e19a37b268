"""Writing a squashfs: blocks that are copied from layers as they are, and tables that are made anew.

The tables are not compressed: they are small beside what files hold, and stay the same from one version of an
image to the next where nothing has changed.
"""

from __future__ import annotations

import struct
import zlib
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from . import format as f
from .node import Content, Node, Xattrs

_CHUNK = 1 << 20
_PAGE = 4096
_Out = Callable[[bytes | memoryview], object]


class DamageError(ValueError):
    """What is kept of a layer is not what it was.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path.name} is damaged")
        self.path = path


class Source:
    """The data of a layer, of which only what the image still has is copied.

    Args:
        path: the layer's squashfs.
        crc32: of all its bytes, as :func:`zlib.crc32` has it.

    Attributes:
        ranges: what is copied: where each piece begins and ends.
        is_hole: whether the copy is left out, so that there is a hole in the file.
    """

    def __init__(self, path: Path, crc32: int) -> None:
        self.path = path
        self.crc32 = crc32
        self._wanted: dict[int, int] = {}
        self._starts: list[int] = []
        self._moved: list[int] = []
        self.ranges: list[tuple[int, int]] = []
        self.is_hole = False

    def want(self, start: int, size: int) -> None:
        """Have these bytes copied."""
        if size and self._wanted.get(start, 0) < size:
            self._wanted[start] = size

    def place(self, at: int) -> int:
        """Decide where the wanted bytes go, from ``at`` on; returns where they end."""
        for start, size in sorted(self._wanted.items()):
            end = start + size
            if self.ranges and start <= self.ranges[-1][1]:
                self.ranges[-1] = (self.ranges[-1][0], max(end, self.ranges[-1][1]))
            else:
                self.ranges.append((start, end))
        for start, end in self.ranges:
            self._starts.append(start)
            self._moved.append(at - start)
            at += end - start
        return at

    @property
    def size(self) -> int:
        """How much is copied, in bytes."""
        return sum(end - start for start, end in self.ranges)

    @property
    def pieces(self) -> list[tuple[int, int, int]]:
        """What is copied: where it begins, its size, and where it goes."""
        return [
            (start, end - start, start + moved)
            for (start, end), moved in zip(self.ranges, self._moved, strict=True)
        ]

    def find(self, start: int) -> int:
        """Where a block is now that was at ``start``."""
        return start + self._moved[bisect_right(self._starts, start) - 1]


class FileSystem:
    """A file system that is about to be written.

    Args:
        root: its root directory.
        sources: the layers, by the numbers that the contents name.
        compression: of what is copied, as the superblock has it.
        options: of the compression, as they are in the layers.

    Attributes:
        size: in bytes, a multiple of 4,096.
    """

    def __init__(self, root: Node, sources: Sequence[Source], *, compression: int, options: bytes) -> None:
        self._root = root
        self._sources = sources
        self._compression = compression
        self._options = options
        self._inline: dict[int, int] = {}
        self._inline_parts: list[bytes] = []
        self._fragments: dict[tuple[int, int], int] = {}
        self._fragment_table: list[bytes] = []
        self._inodes = bytearray()
        self._listings = bytearray()
        self._numbers: dict[int, int] = {}
        self._links: dict[int, int] = {}
        self._references: list[int] = []
        self._written: set[int] = set()
        self._ids: dict[int, int] = {}
        self._xattrs: dict[Xattrs, int] = {}
        end = self._place()
        reference = self._tree()
        self._superblock, self._tables = self._make_tables(end, reference)
        used = end + sum(len(table) for table in self._tables)
        self.size = used + -used % _PAGE
        self._tables.append(bytes(self.size - used))

    def write(self, out: _Out, skip: _Out | None = None) -> None:
        """Write it.

        Args:
            out: takes the bytes, in order.
            skip: takes those of layers that are to be left out, in their place.

        Raises:
            DamageError: a layer is not what it was when it was kept.
        """
        out(self._superblock + self._options)
        for source in self._sources:
            _copy(source, skip if skip and source.is_hole else out)
        for part in (*self._inline_parts, *self._tables):
            out(part)

    def _make_tables(self, inode_table: int, root: int) -> tuple[bytes, list[bytes]]:
        inodes, listings = _metadata(self._inodes), _metadata(self._listings)
        tables = [inodes, listings]
        directory_table = inode_table + len(inodes)
        here = directory_table + len(listings)
        places = []
        references = [f.U64.pack(one) for one in self._references]
        for rows in (self._fragment_table, references, [f.U32.pack(one) for one in self._ids]):
            data, index = _table(rows, here)
            places.append(here + index)
            tables.append(data)
            here += len(data)
        xattr_table = f.NO_TABLE
        if self._xattrs:
            data, index = self._xattr_table(here)
            xattr_table = here + index
            tables.append(data)
            here += len(data)
        flags = f.PLAIN_INODES | f.EXPORTABLE | f.PLAIN_IDS
        flags |= f.PLAIN_XATTRS if self._xattrs else f.NO_XATTRS
        flags |= f.COMPRESSOR_OPTIONS if self._options else 0
        fragment_table, export_table, id_table = places
        superblock = f.SUPERBLOCK.pack(
            f.MAGIC,
            len(self._references),
            0,
            f.BLOCK_BYTES,
            len(self._fragment_table),
            self._compression,
            f.BLOCK_BYTES.bit_length() - 1,
            flags,
            len(self._ids),
            4,
            0,
            root,
            here,
            id_table,
            xattr_table,
            inode_table,
            directory_table,
            fragment_table,
            export_table,
        )
        return superblock, tables

    def _place(self) -> int:
        """Decide where all blocks go; returns where they end."""
        seen: set[int] = set()
        inline: list[Content] = []
        for node in self._root.walk():
            self._links[id(node)] = self._links.get(id(node), 0) + 1
            content = node.content
            if content is None or id(node) in seen:
                continue
            seen.add(id(node))
            if content.layer < 0:
                inline.append(content)
                continue
            source = self._sources[content.layer]
            source.want(content.start, sum(size & f.DATA_SIZE for size in content.sizes))
            if content.fragment is not None:
                source.want(content.fragment[0], content.fragment[1] & f.DATA_SIZE)
        at = f.SUPERBLOCK.size + len(self._options)
        for source in self._sources:
            at = source.place(at)
        for content in inline:
            self._inline[id(content)] = at
            self._inline_parts.append(content.inline)
            at += len(content.inline)
        return at

    def _tree(self) -> int:
        """Write inodes and listings; returns the reference of the root."""
        for node in self._root.walk():
            self._numbers.setdefault(id(node), len(self._numbers) + 1)
        self._references = [0] * len(self._numbers)
        return self._inode(self._root, len(self._numbers) + 1)

    def _inode(self, node: Node, parent: int) -> int:
        key = id(node)
        number = self._numbers[key]
        if key in self._written:
            return self._references[number - 1]
        self._written.add(key)
        # What is below a directory comes before it.
        is_long, rest = self._body(node, parent)
        block, offset = divmod(len(self._inodes), f.METADATA_BYTES)
        reference = block * (f.METADATA_BYTES + 2) << 16 | offset
        self._references[number - 1] = reference
        kind = node.kind + (f.EXTENDED if is_long else 0)
        owner, group = self._id(node.uid), self._id(node.gid)
        self._inodes += f.INODE.pack(kind, node.mode, owner, group, node.mtime, number) + rest
        return reference

    def _body(self, node: Node, parent: int) -> tuple[bool, bytes]:
        xattr = self._xattr(node.xattrs)
        if node.kind == f.DIR:
            return self._directory(node, parent, xattr)
        if node.kind == f.REG:
            return self._file(node, xattr)
        links = self._links[id(node)]
        if node.kind == f.LINK:
            rest = f.SYMLINK.pack(links, len(node.target)) + node.target
        elif node.kind in (f.BLOCK, f.CHAR):
            rest = f.DEVICE.pack(links, node.device)
        else:
            rest = f.COUNT.pack(links)
        if xattr == f.NO_XATTR:
            return False, rest
        return True, rest + f.U32.pack(xattr)

    def _file(self, node: Node, xattr: int) -> tuple[bool, bytes]:
        content = node.content
        assert content is not None  # noqa: S101 - files have one
        links = self._links[id(node)]
        fragment, offset = f.NO_FRAGMENT, 0
        if content.layer < 0:
            start = self._inline[id(content)] if content.inline else 0
            size = len(content.inline)
            parts = range(0, size, f.BLOCK_BYTES)
            sizes: Sequence[int] = [min(f.BLOCK_BYTES, size - part) | f.DATA_PLAIN for part in parts]
        else:
            source = self._sources[content.layer]
            size, sizes = content.size, content.sizes
            start = source.find(content.start) if any(sizes) else 0
            if content.fragment is not None:
                fragment, offset = self._fragment(content, source), content.offset
        words = struct.pack(f"<{len(sizes)}I", *sizes)
        is_long = links > 1 or xattr != f.NO_XATTR or content.sparse or max(start, size) > f.NO_FRAGMENT - 1
        if not is_long:
            return False, f.FILE.pack(start, fragment, offset, size) + words
        head = f.LONG_FILE.pack(start, size, content.sparse, links, fragment, offset, xattr)
        return True, head + words

    def _fragment(self, content: Content, source: Source) -> int:
        assert content.fragment is not None  # noqa: S101 - asked before
        key = (content.layer, content.fragment[0])
        if key not in self._fragments:
            self._fragments[key] = len(self._fragment_table)
            start, size = content.fragment
            self._fragment_table.append(f.FRAGMENT.pack(source.find(start), size, 0))
        return self._fragments[key]

    def _directory(self, node: Node, parent: int, xattr: int) -> tuple[bool, bytes]:
        number = self._numbers[id(node)]
        names = sorted(node.children)
        entries = []
        folders = 0
        for name in names:
            child = node.children[name]
            folders += child.kind == f.DIR
            entries.append((name, self._inode(child, number), child.kind, self._numbers[id(child)]))
        start = len(self._listings)
        indexes = self._listing(entries)
        size = len(self._listings) - start + f.LISTING_EXTRA
        block, offset = divmod(start, f.METADATA_BYTES)
        block *= f.METADATA_BYTES + 2
        if not entries:
            block = offset = 0
        links = folders + 2
        if xattr == f.NO_XATTR and not indexes and size <= 0xFFFF:
            return False, f.DIRECTORY.pack(block, links, size, offset, parent)
        head = f.LONG_DIRECTORY.pack(links, size, block, parent, len(indexes), offset, xattr)
        return True, head + b"".join(indexes)

    def _listing(self, entries: list[tuple[bytes, int, int, int]]) -> list[bytes]:
        """Write a directory's entries; returns where in it each metadata block begins, but the first one."""
        start = len(self._listings)
        indexes: list[bytes] = []
        block = start // f.METADATA_BYTES
        position = 0
        while position < len(entries):
            inode_block, first = entries[position][1] >> 16, entries[position][3]
            end = position
            here = len(self._listings)
            if here // f.METADATA_BYTES > block:
                block = here // f.METADATA_BYTES
                name = entries[position][0]
                place = block * (f.METADATA_BYTES + 2)
                indexes.append(f.INDEX.pack(here - start, place, len(name) - 1) + name)
            length = f.LISTING.size
            while end < len(entries) and end - position < f.MAX_ENTRIES:
                name, reference, _, number = entries[end]
                if reference >> 16 != inode_block or not -32768 <= number - first <= 32767:
                    break
                # An index leads to a header, so a new one begins with each metadata block.
                if end > position and (here + length) // f.METADATA_BYTES > block:
                    break
                length += f.ENTRY.size + len(name)
                end += 1
            self._listings += f.LISTING.pack(end - position - 1, inode_block, first)
            for name, reference, kind, number in entries[position:end]:
                self._listings += f.ENTRY.pack(reference & 0xFFFF, number - first, kind, len(name) - 1)
                self._listings += name
            position = end
        return indexes

    def _id(self, value: int) -> int:
        return self._ids.setdefault(value, len(self._ids))

    def _xattr(self, xattrs: Xattrs) -> int:
        return self._xattrs.setdefault(xattrs, len(self._xattrs)) if xattrs else f.NO_XATTR

    def _xattr_table(self, here: int) -> tuple[bytes, int]:
        values = bytearray()
        rows = []
        for xattrs in self._xattrs:
            block, offset = divmod(len(values), f.METADATA_BYTES)
            start = len(values)
            for name, value in xattrs:
                space = next(i for i, one in enumerate(f.XATTR_PREFIXES) if name.startswith(one.encode()))
                rest = name[len(f.XATTR_PREFIXES[space]) :]
                values += f.XATTR_KEY.pack(space, len(rest)) + rest + f.U32.pack(len(value)) + value
            reference = block * (f.METADATA_BYTES + 2) << 16 | offset
            rows.append(f.XATTR.pack(reference, len(xattrs), len(values) - start))
        data = _metadata(values)
        table, index = _table(rows, here + len(data))
        head = f.XATTR_TABLE.pack(here, len(rows), 0)
        return data + table[:index] + head + table[index:], len(data) + index


def _metadata(data: bytes | bytearray) -> bytes:
    blocks = (data[at : at + f.METADATA_BYTES] for at in range(0, len(data), f.METADATA_BYTES))
    return b"".join(struct.pack("<H", len(block) | f.METADATA_PLAIN) + block for block in blocks)


def _table(rows: Iterable[bytes], here: int) -> tuple[bytes, int]:
    """A table with its index behind it, and where in both the index begins."""
    data = b"".join(rows)
    blocks = _metadata(data)
    count = -(-len(data) // f.METADATA_BYTES)
    starts = (here + number * (f.METADATA_BYTES + 2) for number in range(count))
    return blocks + b"".join(f.U64.pack(start) for start in starts), len(blocks)


def _copy(source: Source, out: _Out) -> None:
    crc = 0
    ranges = iter([*source.ranges, (-1, -1)])
    start, end = next(ranges)
    with source.path.open("rb") as file:
        at = 0
        while chunk := file.read(_CHUNK):
            crc = zlib.crc32(chunk, crc)
            last = at + len(chunk)
            view = memoryview(chunk)
            while at <= start < last or start < at < end:
                out(view[max(start, at) - at : min(end, last) - at])
                if end > last:
                    break
                start, end = next(ranges)
            at = last
    if crc != source.crc32 or start >= 0:
        raise DamageError(source.path)
