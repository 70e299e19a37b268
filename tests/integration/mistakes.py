"""What docs/errors.md says of mistakes, compared with what was seen; SLIPWAY_WRITE_DOCS=1 writes it there."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "errors.md"
HEADER = ("| code | what happened | what is printed | what to do |", "| --- | --- | --- | --- |")
HOW = "SLIPWAY_WRITE_DOCS=1 with the same pytest command writes docs/errors.md; read what it wrote"


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
        """The row. No line of a message may be cut, so each is code of its own."""
        lines = "<br>".join(_code(line.strip()) for line in self.message.splitlines())
        return f"| {self.code} | {self.words} | {lines} | {self.remedy} |"


def check_row(topic: str, mistake: Mistake) -> None:
    """Compare one row of a topic's table with what was seen."""
    rows = _read(topic)
    place = next((number for number, row in enumerate(rows) if _words(row) == mistake.words), None)
    if os.environ.get("SLIPWAY_WRITE_DOCS"):
        rows[slice(place, place + 1) if place is not None else slice(len(rows), None)] = [str(mistake)]
        _write(topic, rows)
        return
    assert place is not None, f"docs/errors.md does not have {mistake.words!r}; {HOW}"
    assert rows[place] == str(mistake), HOW


def check_order(topic: str, words: Sequence[str]) -> None:
    """A topic's table has these rows, in this order, and no other ones."""
    rows = _read(topic)
    if os.environ.get("SLIPWAY_WRITE_DOCS"):
        rows = sorted((row for row in rows if _words(row) in words), key=lambda row: words.index(_words(row)))
        _write(topic, rows)
    assert [_words(row) for row in rows] == list(words), HOW


def check_block(name: str, lines: Sequence[str]) -> None:
    """Compare a marked block of docs/errors.md as a whole."""
    if os.environ.get("SLIPWAY_WRITE_DOCS"):
        _write_block(name, lines)
    assert _read_block(name) == list(lines), HOW


def _read(topic: str) -> list[str]:
    return _read_block(topic)[len(HEADER) :]


def _write(topic: str, rows: Sequence[str]) -> None:
    _write_block(topic, [*HEADER, *rows])


def _read_block(name: str) -> list[str]:
    match = _block(name).search(DOCUMENT.read_text(encoding="utf-8"))
    assert match, f"docs/errors.md has no block `<!-- {name} -->` … `<!-- end of {name} -->`"
    return match[2].splitlines()


def _write_block(name: str, lines: Sequence[str]) -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    new = "".join(f"{line}\n" for line in lines)
    DOCUMENT.write_text(_block(name).sub(lambda match: match[1] + new + match[3], text), encoding="utf-8")


def _block(name: str) -> re.Pattern[str]:
    return re.compile(rf"(<!-- {name} -->\n)(.*?)(<!-- end of {name} -->)", re.S)


def _words(row: str) -> str:
    return row.split(" | ")[1]


def _code(line: str) -> str:
    # What holds backticks itself takes two of them.
    mark, space = ("``", " ") if "`" in line else ("`", "")
    return f"{mark}{space}{line}{space}{mark}".replace("|", "\\|")
