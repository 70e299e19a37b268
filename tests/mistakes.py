"""What a document says of mistakes, compared with what was seen; SLIPWAY_WRITE_DOCS=1 writes it there."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
HEADER = ("| code | what happened | what is printed | what to do |", "| --- | --- | --- | --- |")
HOW = "SLIPWAY_WRITE_DOCS=1 with the same pytest command writes it; read what it wrote"


@dataclass(frozen=True, kw_only=True)
class Mistake:
    """One row of a topic's table.

    Attributes:
        words: what happened, in a few words that no other row of the topic has.
        code: the exit code.
        message: what was printed behind ``error: ``, with placeholders for what differs from run to run.
        remedy: what to do about it.
    """

    words: str
    code: int
    message: str
    remedy: str

    def __str__(self) -> str:
        lines = "<br>".join(_code(line.strip()) for line in self.message.splitlines())
        return f"| {self.code} | {self.words} | {lines} | {self.remedy} |"


class Block:
    """Lines between two marks in a document."""

    def __init__(self, document: str, name: str) -> None:
        self.document = ROOT / "docs" / document
        self.pattern = re.compile(rf"(<!-- {name} -->\n)(.*?)(<!-- end of {name} -->)", re.S)

    def check(self, lines: Sequence[str]) -> None:
        """Compare all of it with what it should be."""
        if os.environ.get("SLIPWAY_WRITE_DOCS"):
            self.write(lines)
        assert self.read() == list(lines), HOW

    def read(self) -> list[str]:
        match = self.pattern.search(self.document.read_text(encoding="utf-8"))
        assert match, f"{self.document} has no block {self.pattern.pattern}"
        return match[2].splitlines()

    def write(self, lines: Sequence[str]) -> None:
        new = "".join(f"{line}\n" for line in lines)
        text = self.document.read_text(encoding="utf-8")
        text = self.pattern.sub(lambda match: match[1] + new + match[3], text)
        self.document.write_text(text, encoding="utf-8")


class Table:
    """The table of one topic, between two marks in a document."""

    def __init__(self, document: str, topic: str) -> None:
        self.block = Block(document, topic)

    def check(self, mistake: Mistake) -> None:
        """Compare a row with what was seen."""
        rows = self._read()
        place = next((number for number, row in enumerate(rows) if _words(row) == mistake.words), None)
        if os.environ.get("SLIPWAY_WRITE_DOCS"):
            rows[slice(place, place + 1) if place is not None else slice(len(rows), None)] = [str(mistake)]
            self._write(rows)
            return
        assert place is not None, f"{self.block.document.name} does not have {mistake.words!r}; {HOW}"
        assert rows[place] == str(mistake), HOW

    def check_order(self, words: Sequence[str]) -> None:
        """The table has these rows, in this order, and no other ones."""
        rows = self._read()
        if os.environ.get("SLIPWAY_WRITE_DOCS"):
            kept = [row for row in rows if _words(row) in words]
            rows = sorted(kept, key=lambda row: words.index(_words(row)))
            self._write(rows)
        assert [_words(row) for row in rows] == list(words), HOW

    def _read(self) -> list[str]:
        return self.block.read()[len(HEADER) :]

    def _write(self, rows: Sequence[str]) -> None:
        self.block.write([*HEADER, *rows])


def _words(row: str) -> str:
    return row.split(" | ")[1]


def _code(line: str) -> str:
    # What holds backticks itself takes two of them.
    mark, space = ("``", " ") if "`" in line else ("`", "")
    return f"{mark}{space}{line}{space}{mark}".replace("|", "\\|")
