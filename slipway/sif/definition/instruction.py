"""A Dockerfile's instructions with their lines, for those who translate it. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from slipway.errors import ImageError

_DIRECTIVE = re.compile(r"[ \t]*#[ \t]*(\w+)[ \t]*=[ \t]*(\S+)[ \t]*\Z")
_FLAG = re.compile(r"--([a-z][a-z-]*)(?:=(\S*))?(?:\s+|\Z)")
# As BuildKit finds a here-document among the words of RUN, COPY and ADD.
_HERE = re.compile(r"(?:\A|\s)\d*<<-?[\"']?[A-Za-z_]")


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

    def flags(self) -> tuple[list[tuple[str, str]], str]:
        """The options ``--name=value`` that it begins with, in order, and the rest."""
        found, rest = [], self.text
        while match := _FLAG.match(rest):
            found.append((match[1], match[2] or ""))
            rest = rest[match.end() :]
        return found, rest


def read_instructions(dockerfile: str) -> tuple[list[Instruction], str]:
    """The instructions of a Dockerfile in order, and the character that escapes in it."""
    lines = dockerfile.split("\n")
    escape = _find_escape(lines)
    return list(_instructions(lines, escape)), escape


def read_list(text: str) -> list[str] | None:
    """The words of the JSON form, ``["a", "b"]``; ``None`` where it is not written in it."""
    if not text.lstrip().startswith("["):
        return None
    try:
        words = json.loads(text)
    except ValueError:
        return None
    return words if isinstance(words, list) and all(isinstance(word, str) for word in words) else None


def refuse_here_document(text: str) -> None:
    """Refuse what goes on in the lines behind the instruction.

    Raises:
        UntranslatableError: there is a here-document.
    """
    if _HERE.search(text):
        raise UntranslatableError(
            "a here-document (<<) is not read here; put its lines into a file, and COPY that"
        )


def _find_escape(lines: list[str]) -> str:
    for line in lines:
        match = _DIRECTIVE.match(line)
        if match is None:
            break
        if match[1].lower() == "escape":
            return match[2][0]
    return "\\"


def _instructions(lines: list[str], escape: str) -> Iterator[Instruction]:
    ending = re.compile(rf"{re.escape(escape)}[ \t]*\Z")
    text, first = "", 0
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        first = first or number
        match = ending.search(line)
        # Twice it stands for itself.
        if match and not line[: match.start()].endswith(escape):
            text += line[: match.start()]
            continue
        yield _instruction(first, text + line)
        text, first = "", 0
    if text.strip():
        yield _instruction(first, text)


def _instruction(line: int, text: str) -> Instruction:
    keyword, _, rest = text.strip().partition(" ")
    head, tab, more = keyword.partition("\t")
    rest = f"{more} {rest}" if tab else rest
    return Instruction(line=line, keyword=head.upper(), text=rest.strip())
