"""Titles, captions and legends that fit a figure, however long the names in them are."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from slam.dataset.sequence import Units
from slam.evaluate.absolute import Evaluation
from slam.output.figure.style import plain
from slam.output.up import Up

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.legend import Legend
    from matplotlib.text import Text
    from matplotlib.transforms import Bbox

_MOST_LETTERS = 48
_TITLE_LETTERS = 90
_USUAL_IN = 0.75


def add_words(figure: Figure, view: Axes, *, title: str, caption: str) -> None:
    """Put a title above, and a caption and the legend of a view below."""
    # Names of folders are in it, and these need be neither formulas nor Unicode.
    above = figure.suptitle(plain(title), x=0.01, ha="left", fontweight="bold", fontsize=9, parse_math=False)
    fit(figure, above)
    handles, labels = view.get_legend_handles_labels()
    legend = _add_legend(figure, handles, [shorten(label) for label in labels])
    legend.set_title(plain(caption))
    legend.get_title().set(parse_math=False, fontsize=7)
    fit(figure, legend.get_title())
    # What they need beyond a line of title and two of caption is added, and not taken from the panels.
    needed = sum(_extent(figure, artist).height for artist in (above, legend)) / figure.dpi
    figure.set_figheight(figure.get_figheight() + max(0.0, needed - _USUAL_IN))


def _add_legend(figure: Figure, handles: list[Artist], labels: list[str]) -> Legend:
    """A legend below all panels, with as many entries in a row as there is room for."""
    for columns in range(len(labels), 0, -1):
        legend = figure.legend(
            handles, labels, loc="outside lower left", ncols=columns, alignment="left", borderpad=0.6
        )
        for text in legend.get_texts():
            text.set_parse_math(False)
        if _extent(figure, legend).width <= 0.98 * figure.bbox.width:
            break
        if columns > 1:
            legend.remove()
    return legend


def fit(figure: Figure, text: Text) -> None:
    """Break a text into lines that are no wider than its figure."""
    words, letters = text.get_text().split("\n"), 400
    while _extent(figure, text).width > 0.97 * figure.bbox.width and letters > 10:
        letters = letters * 9 // 10
        text.set_text("\n".join(line for one in words for line in textwrap.wrap(one, letters) or [""]))


def describe_error(evaluation: Evaluation, units: Units) -> str:
    """The absolute trajectory error in words."""
    percent = evaluation.rmse_percent
    return (
        f"ATE rmse {evaluation.statistics['rmse']:.4g} {units.length}, "
        f"{f'{percent:.0f}' if percent >= 100 else f'{percent:.2g}'} % of a "
        f"path of {evaluation.path_length:.3g} {units.length} (alignment {evaluation.alignment}, "
        f"{len(evaluation.errors)} pairs)"
    )


def describe_world(up: Up, length: str) -> str:
    """Which way is up, and what a unit of length that has no name is."""
    return f"Up: {up.source}" + ("; a.u.: arbitrary units" if length == "a.u." else "")


def shorten(name: str) -> str:
    """A name that is too long for a legend without its middle."""
    name = plain(name)
    half = _MOST_LETTERS // 2 - 1
    return name if len(name) <= _MOST_LETTERS else f"{name[:half]}…{name[-half:]}"


def time_label(unit: str) -> str:
    """What stands below a panel over time."""
    return "time since the first frame [s]" if unit == "s" else f"frame [{unit}]"


def _extent(figure: Figure, artist: Artist) -> Bbox:
    """Where it is on the figure's own canvas, which is Agg's here, in pixels."""
    return artist.get_window_extent(figure.canvas.get_renderer())  # type: ignore[attr-defined]


def wrap_first(words: str | None) -> list[str]:
    """A message's first part, before what to do about it, in lines for a title."""
    return textwrap.wrap((words or "").split(";")[0], _TITLE_LETTERS)
