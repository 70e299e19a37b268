"""A tree of code: what is in it, and its name, as :mod:`slipway.code.snapshot` explains it. Pure."""

from __future__ import annotations

import hashlib
import os
import posixpath
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A file, link or empty folder.

    Attributes:
        kind: ``file``, ``program``, ``link`` or ``folder``.
        value: the SHA-256 of a file's content, a link's target, nothing for a folder.
    """

    kind: str
    value: str

    @property
    def is_file(self) -> bool:
        """True for what has content."""
        return self.kind in ("file", "program")


@dataclass(frozen=True, kw_only=True)
class Tree:
    """What is in a folder of code, by name, in the order of the names' bytes."""

    entries: Mapping[str, Entry]

    @cached_property
    def name(self) -> str:
        """What its content is called: 32 hexadecimal digits."""
        # All at once: there may be tens of thousands.
        text = "".join(f"{entry.kind}\0{name}\0{entry.value}\0" for name, entry in self.entries.items())
        return hashlib.sha256(os.fsencode(text)).hexdigest()[:32]

    @cached_property
    def proof(self) -> str:
        """The SHA-256 of what :data:`PROOF` prints in a folder that holds this tree and nothing else."""
        printed = "".join(_printed(name, entry) for name, entry in self.entries.items())
        kinds = [kind + b"\0" for kind in sorted(os.fsencode(printed).split(b"\0")[:-1])]
        # sort compares all of `./a/b`, which is the order of the entries.
        sums = (f"{entry.value}\n".encode() for entry in self.entries.values() if entry.is_file)
        return hashlib.sha256(b"".join([*kinds, *sums])).hexdigest()

    def changed(self, base: Tree) -> list[str]:
        """The names of what this tree has and another has not, or has otherwise."""
        return [name for name, entry in self.entries.items() if base.entries.get(name) != entry]

    def gone(self, base: Tree) -> list[str]:
        """What is removed from another tree, folders as a whole, before what changed is put there."""
        gone = [name for name, entry in base.entries.items() if self.entries.get(name) != entry]
        if not gone:
            return []
        lowest = {posixpath.dirname(name) for name in self.entries}
        folders = {folder for name in lowest for folder in (name, *_folders(name))} - {""}
        folders |= {name for name, entry in self.entries.items() if entry.kind == "folder"}
        return sorted({_top(name, folders) for name in gone}, key=os.fsencode)


# What a shell prints in a folder for its `proof`: each kind with its name, then the hashes of the files.
PROOF = r"""
    find . -mindepth 1 \( -type l -printf 'link %p %l\0' -o -type d -empty -printf 'folder %p\0' -o -type d \
        -o -type f -perm -100 -printf 'program %p\0' -o -type f -printf 'file %p\0' -o -printf '? %p\0' \) |
        sort -z
    find . -type f -print0 | sort -z | xargs -0r sha256sum -- | sed 's/^\\//; s/ .*//'
"""


def _printed(name: str, entry: Entry) -> str:
    target = f" {entry.value}" if entry.kind == "link" else ""
    return f"{entry.kind} ./{name}{target}\0"


def _folders(name: str) -> Iterable[str]:
    while name := posixpath.dirname(name):
        yield name


def _top(name: str, folders: set[str]) -> str:
    """The highest folder that a name was in and that is no longer wanted, or the name itself."""
    return next((folder for folder in reversed(list(_folders(name))) if folder not in folders), name)
