"""How figures look: sizes of a page, colours that everybody can tell apart, text that stays text."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slam.output.cache import writable_cache
from slam.output.results import replacing

if TYPE_CHECKING:
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

# One and two columns of IEEE's journals, in inches.
WIDTHS_IN = {"column": 3.5, "page": 7.16}
DPI = 300
# Okabe and Ito, "Color Universal Design" (2008): https://jfly.uni-koeln.de/color/
BLACK, ORANGE, SKY, GREEN, BLUE, VERMILLION, PURPLE = (
    "#000000",
    "#E69F00",
    "#56B4E9",
    "#009E73",
    "#0072B2",
    "#D55E00",
    "#CC79A7",
)
GREY, PALE = "#9A9A9A", "#E6E6E6"
CYCLE = (BLUE, VERMILLION, GREEN, ORANGE, PURPLE, SKY, BLACK)
LINES = ("-", "--", "-.", ":")
# Between ticks, times powers of ten.
_STEPS = (1, 2, 5, 10)
# More than so many would run together.
MOST_DOTS = 50
STYLE: dict[Any, Any] = {
    "font.size": 8,
    "font.family": "DejaVu Sans",
    "axes.titlesize": 8,
    "axes.titlelocation": "left",
    "axes.labelsize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": PALE,
    "grid.linewidth": 0.5,
    "axes.axisbelow": True,
    "axes.edgecolor": "#666666",
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    # TrueType: journals refuse Type 3, and text can be searched and edited.
    "pdf.fonttype": 42,
    "svg.fonttype": "none",
    # The same input writes the same bytes.
    "svg.hashsalt": "slam",
}


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """What is asked of figures.

    ``formats`` are written beside one another; PNG is always among them. ``width`` is one of
    ``WIDTHS_IN``. ``up`` is the axis of the drawn world that points up (``z``, ``-y``, …), ``None`` where it
    has to be found.
    """

    formats: tuple[str, ...] = ("png",)
    width: str = "page"
    up: str | None = None

    @property
    def is_narrow(self) -> bool:
        """Whether the figure is for one column."""
        return self.width == "column"


def marker(count: int) -> str:
    """A dot for each of a few, none for many."""
    return "." if count <= MOST_DOTS else ""


def number(axis: Axis, *, digits: int = 4, most: int = 4) -> None:
    """Few ticks, and no power of ten or offset apart from its numbers, where titles stand."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axis.set_major_locator(MaxNLocator(most, steps=_STEPS))
    axis.set_major_formatter(
        FuncFormatter(lambda value, _: f"{value:.{digits}g}".replace("-", "\N{MINUS SIGN}"))
    )


@contextmanager
def styled(folder: Path) -> Iterator[None]:
    """Within the block matplotlib draws in this style; ``folder`` can be written to."""
    with writable_cache(folder):
        import matplotlib as mpl

        with mpl.rc_context(STYLE):
            yield


def new_figure(drawing: Drawing, height_in: float) -> Figure:
    """An empty figure without a window; to be called, and saved, where things are styled."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTHS_IN[drawing.width], height_in), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save(figure: Figure, path: Path, drawing: Drawing, description: str) -> None:
    """Write a figure in each format beside ``path``, whose ending is that of PNG.

    ``description`` goes into the files, for those who find them without a text around them.
    """
    for kind in dict.fromkeys(("png", *drawing.formats)):
        with replacing(path.with_suffix(f".{kind}")) as part:
            figure.savefig(part, format=kind, dpi=DPI, metadata=_metadata(kind, plain(description)))


def _metadata(kind: str, description: str) -> dict[str, str | None]:
    # Without dates: the same input writes the same bytes.
    if kind == "pdf":
        return {"Subject": description, "CreationDate": None}
    return {"Description": description, **({"Date": None} if kind == "svg" else {})}


def plain(text: str) -> str:
    """Names of files and folders, which need not be Unicode, as text that can be drawn."""
    return text.encode(errors="replace").decode()
