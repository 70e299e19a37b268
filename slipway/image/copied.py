"""The files of a build's context that a Dockerfile copies: all others are nothing to the image. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase
from string import Template

from slipway.image.dockerfile import instructions, read_from, read_settings
from slipway.jsontext import load_json

# A parser directive that changes what ends a line, and triggers of other images, are beyond this reader.
_ODD = re.compile(r"^\s*(#\s*escape\s*=|ONBUILD\s)", re.I | re.M)
_COPY = re.compile(r"\s*(?:COPY|ADD)\s+(.*)", re.I | re.S)
_FLAG = re.compile(r"--(\w[\w-]*)(?:=(\S*))?\s+")
_RUN = re.compile(r"\s*RUN\s+(.*)", re.I | re.S)
_HEREDOC = re.compile(r"(?<!\S)\d*<<-?\S+")
# Other variables, or quotes, spaces and backslashes, which would be read anew in their place.
_NOT_PLAIN = re.compile(r"[\s$\\\"']")
_URL = re.compile(r"https?://|git@|ftp://", re.I)


def copied_files(
    dockerfile: str, names: Iterable[str], given: Mapping[str, str], is_link: Callable[[str], bool]
) -> list[str]:
    """Those of a context's files and folders that COPY and ADD may take; all of them where that is not clear.

    Args:
        dockerfile: its text.
        names: the files and folders, relative to the context.
        given: values of the arguments that it declares.
        is_link: whether one of them is a symbolic link. The builder follows one that is named.
    """
    names = list(names)
    sources = parse_sources(dockerfile, given)
    if sources is None:
        return names
    patterns = [_parts(source) for source in sources]
    if any(_is_on_the_way(name, patterns) and is_link(name) for name in names):
        return names
    return [name for name in names if any(_matches(name.split("/"), one) for one in patterns)]


def may_hold_copied(sources: Iterable[str] | None, folder: str) -> bool:
    """Whether something in a folder may be copied, by what :func:`parse_sources` has found."""
    parts = folder.split("/")
    return sources is None or any(_matches(parts, _parts(one)[: len(parts)]) for one in sources)


def parse_sources(dockerfile: str, given: Mapping[str, str]) -> list[str] | None:
    """What COPY and ADD name of the context, in order; ``None`` where this reader cannot tell.

    Stages and addresses are no part of the context. Patterns are as they are written.
    """
    if _ODD.search(dockerfile):
        return None
    lines = instructions(dockerfile)
    settings = [read_settings(line) for line in lines]
    # ENV, also that of a stage before, is stronger than ARG.
    unclear = _names(settings, "ENV") & _names(settings, "ARG")
    above: dict[str, str] | None = None
    values: dict[str, str] = {}
    sources: list[str] = []
    for line, (kind, found) in zip(lines, settings, strict=True):
        if read_from(line):
            # A stage knows what it declares itself; each value from above the first stage only by that.
            above, values = (values if above is None else above), {}
        for name, value in found.items():
            default = (above or {}).get(name, "") if value is None else value
            now = given.get(name, default) if kind == "ARG" else default
            is_plain = name not in unclear and values.get(name, now) == now and not _NOT_PLAIN.search(now)
            values[name] = now if is_plain else "$"
        copied = _read_line(line, values)
        if copied is None:
            return None
        sources += [one for one in copied if one not in sources]
    return sources


def _names(settings: Iterable[tuple[str, Mapping[str, str | None]]], kind: str) -> set[str]:
    return {name for one, found in settings for name in found if one == kind}


def _read_line(line: str, values: Mapping[str, str]) -> list[str] | None:
    if match := _COPY.match(line):
        return _read_copy(Template(match[1]).safe_substitute(values))
    if match := _RUN.match(line):
        return _read_mounts(match[1])
    return []


def _read_mounts(words: str) -> list[str] | None:
    """What the mounts of a RUN show of the context; all kinds but ``bind`` show nothing of it."""
    sources = []
    while match := _FLAG.match(words):
        words = words[match.end() :]
        fields = (field.partition("=") for field in (match[2] or "").split(","))
        mount = {name.strip().lower(): value for name, _, value in fields} if match[1] == "mount" else {}
        if not mount or mount.get("type", "bind") != "bind" or "from" in mount:
            continue
        source = mount.get("source") or mount.get("src")
        if source is None or re.search(r"[$\\'\"]", match[2]):
            return None
        sources.append(source)
    return sources


def _read_copy(words: str) -> list[str] | None:
    flags = {}
    while match := _FLAG.match(words):
        flags[match[1]] = match[2]
        words = words[match.end() :]
    if "from" in flags:
        return []
    # What stands in the Dockerfile itself.
    words, inline = _HEREDOC.subn("", words)
    if set(flags) - {"chown", "chmod", "link", "keep-git-dir", "checksum"} or re.search(r"[$\\']|<<", words):
        return None
    try:
        listed = load_json(words) if words.lstrip().startswith("[") else words.split()
    except ValueError:
        return None
    if len(listed) + inline < 2 or not all(isinstance(one, str) and '"' not in one for one in listed):
        return None
    return [one for one in listed[:-1] if not _URL.match(one)]


def _is_on_the_way(name: str, patterns: Iterable[list[str]]) -> bool:
    """True for a name that a pattern names, or a folder that it goes through."""
    parts = name.split("/")
    return any(len(parts) <= len(one) and _matches(parts, one[: len(parts)]) for one in patterns)


def _parts(source: str) -> list[str]:
    parts: list[str] = []
    for part in source.split("/"):
        if part == "..":
            parts = parts[:-1]  # the context has nothing above it
        elif part not in ("", "."):
            parts.append(part.replace("[^", "[!"))
    return parts


def _matches(parts: list[str], pattern: list[str]) -> bool:
    """A pattern takes what it matches, and all below."""
    heads = zip(parts, pattern, strict=False)
    return len(parts) >= len(pattern) and all(fnmatchcase(part, one) for part, one in heads)
