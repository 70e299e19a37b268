"""The numbers of every JSON file."""

from __future__ import annotations

from slipway.page.chart import number
from slipway.page.markup import Html, element, join, more, notes, table
from slipway.page.read.figures import Figure, Figures
from slipway.page.subject import Section, Subject

_OPEN_ROWS = 24


def section(subject: Subject) -> Section | None:
    """A table for each file."""
    if not subject.figures:
        return None
    return Section(
        key="figures",
        title="Figures",
        body=element("div", *(_block(one) for one in subject.figures), class_="blocks"),
    )


def _block(figures: Figures) -> Html:
    rows = [[key, words(value)] for key, value in figures.values.items()]
    body = join(
        table((), rows[:_OPEN_ROWS], caption=figures.name, class_="pairs"),
        more(
            f"{len(rows) - _OPEN_ROWS:,} more of {figures.name}",
            table((), rows[_OPEN_ROWS:], caption=f"{figures.name}, the rest", class_="pairs"),
        )
        if len(rows) > _OPEN_ROWS
        else None,
        notes([figures.note] if figures.note else []),
    )
    return element("div", body)


def words(value: Figure) -> str:
    """A value as it is shown."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value if isinstance(value, str) else number(value)
