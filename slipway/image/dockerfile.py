"""A Dockerfile's instructions, as far as Slipway has to read them. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping

_DIRECTIVE = re.compile(r"(?:[ \t]*#.*\n)*?[ \t]*#[ \t]*escape[ \t]*=[ \t]*(\S)", re.I)
_FROM = re.compile(r"\s*FROM\s+(?:--platform=\S+\s+)?(\S+)(?:\s+AS\s+(\S+))?", re.I)
_SETTING = re.compile(r"\s*(ARG|ENV)\s+(.*)", re.I | re.S)
_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)(?:(:[-+])([^}]*))?\})")


def plain_text(content: bytes) -> str:
    """A Dockerfile's text as Docker reads it: without a byte order mark, comments in whatever encoding."""
    return content.decode("utf-8-sig", errors="surrogateescape").replace("\r\n", "\n")


def instructions(dockerfile: str) -> list[str]:
    """Each instruction as one line, without comments."""
    match = _DIRECTIVE.match(dockerfile)
    escape = re.escape(match[1] if match else "\\")
    lines = [line for line in dockerfile.split("\n") if line.strip() and not line.lstrip().startswith("#")]
    return re.sub(rf"(?<!{escape}){escape}[ \t]*\n", "", "\n".join(lines)).split("\n")


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

    return _VARIABLE.sub(value, text)
