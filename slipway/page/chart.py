"""Line charts as SVG: drawn here, so that a page shows them without a script, in print and at any width."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import floor, isfinite, log10

from slipway.page.markup import Html, element, join, more, table

# A screen has no more columns to tell apart.
_COLUMNS = 500
_SIZE = 1000
_MOST_SERIES = 8


@dataclass(frozen=True, kw_only=True)
class Series:
    """A line: its name, and as many ``xs`` as ``ys``. ``colour`` is a place among the page's eight."""

    name: str
    xs: Sequence[float]
    ys: Sequence[float]
    colour: int = 0


@dataclass(frozen=True, kw_only=True)
class _Frame:
    x_low: float
    x_high: float
    y_low: float
    y_high: float

    def x(self, value: float) -> float:
        return (value - self.x_low) / (self.x_high - self.x_low)

    def y(self, value: float) -> float:
        return 1 - (value - self.y_low) / (self.y_high - self.y_low)


def line_chart(
    series: Sequence[Series],
    *,
    title: str,
    x_name: str,
    y_name: str,
    rule: tuple[str, float] | None = None,
    from_zero: bool = False,
) -> Html:
    """A chart with a table of its numbers. Values that are no numbers break a line.

    Args:
        series: the lines; eight at most are drawn.
        title: what it shows.
        x_name: of the axis.
        y_name: of the axis.
        rule: a name and a height for a dashed line.
        from_zero: the vertical axis begins at 0.
    """
    drawn = series[:_MOST_SERIES]
    frame = _frame(drawn, rule, from_zero=from_zero)
    words = _table(series, x_name)
    if frame is None:
        return element("figure", element("figcaption", title), element("p", "There are no numbers to draw."))
    lines = [line for one in drawn for line in _lines(one, frame)]
    svg = element(
        "svg",
        *_grid(frame, rule),
        element("svg", *lines, viewBox=f"0 0 {_SIZE} {_SIZE}", preserveAspectRatio="none", class_="lines"),
        element("line", class_="cursor", y1=0, y2="100%", x1=-9, x2=-9),
        class_="chart",
        role="img",
        tabindex=0,
        aria_label=f"{title}: {_in_words(drawn)}. Arrow keys read it out.",
        data_x=f"{frame.x_low!r} {frame.x_high!r}",
        data_y=f"{frame.y_low!r} {frame.y_high!r}",
        data_x_name=x_name,
    )
    return element(
        "figure",
        element("figcaption", element("strong", title), " ", element("span", y_name, class_="unit")),
        _legend(drawn) if len(drawn) > 1 else None,
        svg,
        element("p", x_name, class_="axis"),
        element("p", class_="readout", aria_live="polite"),
        element("p", f"{len(series) - len(drawn)} more lines are in the table only.", class_="notes")
        if len(series) > len(drawn)
        else None,
        more("Numbers", words),
        class_="chart-box",
    )


def _frame(series: Sequence[Series], rule: tuple[str, float] | None, *, from_zero: bool) -> _Frame | None:
    points = [pair for one in series for pair in zip(one.xs, one.ys, strict=True) if _is_drawn(pair)]
    if not points:
        return None
    xs, ys = [x for x, _ in points], [y for _, y in points]
    ys += [rule[1]] if rule and isfinite(rule[1]) else []
    low, high = (min(0.0, *ys, 0.0) if from_zero else min(ys)), max(ys)
    room = (high - low) * 0.06 or abs(high) * 0.1 or 1.0
    x_low, x_high = min(xs), max(xs)
    return _Frame(
        x_low=x_low,
        x_high=x_high if x_high > x_low else x_low + 1,
        y_low=low if from_zero and low == 0 else low - room,
        y_high=high + room,
    )


def _is_drawn(pair: tuple[float, float]) -> bool:
    return all(isfinite(value) and abs(value) < 1e300 for value in pair)


def _lines(series: Series, frame: _Frame) -> list[Html]:
    """The line in pieces; one that is a single point is a dot."""
    pieces: list[list[str]] = [[]]
    for x, y in thin(series.xs, series.ys):
        if _is_drawn((x, y)):
            pieces[-1].append(f"{frame.x(x) * _SIZE:.1f},{frame.y(y) * _SIZE:.1f}")
        elif pieces[-1]:
            pieces.append([])
    return [
        element(
            "polyline",
            points=" ".join(piece if len(piece) > 1 else _dot(piece[0])),
            class_=f"s{series.colour % _MOST_SERIES}",
            data_name=series.name,
        )
        for piece in pieces
        if piece
    ]


