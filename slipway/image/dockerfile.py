"""A Dockerfile's instructions, as far as Slipway has to read them. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

_DIRECTIVE = re.compile(r"(?:[ \t]*#.*\n)*?[ \t]*#[ \t]*escape[ \t]*=[ \t]*(\S)", re.I)
_FROM = re.compile(r"\s*FROM\s+(?:--platform=\S+\s+)?(\S+)(?:\s+AS\s+(\S+))?", re.I)
_SETTING = re.compile(r"\s*(ARG|ENV)\s+(.*)", re.I | re.S)
# What may have text on the lines below it, up to a word of its own.
_TAKES_HEREDOC = re.compile(r"\s*(?:ONBUILD\s+)?(?:RUN|COPY|ADD)\s", re.I)
_WORD = re.compile(r"""(?:[^\s"'\\]|\\.|"(?:\\.|[^"\\])*"|'[^']*')+""")
_HEREDOC = re.compile(r"\d*<<(-?)([^<]+)")
# Of a value that others have been filled into.
_LONGEST = 1 << 16
_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)(?:(:[-+])([^}]*))?\})")


def plain_text(content: bytes) -> str:
    """A Dockerfile's text as Docker reads it: without a byte order mark, comments in whatever encoding."""
    return content.decode("utf-8-sig", errors="surrogateescape").replace("\r\n", "\n")


@dataclass(frozen=True, kw_only=True)
class Instruction:
    """An instruction as one line, without comments, and the number of the line that it begins on.

    The text of a here-document is no part of it; ``has_heredoc`` says that there is one.
    """

    text: str
    line: int
    has_heredoc: bool = False


def find_escape(dockerfile: str) -> str:
    """The character that escapes in a Dockerfile: a backslash, unless its first lines name another."""
    match = _DIRECTIVE.match(dockerfile)
    return match[1] if match else "\\"


def instructions(dockerfile: str) -> list[str]:
    """Each instruction as one line, without comments and without the text of here-documents."""
    return [one.text for one in read_instructions(dockerfile)]


def read_instructions(dockerfile: str) -> list[Instruction]:
    """Each instruction, and where it stands; see :class:`Instruction`."""
    escape = re.escape(find_escape(dockerfile))
    goes_on = re.compile(rf"(?<!{escape}){escape}[ \t]*\Z")
    found, lines = [], enumerate(dockerfile.split("\n"), 1)
    text, begins = "", 0
    for number, line in lines:
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        begins = begins or number
        shortened = goes_on.sub("", line)
        text += shortened
        if shortened != line:
            continue
        ends = list(_heredocs(text))
        for word, has_tabs in ends:
            # A file that ends before the word does is refused by the builder.
            any(word == (below.lstrip("\t") if has_tabs else below) for _, below in lines)
        found.append(Instruction(text=text, line=begins, has_heredoc=bool(ends)))
        text, begins = "", 0
    return [*found, Instruction(text=text, line=begins)] if begins else found


def _heredocs(text: str) -> Iterator[tuple[str, bool]]:
    """The word that each here-document ends with, and whether tabs may stand before it."""
    if not _TAKES_HEREDOC.match(text):
        return
    for word in _WORD.findall(text):
        if match := _HEREDOC.fullmatch(word):
            yield re.sub(r"[\"'\\]", "", match[2]), bool(match[1])


def read_from(instruction: str) -> tuple[str, str] | None:
    """What FROM names, and what the stage is called, which may be empty; ``None`` for other instructions."""
    match = _FROM.match(instruction)
    return (match[1], match[2] or "") if match else None


def read_settings(instruction: str) -> tuple[str, dict[str, str | None]]:
    """``ARG`` or ``ENV``, and each name with its value, which ARG may leave out; of others, nothing."""
    match = _SETTING.match(instruction)
    if not match:
        return "", {}
    kind, words = match[1].upper(), match[2]
    try:
        parts = shlex.split(words)
    except ValueError:  # a quote without its end, which the builder refuses
        return kind, {}
    if kind == "ENV" and parts and "=" not in parts[0]:
        return kind, {parts[0]: words.partition(parts[0])[2].strip()}
    pairs = (part.partition("=") for part in parts)
    return kind, {name: value if equals else None for name, equals, value in pairs}


def declared_args(dockerfile: str, given: Mapping[str, str]) -> dict[str, str]:
    """Those of ``given`` that the Dockerfile declares with ARG; Docker warns of all others."""
    settings = map(read_settings, instructions(dockerfile))
    names = {name for kind, found in settings for name in found if kind == "ARG"}
    return {name: value for name, value in sorted(given.items()) if name in names}


def parse_bases(dockerfile: str, given: Mapping[str, str]) -> list[str]:
    """The images that a Dockerfile starts from, in order, its own stages left out."""
    stages: set[str] = {"scratch"}
    bases = []
    for image, stage in _resolved_stages(dockerfile, given):
        if image.lower() not in stages and image not in bases:
            bases.append(image)
        stages.add(stage.lower())
    return bases


def _resolved_stages(dockerfile: str, given: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    values: dict[str, str] = {}
    has_begun = False
    for line in instructions(dockerfile):
        if found := read_from(line):
            has_begun = True
            yield _expand(found[0], values), found[1]
        elif not has_begun:  # in FROM, only what stands above the first one counts
            for name, value in read_settings(line)[1].items():
                values[name] = given.get(name, _expand(value or "", values))


def _expand(text: str, values: Mapping[str, str]) -> str:
    def value(match: re.Match[str]) -> str:
        found, word = values.get(match[1] or match[2], ""), match[4] or ""
        return {":-": found or word, ":+": word if found else ""}.get(match[3], found)

    # Each of a few lines may double the one before.
    return _VARIABLE.sub(value, text)[:_LONGEST]
