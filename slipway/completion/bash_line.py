"""Bash's command line: its words as the shell would see them, and candidates as bash wants them back.

Bash hands over the line as it is typed. What it completes is not a word but what stands behind the last of
``COMP_WORDBREAKS``, such as ``cpu`` of ``--profile=cpu``, and what it gets back replaces that, untouched.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_BLANK = " \t\n"
# What a backslash keeps its meaning before, between double quotes.
_IN_DOUBLE = '"\\$`\n'
_PLAIN = re.compile(r"[\w@%+=:,./-]")


@dataclass(frozen=True, kw_only=True)
class Line:
    """The line up to the cursor.

    Attributes:
        words: without their quotes; the last one is being typed, and may be empty.
        raw: how that one is typed.
        quote: the quote that is open at the cursor; empty: none.
        is_redirected: the last word is the file of a ``>`` or ``<``.
    """

    words: tuple[str, ...]
    raw: str
    quote: str
    is_redirected: bool = False


def read_line(text: str) -> Line:
    """Split a line; a quote may be open at its end."""
    reader = _Reader()
    for letter in text:
        reader.read(letter)
    return Line(
        words=(*reader.words, "".join(reader.word)),
        raw="".join(reader.raw),
        quote=reader.quote,
        is_redirected=reader.is_redirected,
    )


def fit(candidate: str, line: Line, tail: str) -> str:
    """A candidate for the whole word, as the text that replaces what bash completes.

    Args:
        candidate: the word; it begins with what is typed of it.
        line: what is typed.
        tail: what bash completes: the end of the word, as typed.
    """
    head = line.raw.removesuffix(tail) if tail else line.raw
    kept = read_line(head).words[-1]
    return quote(candidate[len(kept) :], line.quote)


def quote(text: str, kind: str) -> str:
    """Text as it is typed behind an open quote, or without one where ``kind`` is empty."""
    if kind == "'":
        return text.replace("'", "'\\''")
    if kind == '"':
        return "".join(f"\\{letter}" if letter in _IN_DOUBLE else letter for letter in text)
    return "".join(letter if _PLAIN.match(letter) else f"\\{letter}" for letter in text)


class _Reader:
    def __init__(self) -> None:
        self.words: list[str] = []
        self.word: list[str] = []
        self.raw: list[str] = []
        self.quote = ""
        self.is_redirected = False
        self._is_escaped = False

    def read(self, letter: str) -> None:
        if self._is_escaped:
            self._read_escaped(letter)
        elif letter == "\\" and self.quote != "'":
            self._is_escaped = True
        elif self.quote:
            self._read_quoted(letter)
        elif letter in "'\"":
            self.quote = letter
        elif letter in _BLANK:
            self._end_word()
            return
        elif letter in "<>":
            self._redirect()
            return
        else:
            self.word.append(letter)
        self.raw.append(letter)

    def _read_escaped(self, letter: str) -> None:
        self._is_escaped = False
        if self.quote and letter not in _IN_DOUBLE:
            self.word.append("\\")
        if letter != "\n":  # the line goes on
            self.word.append(letter)

    def _read_quoted(self, letter: str) -> None:
        if letter == self.quote:
            self.quote = ""
        else:
            self.word.append(letter)

    def _end_word(self) -> None:
        if self.raw and not self.is_redirected:
            self.words.append("".join(self.word))
        # A blank between > and its file ends nothing.
        self.is_redirected = self.is_redirected and not self.raw
        self.word, self.raw = [], []

    def _redirect(self) -> None:
        if not "".join(self.raw).isdigit():  # as in 2> file
            self._end_word()
        self.word, self.raw = [], []
        self.is_redirected = True
