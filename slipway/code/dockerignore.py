"""``.dockerignore`` files, as Docker reads them.

docker-py has a reader, too, which :mod:`slipway.image.recipe` has to follow, since it sends a build's
context. It would not do for a folder of code: it takes ``Build`` and ``build`` for one name, knows no
backslashes, and always lets ``Dockerfile`` and ``.dockerignore`` through, because a build needs them.
https://docs.docker.com/build/concepts/context/#dockerignore-files
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from slipway.errors import DataError

NAME = ".dockerignore"
# Linux has no longer paths.
MOST_LETTERS = 4096
_WILDCARDS = frozenset("*?[\\")
_SPECIAL = _WILDCARDS | {"]"}


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One line: whether what it matches is let through after all (``!``), its words, and what it matches."""

    is_exception: bool
    words: tuple[str, ...]
    pattern: re.Pattern[str]

    def may_match_in(self, folder: Sequence[str]) -> bool:
        """False where nothing below a folder can match, as its first words without wildcards say."""
        for mine, theirs in zip(self.words, folder, strict=False):
            if not _WILDCARDS.isdisjoint(mine):
                return True
            if mine != theirs:
                return False
        return True


class DockerIgnore:
    """The rules of a folder; without a ``.dockerignore`` there are none."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self.rules = tuple(rules)
        self._exceptions = [rule for rule in self.rules if rule.is_exception]
        self._matched: dict[str, tuple[bool, ...]] = {}

    def leaves_out(self, name: str) -> bool:
        """Whether a file or folder is left out: the last rule that matches it, or a folder above it, says."""
        verdict = False
        if not self.rules:
            return verdict
        for rule, matched in zip(self.rules, self._matches(name), strict=True):
            if matched:
                verdict = not rule.is_exception
        return verdict

    def leaves_out_all_in(self, folder: str) -> bool:
        """Whether a folder need not be looked into, because no exception can be for something in it."""
        words = folder.split("/")
        return self.leaves_out(folder) and not any(rule.may_match_in(words) for rule in self._exceptions)

    def _matches(self, name: str) -> tuple[bool, ...]:
        # What matches a folder matches all that is in it.
        parent = posixpath.dirname(name)
        above = self._folder_matches(parent) if parent else (False,) * len(self.rules)
        return tuple(
            bool(was or rule.pattern.fullmatch(name)) for was, rule in zip(above, self.rules, strict=True)
        )

    def _folder_matches(self, folder: str) -> tuple[bool, ...]:
        if folder not in self._matched:
            self._matched[folder] = self._matches(folder)
        return self._matched[folder]


def read_dockerignore(folder: Path) -> DockerIgnore:
    """The rules of the ``.dockerignore`` in a folder.

    Raises:
        DataError: the file cannot be read, or a line is no pattern.
    """
    return read_rules(folder / NAME)


def read_rules(file: Path) -> DockerIgnore:
    """The rules of one such file; see :func:`read_dockerignore`."""
    if not file.exists():
        return DockerIgnore([])
    try:
        text = file.read_bytes().decode("utf-8-sig", errors="surrogateescape")
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror}") from error
    parsed = (_parse(line, f"{file}:{number}") for number, line in enumerate(text.split("\n"), 1))
    return DockerIgnore([rule for rule in parsed if rule])


def _parse(line: str, place: str) -> Rule | None:
    words = "" if line.startswith("#") else line.strip()
    is_exception = words.startswith("!")
    words = words.removeprefix("!").strip()
    if len(words) > MOST_LETTERS:
        raise DataError(f"{place}: a pattern of {len(words)} letters is longer than any path")
    if not words:
        if is_exception:
            raise DataError(f"{place}: there is nothing behind the `!`; write what is to be let through")
        return None
    clean = posixpath.normpath(words).lstrip("/")
    if clean == ".":
        return None
    try:
        pattern = re.compile(translate(clean), re.DOTALL)
    except (ValueError, re.error) as error:
        raise DataError(f"{place}: {line.strip()!r:.200} is no pattern: {error}") from error
    return Rule(is_exception=is_exception, words=tuple(clean.split("/")), pattern=pattern)


def translate(glob: str) -> str:
    r"""A pattern as a regular expression for a whole path.

    ``*`` and ``?`` stop at ``/``, ``**`` does not, ``[a-z]`` and ``[^a-z]`` are sets, ``\`` takes the next
    character as it is.

    ``**`` stands for whole folders, or none: ``a/**b`` is no ``a/xb``. At the start, with nothing special
    behind it, it stands for anything: ``**.log`` is every name that ends so. Docker has it thus from 23.0 on.

    Raises:
        ValueError: a set has no end or nothing in it, or there is nothing behind a backslash.
    """
    ending = glob.removeprefix("**")
    if ending != glob and not ending.startswith("/") and _SPECIAL.isdisjoint(ending):
        return ".*" + re.escape(ending)
    parts = []
    rest = glob
    while rest:
        if rest.startswith("**"):
            # Several in a row say no more than one, and cost more with each.
            while rest.startswith("**"):
                rest = rest[2:].removeprefix("/")
            parts.append("(?:.*/)?" if rest else ".*")
        elif rest[0] == "[":
            part, rest = _translate_set(rest)
            parts.append(part)
        elif rest[0] == "\\":
            if len(rest) == 1:
                raise ValueError("there is nothing behind the backslash")
            parts.append(re.escape(rest[1]))
            rest = rest[2:]
        else:
            parts.append({"*": "[^/]*", "?": "[^/]"}.get(rest[0]) or re.escape(rest[0]))
            rest = rest[1:]
    return "".join(parts)


def _translate_set(glob: str) -> tuple[str, str]:
    """The regular expression of the set that a pattern starts with, and what comes behind it."""
    match = re.match(r"\[(\^?)((?:\\.|[^\]\\])+)\]", glob, re.DOTALL)
    if match is None:
        raise ValueError("a `[` has no `]`, or nothing between the two")
    characters = [one.removeprefix("\\") or one for one in re.findall(r"\\.|.", match[2], re.DOTALL)]
    last = len(characters) - 1
    # Between two others it makes a range of them; anywhere else it is a letter, which `re` would warn of.
    ranges = {at for at, one in enumerate(characters) if one == "-" and 0 < at < last}
    ranges = {at for at in ranges if at - 1 not in ranges and at - 2 not in ranges}
    inside = "".join(one if at in ranges else re.escape(one) for at, one in enumerate(characters))
    return f"[{match[1]}{inside}]", glob[match.end() :]
