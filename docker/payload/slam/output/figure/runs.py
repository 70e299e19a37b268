"""One figure of several runs: their paths over one truth, their errors over time, and how these spread."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from slam.dataset.sequence import Units
from slam.evaluate.absolute import Evaluation
from slam.output.figure.distribution import draw_distribution
from slam.output.figure.error import Errors, draw_errors
from slam.output.figure.path import Line, World, draw_view
from slam.output.figure.projection import look
from slam.output.figure.scale_bar import add_scale_bar
from slam.output.figure.style import CYCLE, LINES, Drawing, save, styled
from slam.output.figure.trajectory import ARBITRARY, lay_out
from slam.output.figure.words import add_words, describe_world, time_label
from slam.output.up import Up

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw_runs(
    path: Path, evaluations: Mapping[str, Evaluation], *, truth: str, up: Up, units: Units, drawing: Drawing
) -> None:
    """Draw runs, by their names, that were compared with one truth, into files of all formats.

    Args:
        path: the PNG file.
        evaluations: what the runs' errors are, all in the truth's world.
        truth: what is said of the truth.
        up: in the truth's world.
        units: the truth's.
        drawing: what is asked of figures.
    """
    with styled(path.parent):
        figure = compose(evaluations, truth=truth, up=up, units=units, drawing=drawing)
        save(figure, path, drawing, f"{', '.join(evaluations)} and {truth}. Up: {up.source}")


def compose(
    evaluations: Mapping[str, Evaluation], *, truth: str, up: Up, units: Units, drawing: Drawing
) -> Figure:
    """The figure, to be called where things are styled."""
    unit = ARBITRARY if units.length == "units" else units.length
    world = _world(evaluations, unit)
    positions, rotations = _errors(evaluations, unit)
    figure, views, rows = lay_out(drawing, 3, shared=2)
    above, below, spread = rows
    for axes, projection in zip(views, look(up, world.positions), strict=True):
        draw_view(axes, projection, world)
    since = min(float(one.times[0]) for one in evaluations.values()) if units.time == "s" else 0.0
    draw_errors(above, positions, since=since)
    draw_errors(below, rotations, since=since)
    below.set_xlabel(time_label(units.time))
    draw_distribution(spread, positions)
    add_words(
        figure,
        views[0],
        title=f"{len(evaluations)} runs and {truth}",
        caption=_caption(evaluations, up, unit),
    )
    figure.align_ylabels(views)
    figure.align_ylabels(rows)
    if unit == "m":
        figure.draw_without_rendering()
        for axes in views:
            add_scale_bar(axes)
    return figure


def _caption(evaluations: Mapping[str, Evaluation], up: Up, unit: str) -> str:
    alignments = ", ".join(dict.fromkeys(one.alignment for one in evaluations.values()))
    return f"Alignment: {alignments}. {describe_world(up, unit)}"


def _looks(count: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """A colour and a style of line for each of so many runs; colours come again in another style."""
    colors = tuple(CYCLE[place % len(CYCLE)] for place in range(count))
    return colors, tuple(LINES[place // len(CYCLE) % len(LINES)] for place in range(count))


def _world(evaluations: Mapping[str, Evaluation], unit: str) -> World:
    longest = max(evaluations.values(), key=lambda one: len(one.truth))
    lines = (
        Line(
            name=f"{name}: rmse {one.statistics['rmse']:.3g}",
            positions=one.estimate,
            color=color,
            style=style,
        )
        for (name, one), color, style in zip(evaluations.items(), *_looks(len(evaluations)), strict=True)
    )
    return World(lines=tuple(lines), unit=unit, truth=longest.truth)


def _errors(evaluations: Mapping[str, Evaluation], unit: str) -> tuple[Errors, Errors]:
    colors, styles = _looks(len(evaluations))
    times = tuple(one.times for one in evaluations.values())
    return (
        Errors(
            name="ATE",
            unit=unit,
            times=times,
            values=tuple(one.errors for one in evaluations.values()),
            colors=colors,
            styles=styles,
        ),
        Errors(
            name="rotation APE",
            unit="°",
            times=times,
            values=tuple(one.rotation_errors for one in evaluations.values()),
            colors=colors,
            styles=styles,
        ),
    )
