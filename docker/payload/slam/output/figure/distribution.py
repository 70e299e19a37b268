"""Which part of all errors is how large at most."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slam.output.figure.error import Errors
from slam.output.figure.style import number

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def draw_distribution(axes: Axes, errors: Errors) -> None:
    """Draw the empirical distribution of each run's errors, as a step for each value."""
    for values, color, style in zip(errors.values, errors.colors, errors.styles, strict=True):
        axes.ecdf(values, color=color, ls=style, lw=1.0)
    if errors.is_wide:
        axes.set_xscale("log")
    else:
        axes.set_xlim(left=0)
        number(axes.xaxis)
    number(axes.yaxis)
    axes.set(
        xlabel=f"{errors.name} at most [{errors.unit}]",
        ylabel="part of poses",
        ylim=(0, 1.02),
        title=f"distribution of {errors.name}",
    )
