"""A tree of code: what is in it, and its name, as :mod:`slipway.code.snapshot` explains it. Pure."""

from __future__ import annotations

import hashlib
import os
import posixpath
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

_WITH_CONTENT = ("file", "program")
_BATCHES = 8
_LEAST_BATCH = 256
# xargs has room for 128 KiB of words.
_BATCH_BYTES = 100_000


class Entry(NamedTuple):
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
        return self.kind in _WITH_CONTENT


@dataclass(frozen=True, kw_only=True)
class Tree:
    """What is in a folder of code, by name, in the order of the names' bytes."""

    entries: Mapping[str, Entry]

    @cached_property
    def text(self) -> bytes:
        """All of it, as :mod:`slipway.code.snapshot` explains it; :func:`parse_tree` reads it."""
        # All at once: there may be tens of thousands.
        return os.fsencode(
            "".join(f"{kind}\0{name}\0{value}\0" for name, (kind, value) in self.entries.items())
        )

    @cached_property
    def name(self) -> str:
        """What its content is called: 32 hexadecimal digits."""
        return hashlib.sha256(self.text).hexdigest()[:32]

    @cached_property
    def proof(self) -> str:
        """The SHA-256 of what :data:`PROOF` prints in a folder that holds this tree and nothing else."""
        printed = "".join(
            f"{kind} ./{name} {value}\0" if kind == "link" else f"{kind} ./{name}\0"
            for name, (kind, value) in self.entries.items()
        )
        kinds = b"\0".join([*sorted(os.fsencode(printed).split(b"\0")[:-1]), b""])
        # sort compares all of `./a/b`, which is the order of the entries.
        files = self._files
        batches = [files[start : start + self.batch] for start in range(0, len(files), self.batch)]
        lines = sorted(f"{_prove_batch(batch)}  -\n" for batch in batches)
        return hashlib.sha256(kinds + "".join(lines).encode()).hexdigest()

    @cached_property
    def batch(self) -> int:
        """How many files one process hashes there: a few processes do all, and a command line has room."""
        longest = max((len(os.fsencode(name)) for name, _ in self._files), default=0) + len("./\0")
        return min(_BATCH_BYTES // longest, max(_LEAST_BATCH, -(-len(self._files) // _BATCHES)))

    @cached_property
    def _files(self) -> list[tuple[str, str]]:
        return [(name, value) for name, (kind, value) in self.entries.items() if kind in _WITH_CONTENT]

    def changed(self, base: Tree) -> list[str]:
        """The names of what this tree has and another has not, or has otherwise."""
        return [name for name, entry in self.entries.items() if base.entries.get(name) != entry]

    def gone(self, base: Tree) -> list[str]:
        """What is removed from another tree, folders as a whole, before what changed is put there."""
        gone = [*(base.entries.keys() - self.entries), *(n for n in self.changed(base) if n in base.entries)]
        if not gone:
            return []
        lowest = {name.rpartition("/")[0] for name in self.entries}
        folders = {folder for name in lowest for folder in (name, *_folders(name))} - {""}
        folders |= {name for name, entry in self.entries.items() if entry.kind == "folder"}
        return sorted({_top(name, folders) for name in gone}, key=os.fsencode)


def parse_tree(text: bytes) -> Tree:
    """The tree that has a :attr:`Tree.text`.

    Raises:
        ValueError: none has.
    """
    words = os.fsdecode(text).split("\0")
    if len(words) % 3 != 1 or words[-1]:
        raise ValueError("a tree's text has three words for each entry")
    return Tree(entries=dict(zip(words[1::3], map(Entry, words[::3], words[2::3]), strict=False)))


def _prove_batch(files: Sequence[tuple[str, str]]) -> str:
    text = f"./{files[0][0]}\0" + "".join(f"{value}\n" for _, value in files)
    return hashlib.sha256(os.fsencode(text)).hexdigest()


# What a shell prints in a folder for its `proof`: each kind with its name, then, in any order, a hash for
# each $batch of files, of the first one's name and the hashes of all. A few batches are hashed at once, for a
# cluster's disk may take long to open a file. The words of $hash are one of HASHES. openssl is faster, but
# one of before 1.1.1 shows an odd name by several lines.
HASHES = ("openssl dgst -sha256 -r", "sha256sum --")
PROOF = r"""
    find . -mindepth 1 \( -type l -printf 'link %p %l\0' -o -type d -empty -printf 'folder %p\0' -o -type d \
        -o -type f -perm -100 -printf 'program %p\0' -o -type f -printf 'file %p\0' -o -printf '? %p\0' \) |
        sort -z
    find . -type f -print0 | sort -z | xargs -0r -n "$batch" -P 4 sh -c \
        '{ printf "%s\0" "$1"; $0 "$@" | sed "s/^\\\\//; s/ .*//"; } | sha256sum' "$hash" | sort
"""


def _folders(name: str) -> Iterable[str]:
    while name := posixpath.dirname(name):
        yield name


def _top(name: str, folders: set[str]) -> str:
    """The highest folder that a name was in and that is no longer wanted, or the name itself."""
    return next((folder for folder in reversed(list(_folders(name))) if folder not in folders), name)
