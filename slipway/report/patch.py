"""A difference as `git diff` prints it, file by file. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_FILE = re.compile(r"^diff --git ", re.M)
_NEW = re.compile(r"^\+\+\+ (?P<quote>\"?)b/(?P<name>.*?)\"?\t?$", re.M)
_OLD = re.compile(r"^--- (?P<quote>\"?)a/(?P<name>.*?)\"?\t?$", re.M)


@dataclass(frozen=True, kw_only=True)
class FileChange:
    """How many lines of a file were added and removed; ``None`` for one that is no text."""

    name: str
    added: int | None
    removed: int | None


def summarize(diff: str) -> list[FileChange]:
    """What a difference changes, in its own order; nothing for a text that is no difference."""
    return [_count(name, text) for name, text in by_file(diff).items()]


def by_file(diff: str) -> Mapping[str, str]:
    """The part of a difference that each file has, by the file's name as git writes it."""
    _, *parts = _FILE.split(diff)
    return {_name(part): part for part in parts}


def _name(part: str) -> str:
    # Lines of the files themselves come behind the first @@.
    head = part.partition("\n@@")[0]
    found = _NEW.search(head) or _OLD.search(head)
    if found:
        return found["name"]
    # Neither is there where only the mode changes, or of a file that is no text: `a/NAME b/NAME`.
    first = part.partition("\n")[0].replace('"', "")
    return first[2 : (len(first) - 1) // 2]


def _count(name: str, part: str) -> FileChange:
    if "\nGIT binary patch\n" in part.partition("\n@@")[0]:
        return FileChange(name=name, added=None, removed=None)
    lines = part.partition("\n@@")[2].split("\n")
    counts = [sum(line.startswith(sign) for line in lines) for sign in "+-"]
    return FileChange(name=name, added=counts[0], removed=counts[1])
