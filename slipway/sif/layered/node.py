"""What is in a file system: a node for each inode."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

# Extended attributes: names with their values, sorted.
Xattrs = tuple[tuple[bytes, bytes], ...]


@dataclass(slots=True, kw_only=True, eq=False)
class Content:
    """Where the bytes of a file are, in the data of its layer.

    Attributes:
        layer: the layer's number; -1 where ``inline`` has the bytes.
        start: the first data block's place in the layer's file.
        sizes: of the data blocks, as the inode has them.
        fragment: the place and the size, as the fragment table has it, of the block that its end is in.
        offset: of its end in that block.
        size: of the file, in bytes.
        sparse: bytes of it that are holes.
        inline: the bytes themselves.
    """

    layer: int
    start: int = 0
    sizes: tuple[int, ...] = ()
    fragment: tuple[int, int] | None = None
    offset: int = 0
    size: int = 0
    sparse: int = 0
    inline: bytes = b""


@dataclass(slots=True, kw_only=True, eq=False)
class Node:
    """One inode. A file with several names is one node in several places.

    Attributes:
        kind: as the basic inode's type has it, :data:`slipway.sif.layered.format.DIR` and so on.
        mode: the permissions, with setuid, setgid and sticky bit.
        uid: whose it is.
        gid: whose group's it is.
        mtime: in seconds since 1970.
        children: of a directory, by name.
        content: of a file.
        target: of a symbolic link.
        device: the number of a device, as the inode has it.
        xattrs: extended attributes.
    """

    kind: int
    mode: int
    uid: int
    gid: int
    mtime: int
    children: dict[bytes, Node] = field(default_factory=dict)
    content: Content | None = None
    target: bytes = b""
    device: int = 0
    xattrs: Xattrs = ()

    def walk(self) -> Iterator[Node]:
        """This node and all below it, a directory first; one with several names comes several times."""
        waiting = [self]
        while waiting:
            node = waiting.pop()
            yield node
            waiting.extend(node.children[name] for name in sorted(node.children, reverse=True))
