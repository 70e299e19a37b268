"""The figure of one trajectory: seen from above and from the side, and its errors over time."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from slam.dataset.sequence import Units
from slam.evaluate.absolute import Evaluation
from slam.evaluate.relative import Drift
from slam.output.cloud import Cloud
from slam.output.figure.error import Errors, absolute_errors, draw_errors, relative_errors
from slam.output.figure.frustum import USUAL_FIELD
from slam.output.figure.path import Line, World, draw_view
from slam.output.figure.projection import look
from slam.output.figure.scale_bar import add_scale_bar
from slam.output.figure.style import Drawing, new_figure, save, styled
from slam.output.figure.words import add_words, describe_error, describe_world, time_label
from slam.output.up import Up
from slam.trajectory import Trajectory

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ARBITRARY = "a.u."


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What there is to draw of a trajectory.

    ``evaluation`` and ``drift`` are its errors; ``units`` are then the ground truth's. Without them,
    ``is_metric`` says whether it is in metres. ``up`` is in the world that is drawn: the ground truth's,
    else the trajectory's own, which is that of ``cloud``. ``field`` is half the width and height of an image
    in focal lengths; ``None`` where poses are not those of a camera.
    """

    title: str
    trajectory: Trajectory
    up: Up
    units: Units
    evaluation: Evaluation | None = None
    drift: Drift | None = None
    cloud: Cloud | None = None
    is_metric: bool = False
    field: tuple[float, float] | None = USUAL_FIELD

    @property
    def length(self) -> str:
        """The unit of what is drawn."""
        unit = self.units.length if self.evaluation else "m" if self.is_metric else ARBITRARY
        return ARBITRARY if unit == "units" else unit


def draw(path: Path, subject: Subject, drawing: Drawing) -> None:
    """Draw a figure into a PNG file, and into those of other formats beside it."""
    with styled(path.parent):
        figure = compose(subject, drawing)
        save(figure, path, drawing, f"{subject.title}\n{_caption(subject)}")


def compose(subject: Subject, drawing: Drawing) -> Figure:
    """The figure, to be called where things are styled."""
    evaluation = subject.evaluation
    panels: list[Errors] = []
    if evaluation is not None:
        panels += absolute_errors(evaluation, subject.length)
        if subject.drift is not None:
            panels += relative_errors(subject.drift, evaluation, subject.length)
    world = _world(subject)
    figure, views, rows = lay_out(drawing, len(panels))
    for axes, projection in zip(views, look(subject.up, world.positions), strict=True):
        draw_view(axes, projection, world)
    for axes, errors in zip(rows, panels, strict=True):
        since = float(evaluation.times[0]) if evaluation and subject.units.time == "s" else 0.0
        draw_errors(axes, errors, since=since)
    if rows:
        rows[-1].set_xlabel(time_label(subject.units.time))
    add_words(figure, views[0], title=subject.title, caption=_caption(subject))
    figure.align_ylabels(views)
    figure.align_ylabels(rows)
    if subject.length == "m":
        figure.draw_without_rendering()  # only then the views have their limits
        for axes in views:
            add_scale_bar(axes)
    return figure


def _caption(subject: Subject) -> str:
    error = f"{describe_error(subject.evaluation, subject.units)}\n" if subject.evaluation else ""
    return f"{error}{describe_world(subject.up, subject.length)}"


def lay_out(
    drawing: Drawing, rows: int, shared: int | None = None
) -> tuple[Figure, tuple[Axes, Axes], list[Axes]]:
    """A figure with two views, and rows of panels beside them, or below them in one column.

    The first ``shared`` of the rows (all) are over one time.
    """
    if drawing.is_narrow:
        figure = new_figure(drawing, 4.6 + 0.95 * rows)
        grid = figure.add_gridspec(2 + rows, 1, height_ratios=[2.4, 1.5, *[0.8] * rows])
        cells = [grid[place, 0] for place in range(2 + rows)]
    elif rows:
        figure = new_figure(drawing, 5.4)
        halves = figure.add_gridspec(1, 2, width_ratios=[1.25, 1])
        seen = halves[0].subgridspec(2, 1, height_ratios=[3, 2])
        beside = halves[1].subgridspec(rows, 1)
        cells = [seen[0], seen[1], *(beside[place] for place in range(rows))]
    else:
        figure = new_figure(drawing, 3.6)
        grid = figure.add_gridspec(1, 2)
        cells = [grid[0, 0], grid[0, 1]]
    views = (figure.add_subplot(cells[0]), figure.add_subplot(cells[1]))
    panels = [figure.add_subplot(cell) for cell in cells[2:]]
    over_time = panels[:shared]
    for axes in over_time[:-1]:
        axes.sharex(over_time[-1])
        axes.tick_params(labelbottom=False)
    return figure, views, panels


def _world(subject: Subject) -> World:
    evaluation, trajectory, cloud = subject.evaluation, subject.trajectory, subject.cloud
    if evaluation is None:
        positions, quaternions = trajectory.positions, trajectory.quaternions
    else:
        positions, quaternions = evaluation.estimate, evaluation.quaternions
        if cloud is not None:
            cloud = Cloud(points=evaluation.align(cloud.points), colors=cloud.colors)
    line = Line(
        name="estimate", positions=positions, quaternions=None if subject.field is None else quaternions
    )
    return World(
        lines=(line,),
        unit=subject.length,
        truth=evaluation.truth if evaluation else None,
        cloud=cloud,
        field=subject.field or USUAL_FIELD,
    )
