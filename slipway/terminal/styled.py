"""Text with styles: harmless, with commands as they are typed here, in lines that fit.

Rich prints it on a terminal. It takes longer to load than all that most commands do, so what goes into a pipe
does without it.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from slipway.report.run_table import GAP
from slipway.text.command_name import as_typed
from slipway.text.escapes import neutral
from slipway.text.wording import cuts, duration, hang_of, text_width

if TYPE_CHECKING:
    from rich.text import Text

_TAB = 8
# A step that is quicker needs no clock while it goes on.
_TOLD_FROM_S = 3


class Styled:
    """Text, and which parts of it have a style.

    Attributes:
        plain: the text.
        style: what all of it has, also what is added later.
    """

    def __init__(self, plain: str = "", style: str = "") -> None:
        self.plain, self.style = plain, style
        self._spans: list[tuple[int, int, str]] = []

    def __len__(self) -> int:
        """How many characters it has."""
        return len(self.plain)

    def __str__(self) -> str:
        """Its text alone."""
        return self.plain

    def __rich__(self) -> Text:
        """The same for rich."""
        from rich.text import Span, Text

        return Text(self.plain, self.style, spans=[Span(*span) for span in self._spans])

    @property
    def width(self) -> int:
        """How many columns of a terminal it takes."""
        return text_width(self.plain)

    def append(self, more: str | Styled, style: str = "") -> Styled:
        """Add some text, which keeps the styles that it has."""
        begin = len(self)
        if isinstance(more, Styled):
            self.append(more.plain, more.style)
            self._spans += [(start + begin, end + begin, kept) for start, end, kept in more._spans]
        else:
            self.plain += more
        self.stylize(style, begin, len(self))
        return self

    def stylize(self, style: str, start: int, end: int) -> None:
        """Have a part in a style, too."""
        if style and start < end:
            self._spans.append((start, end, style))

    def part(self, start: int, end: int) -> Styled:
        """A part of it, with its styles."""
        cut = Styled(self.plain[start:end], self.style)
        for begin, past, style in self._spans:
            cut.stylize(style, max(begin - start, 0), min(past - start, len(cut)))
        return cut

    def lines(self) -> list[Styled]:
        """Its lines, with tabs as spaces."""
        found, start = list[Styled](), 0
        for line in self.plain.split("\n"):
            found.append(self.part(start, start + len(line))._without_tabs())
            start += len(line) + 1
        return found

    def _without_tabs(self) -> Styled:
        whole, start = Styled(style=self.style), 0
        for tab in re.finditer("\t", self.plain):
            whole.append(self.part(start, tab.start()))
            whole.append(" " * (_TAB - whole.width % _TAB))
            start = tab.end()
        return whole.append(self.part(start, len(self)))


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
    below: Styled

    def __rich__(self) -> Styled:
        took = time.monotonic() - self.began()
        seconds = f"{int(took)} s" if took < 60 else duration(took)
        shown = safe_text(self.step).append(f"  {seconds}" if took >= _TOLD_FROM_S else "", "dim")
        return shown.append("\n").append(self.below) if self.below else shown


def safe_text(text: str, style: str = "") -> Styled:
    """Text in which rich sees neither markup nor names of emoji, and a terminal nothing to obey."""
    return Styled(neutral(as_typed(text)), style)


def fitted(text: Styled, width: int, hang: int | None = None) -> Styled:
    """Text whose lines are in pieces that fit, as :func:`slipway.text.wording.cuts` has them.

    Args:
        text: the text, which keeps its styles.
        width: how many columns of a terminal there are.
        hang: how many of them stand free before the further pieces of a line; ``None``: two more than
            before its first.
    """
    whole = Styled()
    for place, line in enumerate(text.lines()):
        begin = hang_of(line.plain) if hang is None else hang
        (start, end), *more = cuts(line.plain, width, begin)
        whole.append("\n" if place else "").append(line.part(start, end))
        for start, end in more:
            whole.append(f"\n{' ' * begin}").append(line.part(start, end))
    return whole


def row_text(cells: Sequence[tuple[str, str]], widths: Sequence[int]) -> Styled:
    """A row of a table: texts with their styles, and how many columns each has."""
    row = safe_text("")
    for (cell, style), width in zip(cells, widths, strict=True):
        text = safe_text(cell, style)
        row.append(text).append(" " * (width - text.width + GAP))
    return row.part(0, len(row.plain.rstrip()))
