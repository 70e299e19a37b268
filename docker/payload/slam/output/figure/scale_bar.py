"""A bar of a known length in a view."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from slam.output.figure.style import BLACK

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_PART_OF_VIEW = 0.25
_SMALLER = ((1e3, "km"), (1.0, "m"), (1e-2, "cm"), (1e-3, "mm"), (1e-6, "µm"))


def round_length(longest: float) -> float:
    """The longest length of 1, 2 or 5 times a power of ten that is not longer than this."""
    power = 10.0 ** math.floor(math.log10(longest))
    return max(step * power for step in (1, 2, 5) if step * power <= longest * (1 + 1e-9))


def metres_in_words(metres: float) -> str:
    """``20 cm``, ``5 m``, ``2 km``."""
    factor, unit = next(((f, u) for f, u in _SMALLER if metres >= f * (1 - 1e-9)), _SMALLER[-1])
    return f"{metres / factor:g} {unit}"


def add_scale_bar(axes: Axes) -> None:
    """Draw a bar in the lower left corner of a view in metres that has its final limits."""
    from matplotlib.font_manager import FontProperties
    from mpl_toolkits.axes_grid1.anchored_artists import AnchoredSizeBar

    left, right = axes.get_xlim()
    low, high = axes.get_ylim()
    length = round_length(_PART_OF_VIEW * (right - left))
    bar = AnchoredSizeBar(
        axes.transData,
        length,
        metres_in_words(length),
        "lower left",
        pad=0.3,
        sep=2,
        color=BLACK,
        size_vertical=0.008 * (high - low),
        label_top=True,
        fontproperties=FontProperties(size=7),
    )
    bar.patch.set(alpha=0.75, linewidth=0)
    bar.set(zorder=6, in_layout=False)
    axes.add_artist(bar)
