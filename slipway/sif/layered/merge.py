"""Layers put one on the other, as the OCI image specification says (``layer.md``, "Applying Changesets")."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from . import format as f
from .node import Node

# What a directory has that no archive names and that is only there for what is in it: see `squash`.
IMPLIED_UID, IMPLIED_MODE = 0x7FFFFF17, 0o1751
# In archives: `.wh.NAME` removes NAME, `.wh..wh..opq` all that lower layers have in the directory.
_REMOVES = b".wh."
_HIDES_ALL = b".wh..wh..opq"
_OPAQUE = (b"trusted.overlay.opaque", b"user.overlay.opaque")
# What overlayfs says of a file whose content or name is only in a lower layer.
_ELSEWHERE = (b".overlay.redirect", b".overlay.metacopy")
# Apptainer, too, keeps what the program in the image sees and drops the rest, such as SELinux's labels.
_KEPT = (b"security.capability",)
_USER = b"user."
_NOT_THE_USERS = (b"user.overlay.", b"user.rootlesscontainers", b"user.containers.", b"user.fuseoverlayfs.")


class LayerError(ValueError):
    """A layer says something that cannot be put on the others here; the text says what."""


def merge(layers: list[tuple[Node, bool]], created: int = 0) -> Node:
    """Put layers one on the other.

    Args:
        layers: the root of each, the lowest first, and whether it is a folder of overlayfs, whose whiteouts
            are devices, and not an archive. They are changed.
        created: when the image was made, in seconds since 1970: the time of the root directory, of which
            archives say nothing, and folders when the engine made them.

    Raises:
        LayerError: one of them cannot be put on the others.
    """
    root = Node(kind=f.DIR, mode=0o755, uid=0, gid=0, mtime=created)
    for layer, is_overlay in layers:
        apply = _Apply(_of_overlay if is_overlay else _of_archive)
        apply.directory(root, layer)
        if not _is_implied(layer):
            _take_attributes(root, layer)
    root.mtime = created
    return root


def _of_overlay(folder: Node) -> tuple[set[bytes], bool]:
    """What a directory removes from lower layers, and whether it hides all of it."""
    gone = {name for name, child in folder.children.items() if child.kind == f.CHAR and child.device == 0}
    for name in gone:
        del folder.children[name]
    if any(name.endswith(_ELSEWHERE) for name, _ in folder.xattrs):
        raise LayerError("overlayfs keeps where a directory was in a lower layer")
    return gone, any(name in _OPAQUE and value == b"y" for name, value in folder.xattrs)


def _of_archive(folder: Node) -> tuple[set[bytes], bool]:
    hides_all = folder.children.pop(_HIDES_ALL, None) is not None
    marks = [name for name in folder.children if name.startswith(_REMOVES)]
    for name in marks:
        del folder.children[name]
    # Others that begin so are of the storage driver aufs, and mean nothing here.
    return {name[len(_REMOVES) :] for name in marks if not name.startswith(_REMOVES * 2)}, hides_all


class _Apply:
    def __init__(self, whiteouts: Callable[[Node], tuple[set[bytes], bool]]) -> None:
        self._whiteouts = whiteouts

    def directory(self, below: Node, above: Node) -> None:
        """Put what is in a directory on what is in the same one of lower layers."""
        gone, hides_all = self._whiteouts(above)
        if hides_all:
            below.children.clear()
        for name in gone:
            below.children.pop(name, None)
        for name, child in above.children.items():
            there = below.children.get(name)
            if child.kind != f.DIR:
                child.xattrs = _kept(child)
                below.children[name] = child
                continue
            if there is None or there.kind != f.DIR:
                there = Node(kind=f.DIR, mode=0o755, uid=0, gid=0, mtime=child.mtime)
                below.children[name] = there
            self.directory(there, child)
            if not _is_implied(child):
                _take_attributes(there, child)


def _is_implied(folder: Node) -> bool:
    return (folder.uid, folder.mode) == (IMPLIED_UID, IMPLIED_MODE)


def _take_attributes(to: Node, of: Node) -> None:
    to.mode, to.uid, to.gid, to.mtime, to.xattrs = of.mode, of.uid, of.gid, of.mtime, _kept(of)


def _kept(node: Node) -> tuple[tuple[bytes, bytes], ...]:
    if not node.xattrs:
        return ()
    if any(name.endswith(_ELSEWHERE) for name, _ in node.xattrs):
        raise LayerError("overlayfs keeps the content of a file in a lower layer")
    return tuple(
        (name, value)
        for name, value in node.xattrs
        if name in _KEPT or (name.startswith(_USER) and not name.startswith(_NOT_THE_USERS))
    )


def put_head(root: Node, head: Node) -> None:
    """Put what Apptainer adds to an image, which it was asked to add to an empty one, on a whole one.

    As Apptainer does: ``/.singularity.d`` is its own, a symbolic link of its own goes before another one,
    files and folders that the image has stay, and two files of ``/etc`` may be written by their owner.
    """
    for name, child in head.children.items():
        there = root.children.get(name)
        if name == b".singularity.d":
            _put_own(root, name, child)
        elif there is None or there.kind == child.kind == f.LINK:
            root.children[name] = child
        elif there.kind == f.DIR and child.kind == f.DIR:
            put_head(there, child)
    etc = root.children.get(b"etc")
    for name in (b"hosts", b"resolv.conf"):
        there = etc.children.get(name) if etc is not None and etc.kind == f.DIR else None
        if etc is not None and there is not None and there.kind == f.REG:
            etc.children[name] = replace(there, mode=0o644)


def _put_own(parent: Node, name: bytes, child: Node) -> None:
    there = parent.children.get(name)
    if there is None or there.kind != f.DIR or child.kind != f.DIR:
        parent.children[name] = child
        return
    for inner, node in child.children.items():
        _put_own(there, inner, node)
