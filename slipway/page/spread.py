"""A picture of a sweep's figures: each of them as a dot, their mean, and what they are laid beside. SVG."""

from __future__ import annotations

from collections.abc import Sequence

from slipway.page.chart import ticks
from slipway.page.markup import Html, element
from slipway.report.metric_table import MetricTable, Row
from slipway.report.metric_text import figure_word
from slipway.text.wording import cut, one_line, text_width

_WIDTH = 860
_ROW, _TITLE, _AXIS, _EDGE = 26, 44, 46, 24
# A letter of the labels, about; and no label is longer than this many of them.
_LETTER, _LONGEST = 7.2, 44
_STYLE = """
text { font: 13px system-ui, sans-serif; fill: #222 }
.title { font-weight: 600 } .small { font-size: 12px; fill: #555 }
.grid { stroke: #ddd } .range { stroke: #3b6fb6; stroke-width: 2 }
.dot { fill: #3b6fb6; fill-opacity: .45 } .mean { stroke: #1d3f73; stroke-width: 3 }
.beside { fill: none; stroke: #c2571a; stroke-width: 2 }
"""


def spread_picture(tables: Sequence[MetricTable]) -> str:
    """An SVG file with a panel for each figure."""
    panels, top = list[Html](), 0
    for table in tables:
        panels.append(element("g", *_panel(table), transform=f"translate(0 {top})"))
        top += _height(table)
    svg = element(
        "svg",
        element("style", Html(_STYLE)),
        element("rect", width="100%", height="100%", fill="#fff"),
        *panels,
        xmlns="http://www.w3.org/2000/svg",
        width=_WIDTH,
        height=top,
        viewBox=f"0 0 {_WIDTH} {top}",
    )
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{svg}\n'


def _height(table: MetricTable) -> int:
    return _TITLE + _ROW * len(table.rows) + _AXIS


def _panel(table: MetricTable) -> list[Html]:
    labels = [_label(row) for row in table.rows]
    left = int(max(map(text_width, labels)) * _LETTER) + 2 * _EDGE
    bottom = _TITLE + _ROW * len(table.rows)
    values = [value for row in table.rows for value in (*row.figures, *row.reference.values())]
    parts = [element("text", f"{table.metric}: each run, and the mean", x=_EDGE, y=26, class_="title")]
    parts += [
        element("text", label, x=left - 12, y=_middle(place), dy="0.32em", text_anchor="end")
        for place, label in enumerate(labels)
    ]
    if not values:
        return [*parts, element("text", "There are no figures.", x=left, y=_middle(0), dy="0.32em")]
    low, high = min(*values, 0.0), max(values)
    # Figures below 0 have no reason to begin there; errors have.
    low, high = (low, high) if high > low else (low - 1, high + 1)
    scale = (_WIDTH - left - _EDGE) / (high - low)

    def x(value: float) -> float:
        return round(left + (value - low) * scale, 1)

    for value, word in ticks(low, high, 6):
        parts.append(element("line", class_="grid", x1=x(value), x2=x(value), y1=_TITLE, y2=bottom))
        parts.append(element("text", word, x=x(value), y=bottom + 16, text_anchor="middle", class_="small"))
    for place, row in enumerate(table.rows):
        parts += _marks(row, [x(value) for value in row.figures], _middle(place))
        parts += [_beside(x(value), _middle(place)) for value in row.reference.values()]
        if row.mean is not None:
            at = x(row.mean)
            parts.append(
                element(
                    "line",
                    element("title", figure_word(row.mean)),
                    class_="mean",
                    x1=at,
                    x2=at,
                    y1=_middle(place) - 8,
                    y2=_middle(place) + 8,
                )
            )
    if table.references:
        named = ", ".join(one.title for one in table.references)
        parts.append(_beside(_EDGE + 6, bottom + 32))
        parts.append(element("text", named, x=_EDGE + 18, y=bottom + 32, dy="0.32em", class_="small"))
    return parts


def _marks(row: Row, xs: Sequence[float], y: float) -> list[Html]:
    if not xs:
        return []
    line = element("line", class_="range", x1=min(xs), x2=max(xs), y1=y, y2=y)
    dots = [
        element("circle", element("title", figure_word(value)), class_="dot", cx=at, cy=y, r=5)
        for at, value in zip(xs, row.figures, strict=True)
    ]
    return [line, *dots]


def _beside(x: float, y: float) -> Html:
    return element("path", class_="beside", d=f"M{x} {y - 6}l6 6l-6 6l-6 -6z")


def _middle(place: int) -> float:
    return _TITLE + _ROW * (place + 0.5)


def _label(row: Row) -> str:
    missing = row.elements - len(row.figures)
    words = cut(one_line(", ".join(row.key.values()), _LONGEST), _LONGEST)
    return f"{words} ({len(row.figures)} of {row.elements})" if missing else words