def _dot(point: str) -> list[str]:
    """A line of no length would not be drawn."""
    x, y = point.split(",")
    return [f"{float(x) - 3:.1f},{y}", f"{float(x) + 3:.1f},{y}"]


def thin(xs: Sequence[float], ys: Sequence[float]) -> Iterable[tuple[float, float]]:
    """Points of a line for a screen: of each column the first, the lowest, the highest and the last."""
    count = len(xs)
    if count <= 4 * _COLUMNS:
        yield from zip(xs, ys, strict=True)
        return
    for column in range(_COLUMNS):
        some = range(column * count // _COLUMNS, (column + 1) * count // _COLUMNS)
        finite = [place for place in some if isfinite(ys[place])]
        if not finite:
            yield xs[some[0]], ys[some[0]]
            continue
        kept = {finite[0], min(finite, key=ys.__getitem__), max(finite, key=ys.__getitem__), finite[-1]}
        yield from ((xs[place], ys[place]) for place in sorted(kept))


def _grid(frame: _Frame, rule: tuple[str, float] | None) -> list[Html]:
    parts = []
    for value, word in ticks(frame.y_low, frame.y_high, 6):
        y = f"{100 * frame.y(value):.2f}%"
        parts.append(element("line", class_="grid", x1=0, x2="100%", y1=y, y2=y))
        parts.append(element("text", word, x=-8, y=y, dy="0.32em", text_anchor="end"))
    for value, word in ticks(frame.x_low, frame.x_high, 7):
        x = f"{100 * frame.x(value):.2f}%"
        parts.append(element("text", word, x=x, y="100%", dy="1.5em", text_anchor="middle"))
    if rule and isfinite(rule[1]):
        y = f"{100 * frame.y(rule[1]):.2f}%"
        parts.append(element("line", class_="rule", x1=0, x2="100%", y1=y, y2=y))
        parts.append(element("text", rule[0], x="100%", y=y, dy="-0.4em", text_anchor="end"))
    return parts


def ticks(low: float, high: float, most: int) -> list[tuple[float, str]]:
    """Round values within a range, about so many, each with its words."""
    raw = (high - low) / most
    if not isfinite(raw) or raw <= 0:
        return []
    power = 10.0 ** floor(log10(raw))
    step = next((power * one for one in (1, 2, 5, 10) if raw <= power * one), power * 10)
    first = -(-low // step)
    values = [(first + index) * step for index in range(most + 2) if (first + index) * step <= high]
    return [(value, f"{value:.10g}" if abs(value) < 1e6 else f"{value:.3g}") for value in map(_plain, values)]


def _plain(value: float) -> float:
    """Without the crumbs of binary fractions."""
    return float(f"{value:.10g}")


def number(value: float | None) -> str:
    """A figure as a person reads it: five digits, thousands apart where it is whole."""
    if value is None:
        return "—"
    if not isfinite(value):
        return str(value)
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:.5g}"


def _legend(series: Sequence[Series]) -> Html:
    items = [
        element(
            "li", element("i", class_=f"swatch s{one.colour % _MOST_SERIES}", aria_hidden="true"), one.name
        )
        for one in series
    ]
    return element("ul", *items, class_="legend")


def _finite(series: Series) -> list[float]:
    return [y for y in series.ys if isfinite(y)]


def _in_words(series: Sequence[Series]) -> str:
    words = []
    for one in series:
        if values := _finite(one):
            words.append(f"{one.name} from {number(min(values))} to {number(max(values))}")
    return "; ".join(words)


def _table(series: Sequence[Series], x_name: str) -> Html:
    rows: list[list[str]] = []
    for one in series:
        values = _finite(one)
        if values:
            mean = sum(values) / len(values)
            shown = (len(values), values[0], min(values), mean, max(values), values[-1])
            rows.append([one.name, *(number(value) for value in shown)])
        else:
            rows.append([one.name, "0", "", "", "", "", ""])
    return join(
        table(("", "points", "first", "least", "mean", "most", "last"), rows, caption=f"Over {x_name}")
    )
