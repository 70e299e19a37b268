"""The page of all keys of a profile, from ``env/.env.example`` and the models that read it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

from manual.kind import kind
from manual.table import code, plain, table
from slipway.model import field_names
from slipway.profile import FREE_PREFIXES, Profile
from slipway.scheduler.choose import FIELDS
from slipway.share import share_folder
from slipway.text.command_name import NAME, as_typed

SCHEMA = share_folder() / "env" / ".env.example"
_SECTION = re.compile(r"# -{2,} (.+?) -{2,}\Z")
# What is behind `# ` is an example of ENV_<NAME>, and no sentence.
_SETTING = re.compile(r"(?:([A-Z][A-Z0-9_]*)=(.*)|# ((?:ENV|ARG)_)[A-Z0-9_]*=\S*)\Z")


@dataclass(frozen=True, kw_only=True)
class Key:
    """One key, or all that begin with ``ENV_`` or ``ARG_``.

    Attributes:
        section: the title that it stands below.
        words: the comment above it; empty where it has none of its own.
        shared: the key above it whose comment is for both.
    """

    name: str
    default: str
    section: str
    words: str
    shared: str = ""

    @property
    def anchor(self) -> str:
        """Where the page explains it."""
        return anchor(self.name)


def anchor(name: str) -> str:
    """Where the page explains the key of this name."""
    return name.lower().partition("<")[0].rstrip("_")


def keys() -> list[Key]:
    """All keys, in the order of the file."""
    return list(_read(SCHEMA.read_text(encoding="utf-8").splitlines()))


def page() -> str:
    """The page, as Markdown."""
    text = f"# Keys of a profile\n\n{_lead()}\n"
    for section, group in groupby(keys(), lambda key: key.section):
        rows = [(_name(key), _words(key), plain(_kind(key)), code(key.default)) for key in group]
        title, _, more = section.partition(" (")
        text += f"\n## {title[:1].upper()}{title[1:]}\n\n"
        text += f"{plain(more.rstrip(')'))}.\n\n" if more else ""
        text += table(("key", "what it says", "value", "default"), rows)
    return as_typed(text, NAME)


def _lead() -> str:
    """What the file says before its first section; lines that are set in are a block."""
    lines = SCHEMA.read_text(encoding="utf-8").splitlines()
    first = next(number for number, line in enumerate(lines) if _SECTION.match(line))
    said = [line.removeprefix("#").removeprefix(" ") for line in lines[:first]]
    groups = groupby(said, lambda line: line.startswith("  "))
    parts = [[f"  {line}" if is_set_in else plain(line) for line in group] for is_set_in, group in groups]
    return "\n\n".join("\n".join(part).strip("\n") for part in parts)


def _name(key: Key) -> str:
    return f'<span id="{key.anchor}"></span>{code(key.name)}'


def _words(key: Key) -> str:
    return plain(key.words) if key.words else f"With [{code(key.shared)}](#{anchor(key.shared)})."


def _kind(key: Key) -> str:
    name = key.name.lower()
    if name in ("program", "sbatch"):
        return "words, quoted as in a shell"
    if key.name.startswith(FREE_PREFIXES):
        return "text"
    return kind(FIELDS if name in field_names(FIELDS) else Profile, name, strict=False)


def _read(lines: list[str]) -> Iterator[Key]:
    section, above = "", ""
    words: list[str] = []
    for line in lines:
        heading, setting = _SECTION.match(line), _SETTING.match(line)
        if heading:
            section, words = heading[1], []
        elif setting:
            name = setting[1] or f"{setting[3]}<NAME>"
            said = " ".join(words)
            yield Key(name=name, default=setting[2] or "", section=section, words=said, shared=above)
            above, words = (name if words else above), []
        elif line.startswith("#"):
            words.append(line.removeprefix("#").strip())
        else:
            above, words = "", []
