"""A Dockerfile's instructions with their lines, for those who translate it. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from slipway.errors import ImageError
from slipway.image.dockerfile import find_escape, read_instructions
from slipway.jsontext import load_json

_FLAG = re.compile(r"--([a-z][a-z-]*)(?:=(\S*))?(?:\s+|\Z)")


class UntranslatableError(ImageError):
    """An instruction that no definition file can say; the message is the reason, without its place.

    Attributes:
        line: its line; 0 where whoever reads the instruction knows it.
    """

    def __init__(self, reason: str, line: int = 0) -> None:
        super().__init__(reason)
        self.line = line


@dataclass(frozen=True, kw_only=True)
class Instruction:
    """One instruction: its first line, counted from 1, its keyword in capitals, and what follows it."""

    line: int
    keyword: str
    text: str
    has_heredoc: bool = False

    def flags(self) -> tuple[list[tuple[str, str]], str]:
        """The options ``--name=value`` that it begins with, in order, and the rest."""
        found, rest = [], self.text
        while match := _FLAG.match(rest):
            found.append((match[1], match[2] or ""))
            rest = rest[match.end() :]
        return found, rest


def parse_instructions(dockerfile: str) -> tuple[list[Instruction], str]:
    """The instructions of a Dockerfile in order, and the character that escapes in it."""
    found = [
        _instruction(one.line, one.text, has_heredoc=one.has_heredoc) for one in read_instructions(dockerfile)
    ]
    return found, find_escape(dockerfile)


def read_list(text: str) -> list[str] | None:
    """The words of the JSON form, ``["a", "b"]``; ``None`` where it is not written in it."""
    if not text.lstrip().startswith("["):
        return None
    try:
        words = load_json(text)
    except ValueError:
        return None
    return words if isinstance(words, list) and all(isinstance(word, str) for word in words) else None


def _instruction(line: int, text: str, *, has_heredoc: bool) -> Instruction:
    keyword, *rest = text.split(maxsplit=1) or [""]
    return Instruction(
        line=line, keyword=keyword.upper(), text="".join(rest).strip(), has_heredoc=has_heredoc
    )
