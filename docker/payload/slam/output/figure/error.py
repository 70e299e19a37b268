"""Errors over time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from slam.evaluate.absolute import Evaluation
from slam.evaluate.relative import Drift
from slam.output.figure.style import BLUE, MOST_DOTS, marker, number
from slam.trajectory import Floats

if TYPE_CHECKING:
    from matplotlib.axes import Axes


_WIDE = 20
# A pause of so many usual steps is one in which nothing was measured.
_GAP = 20


@dataclass(frozen=True, kw_only=True)
class Errors:
    """One kind of error [n] at times [n] of some runs, of which each has a colour and a style of line.

    ``unit`` is the errors' own, a degree sign or a unit of length.
    """

    name: str
    unit: str
    times: tuple[Floats, ...]
    values: tuple[Floats, ...]
    colors: tuple[str, ...] = (BLUE,)
    styles: tuple[str, ...] = ("-",)

    @property
    def is_wide(self) -> bool:
        """Whether runs differ so much that one hides the others unless the scale is logarithmic."""
        middles = [float(np.median(values)) for values in self.values]
        return min(middles) > 0 and max(middles) > _WIDE * min(middles)


def absolute_errors(evaluation: Evaluation, length: str) -> tuple[Errors, Errors]:
    """Of positions, and of rotations."""
    times = (evaluation.times,)
    return (
        Errors(name="ATE", unit=length, times=times, values=(evaluation.errors,)),
        Errors(name="rotation APE", unit="°", times=times, values=(evaluation.rotation_errors,)),
    )


def relative_errors(drift: Drift, evaluation: Evaluation, length: str) -> tuple[Errors, Errors]:
    """Of steps, at the times at which they end."""
    times = (evaluation.times[drift.places[:, 1]],)
    over = f"over {drift.step}"
    return (
        Errors(name=f"RPE {over}", unit=length, times=times, values=(drift.lengths,)),
        Errors(name=f"rotation RPE {over}", unit="°", times=times, values=(drift.angles,)),
    )


def break_at_gaps(times: Floats, values: Floats) -> tuple[Floats, Floats]:
    """Both [n] with a NaN in each gap that is much longer than is usual, so that no line leads over it."""
    steps = np.diff(times)
    if len(times) <= MOST_DOTS:
        return times, values
    gaps = np.flatnonzero(steps > _GAP * np.median(steps)) + 1
    return np.insert(times, gaps, np.nan), np.insert(values, gaps, np.nan)


def draw_errors(axes: Axes, errors: Errors, *, since: float) -> None:
    """Draw errors over the time since ``since``, and say what the root mean square of a single run's is."""
    for times, values, color, style in zip(
        errors.times, errors.values, errors.colors, errors.styles, strict=True
    ):
        x, y = break_at_gaps(times - since, values)
        if len(errors.values) == 1:
            axes.fill_between(x, y, color=color, alpha=0.15, lw=0)
        axes.plot(x, y, color=color, ls=style, lw=0.8, marker=marker(len(times)), ms=3)
    title = errors.name
    if len(errors.values) == 1:
        rmse = float(np.sqrt(np.mean(errors.values[0] ** 2)))
        axes.axhline(rmse, color="black", lw=0.7, ls="--")
        title += f", rmse {rmse:.3g}{'' if errors.unit == '°' else ' '}{errors.unit}"
    axes.set(title=title, ylabel=f"[{errors.unit}]")
    if errors.is_wide:
        axes.set_yscale("log")
    else:
        # From 0 up.
        axes.set_ylim(0, max(float(values.max()) for values in errors.values) * 1.08 or 1.0)
        number(axes.yaxis)
