"""Text with styles, as rich prints it: harmless, with commands as they are typed here, in lines that fit."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.text import Text

from slipway.report.run_table import GAP
from slipway.text.command_name import as_typed
from slipway.text.escapes import neutral
from slipway.text.wording import cuts, duration, hang_of

# A step that is quicker needs no clock while it goes on.
_TOLD_FROM_S = 3


@dataclass(frozen=True, kw_only=True)
class Moving:
    """A step that goes on, with the time that it has taken whenever it is drawn.

    Attributes:
        step: what is done.
        began: when, by the monotonic clock; a function, for the clock stands still while somebody is asked.
        below: what is shown below it; empty for nothing.
    """

    step: str
    began: Callable[[], float]
    below: Text

    def __rich__(self) -> Text:
        took = time.monotonic() - self.began()
        seconds = f"{int(took)} s" if took < 60 else duration(took)
        shown = safe_text(self.step).append(f"  {seconds}" if took >= _TOLD_FROM_S else "", "dim")
        return shown.append("\n").append_text(self.below) if self.below else shown


def safe_text(text: str, style: str = "") -> Text:
    """Text in which rich sees neither markup nor names of emoji, and a terminal nothing to obey."""
    return Text(neutral(as_typed(text)), style)


def fitted(text: Text, width: int, hang: int | None = None) -> Text:
    """Text whose lines are in pieces that fit, as :func:`slipway.text.wording.cuts` has them.

    Args:
        text: the text, which keeps its styles.
        width: how many columns of a terminal there are.
        hang: how many of them stand free before the further pieces of a line; ``None``: two more than
            before its first.
    """
    lines = list[Text]()
    for line in text.split("\n", allow_blank=True):
        line.expand_tabs(8)
        begin = hang_of(line.plain) if hang is None else hang
        (start, end), *more = cuts(line.plain, width, begin)
        lines += [line[start:end], *(Text(" " * begin).append_text(line[start:end]) for start, end in more)]
    return Text("\n").join(lines)


def row_text(cells: Sequence[tuple[str, str]], widths: Sequence[int]) -> Text:
    """A row of a table: texts with their styles, and how many columns each has."""
    row = safe_text("")
    for (cell, style), width in zip(cells, widths, strict=True):
        text = safe_text(cell, style)
        row.append_text(text).append(" " * (width - text.cell_len + GAP))
    row.rstrip()
    return row
