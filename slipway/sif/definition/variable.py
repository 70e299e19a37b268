"""Variables in a Dockerfile's instructions: filled in where they are known, else left to the shell. Pure.

The rules are those of Docker's own reader of words (``shell/lex.go`` in BuildKit).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from slipway.sif.definition.instruction import UntranslatableError
from slipway.sif.definition.quoting import quote, quote_in_double

_NAME = re.compile(r"[A-Za-z_]\w*|\d", re.ASCII)
_BRACED = re.compile(r"\{([A-Za-z_]\w*|\d)(?:(:?[-+?])|\})", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class Unknown:
    """A variable whose value only the build knows: that of the image that a stage starts from.

    ``test`` is one of ``:-``, ``:+``, ``-``, ``+`` or empty, and ``other`` what goes with it.
    """

    name: str
    test: str = ""
    other: Word = ()


Word = tuple["str | Unknown", ...]


@dataclass(frozen=True, kw_only=True)
class Scope:
    """What a word may name: the values of variables, ``None`` where only the shell has it; who escapes."""

    values: Mapping[str, str | None]
    escape: str = "\\"


def split_words(text: str, escape: str) -> list[str]:
    """Words with spaces between them, quotes and escapes left as they are."""
    words, word, inside, at = [], "", "", 0
    while at < len(text):
        char = text[at]
        if char == escape and inside != "'" and at + 1 < len(text):
            word += text[at : at + 2]
            at += 2
            continue
        if inside:
            inside = "" if char == inside else inside
        elif char in "\"'":
            inside = char
        elif char.isspace():
            words += [word] if word else []
            word, at = "", at + 1
            continue
        word += char
        at += 1
    return [*words, word] if word else words


def expand(text: str, scope: Scope) -> Word:
    """A word without its quotes and escapes, and with the values of its variables.

    Raises:
        UntranslatableError: a quote or a brace has no end, or a test is not known.
    """
    return _Reader(text, scope).read("")


def expand_literal(text: str, scope: Scope) -> str:
    """The same where all of it has to be known.

    Raises:
        UntranslatableError: it names a variable that is not known before the build.
    """
    word = expand(text, scope)
    unknown = next((piece.name for piece in word if isinstance(piece, Unknown)), None)
    if unknown is not None:
        raise UntranslatableError(
            f"${unknown} may come from the image that the stage starts from, and its value has to be known "
            f"before the build here; write it out, or declare it with `ARG {unknown}=…`"
        )
    return "".join(str(piece) for piece in word)


def literal(word: Word) -> str | None:
    """The text of a word that has no unknown variable in it."""
    return None if any(isinstance(piece, Unknown) for piece in word) else "".join(map(str, word))


def shell(word: Word) -> str:
    """A word as a shell reads it."""
    parts = [quote(piece) if isinstance(piece, str) else f'"{_braced(piece)}"' for piece in word if piece]
    return "".join(parts) or "''"


def known_part(word: Word) -> str:
    """What of a word is known before the build."""
    return "".join(piece for piece in word if isinstance(piece, str))


def _braced(one: Unknown) -> str:
    inner = "".join(
        quote_in_double(piece) if isinstance(piece, str) else _braced(piece) for piece in one.other
    )
    return f"${{{one.name}{one.test}{inner}}}"


class _Reader:
    """One pass over a word."""

    def __init__(self, text: str, scope: Scope) -> None:
        self._text, self._scope, self._at = text, scope, 0

    def read(self, end: str) -> Word:
        """Read up to ``end``, which is a brace, or to the end of the text where it is empty."""
        pieces: list[str | Unknown] = []
        while self._at < len(self._text):
            char = self._text[self._at]
            if end and char == end:
                self._at += 1
                return _joined(pieces)
            self._at += 1
            if char == "'":
                pieces.append(self._single())
            elif char == '"':
                pieces += self._double()
            elif char == self._scope.escape:
                pieces.append(self._text[self._at : self._at + 1])
                self._at += 1
            elif char == "$":
                pieces += self._variable()
            else:
                pieces.append(char)
        if end:
            raise UntranslatableError(f"{self._text!r} has a brace without its end")
        return _joined(pieces)

    def _single(self) -> str:
        end = self._text.find("'", self._at)
        if end < 0:
            raise UntranslatableError(f"{self._text!r} has a quote without its end")
        found, self._at = self._text[self._at : end], end + 1
        return found

    def _double(self) -> list[str | Unknown]:
        pieces: list[str | Unknown] = []
        while self._at < len(self._text):
            char = self._text[self._at]
            self._at += 1
            if char == '"':
                return pieces
            following = self._text[self._at : self._at + 1]
            if char == self._scope.escape and following in ('"', "$", self._scope.escape):
                pieces.append(following)
                self._at += 1
            elif char == "$":
                pieces += self._variable()
            else:
                pieces.append(char)
        raise UntranslatableError(f"{self._text!r} has a quote without its end")

    def _variable(self) -> list[str | Unknown]:
        if self._text[self._at : self._at + 1] == "{":
            return self._braced()
        match = _NAME.match(self._text, self._at)
        if match is None:
            return ["$"]
        self._at = match.end()
        return self._value(match[0], "", ())

    def _braced(self) -> list[str | Unknown]:
        match = _BRACED.match(self._text, self._at)
        if match is None or (match[2] or "").endswith("?"):
            raise UntranslatableError(f"{self._text!r} uses ${{…}} in a way that is not read here")
        self._at = match.end()
        other = self.read("}") if match[2] else ()
        return self._value(match[1], match[2] or "", other)

    def _value(self, name: str, test: str, other: Word) -> list[str | Unknown]:
        if name not in self._scope.values or self._scope.values[name] is None:
            return [Unknown(name=name, test=test, other=other)]
        value = self._scope.values[name] or ""
        is_there = bool(value) if test.startswith(":") else True
        if test.endswith("-"):
            return [value] if is_there else list(other)
        if test.endswith("+"):
            return list(other) if is_there else []
        return [value]


def _joined(pieces: list[str | Unknown]) -> Word:
    joined: list[str | Unknown] = []
    for piece in pieces:
        if isinstance(piece, str) and joined and isinstance(joined[-1], str):
            joined[-1] += piece
        elif piece != "":
            joined.append(piece)
    return tuple(joined)
