"""Tables of a sweep's figures as a terminal shows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from slipway.job.figure import Figure
from slipway.report.metric_table import MetricTable
from slipway.report.metric_text import figure_word, metric_columns
from slipway.terminal.styled import row_text
from slipway.terminal.terminal import Terminal
from slipway.text.wording import text_width


def show_metric(screen: Terminal, table: MetricTable) -> None:
    """One table. On a terminal that is too narrow its rows go on below themselves."""
    columns = [column.aligned for column in metric_columns(table)]
    _show(screen, [column.title for column in columns], [column.cells for column in columns])


def show_figures(screen: Terminal, figures: Mapping[Figure, Sequence[float]], elements: int) -> None:
    """Which figures there are, with how many elements have them, and from where to where they go."""
    columns = {
        "FIGURE": [str(figure) for figure in figures],
        "N": [f"{len(values)}/{elements}" for values in figures.values()],
        "MIN": [figure_word(min(values)) for values in figures.values()],
        "MAX": [figure_word(max(values)) for values in figures.values()],
    }
    _show(screen, [*columns], [*columns.values()])


def _show(screen: Terminal, titles: Sequence[str], cells: Sequence[Sequence[str]]) -> None:
    widths = [max(map(text_width, (title, *some))) for title, some in zip(titles, cells, strict=True)]
    # A figure's title stands above its end.
    right = [
        title.rjust(width) if place else title
        for place, (title, width) in enumerate(zip(titles, widths, strict=True))
    ]
    screen.show(row_text([(title, "bold") for title in right], widths))
    for row in zip(*cells, strict=True):
        screen.show(row_text([(cell, "") for cell in row], widths))
