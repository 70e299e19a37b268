"""A figure of a trajectory, over the ground truth and the point cloud where there are any."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from slam.dataset.sequence import Units
from slam.evaluate.absolute import Evaluation
from slam.output.cache import writable_cache
from slam.output.cloud import Cloud
from slam.output.results import replacing
from slam.trajectory import Floats

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BLUE, GREY, GREEN, RED = "#1f6fd6", "#b9bec6", "#189a4a", "#d6382f"
STYLE: dict[Any, Any] = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e8eaee",
    "axes.axisbelow": True,
    "axes.edgecolor": "#8a919c",
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "legend.frameon": False,
}


def draw(
    path: Path,
    *,
    title: str,
    positions: Floats,
    evaluation: Evaluation | None = None,
    cloud: Cloud | None = None,
    units: Units,
    is_metric: bool = False,
) -> None:
    """Draw the camera's path seen along two axes of its world and, with ground truth, its error over time.

    Args:
        path: the PNG file to write.
        title: what the figure shows.
        positions: [n, 3] the camera's centres; used where there is no evaluation.
        evaluation: the aligned estimate and the truth.
        cloud: what was seen, in the world of ``positions``.
        units: what the ground truth is measured in.
        is_metric: whether ``positions`` are in metres.
    """
    with writable_cache(path.parent), replacing(path) as part:
        import matplotlib as mpl
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        with mpl.rc_context(STYLE):
            figure = Figure(figsize=(12, 6.4), dpi=130, layout="constrained")
            FigureCanvasAgg(figure)
            grid = figure.add_gridspec(2, 2, width_ratios=[1.7, 1])
            wide = figure.add_subplot(grid[:, 0])
            above = figure.add_subplot(grid[0, 1] if evaluation else grid[:, 1])
            own_unit = "m" if is_metric else "arbitrary scale"
            _draw_views((wide, above), positions, evaluation, cloud, units.length if evaluation else own_unit)
            if evaluation:
                _draw_errors(figure.add_subplot(grid[1, 1]), evaluation, units)
                title += f"\n{describe_error(evaluation, units)}"
            figure.legend(*wide.get_legend_handles_labels(), loc="outside lower center", ncols=4)
            # Names of folders are in it, and these need be neither formulas nor Unicode.
            plain = title.encode(errors="replace").decode()
            figure.suptitle(plain, x=0.01, ha="left", fontweight="bold", fontsize=12, parse_math=False)
            figure.savefig(part)


def describe_error(evaluation: Evaluation, units: Units) -> str:
    """The absolute trajectory error in words."""
    percent = evaluation.rmse_percent
    return (
        f"ATE rmse {evaluation.statistics['rmse']:.4g} {units.length}, "
        f"{f'{percent:.0f}' if percent >= 100 else f'{percent:.2g}'} % of a "
        f"path of {evaluation.path_length:.3g} {units.length} (alignment {evaluation.alignment}, "
        f"{len(evaluation.errors)} pairs)"
    )


def _draw_views(
    views: tuple[Axes, Axes], positions: Floats, evaluation: Evaluation | None, cloud: Cloud | None, unit: str
) -> None:
    """The path along the axis in which it moves least, and along the one in which it moves second most."""
    path = evaluation.estimate if evaluation else positions
    truth = evaluation.truth if evaluation else None
    points = None if cloud is None else evaluation.align(cloud.points) if evaluation else cloud.points
    most, second, least = (
        int(axis) for axis in np.argsort(-np.ptp(path if truth is None else truth, axis=0))
    )
    for axes, (across, up) in zip(views, [sorted((most, second)), (most, least)], strict=True):
        if points is not None and cloud is not None and len(cloud):
            _draw_cloud(axes, points[:, [across, up]], cloud)
        if truth is not None:
            axes.plot(
                *truth[:, [across, up]].T, color=GREY, lw=6, solid_capstyle="round", label="ground truth"
            )
        axes.plot(*path[:, [across, up]].T, color=BLUE, lw=1.6, marker=".", ms=5, label="estimate")
        axes.plot(*path[0, [across, up]], "o", color=GREEN, ms=8, label="start")
        axes.plot(*path[-1, [across, up]], "s", color=RED, ms=7, label="end")
        axes.set(xlabel=f"{'xyz'[across]} [{unit}]", ylabel=f"{'xyz'[up]} [{unit}]")
        axes.set_aspect("equal", adjustable="datalim")


def _draw_cloud(axes: Axes, points: Floats, cloud: Cloud) -> None:
    """The bulk of the cloud; single points far out would make everything else small."""
    low, high = np.percentile(points, [2, 98], axis=0)
    inner = np.all((points >= low) & (points <= high), axis=1)
    x, y = points[inner].T
    axes.scatter(x, y, s=2, c=cloud.colors[inner] / 255, alpha=0.6, linewidths=0)


def _draw_errors(axes: Axes, evaluation: Evaluation, units: Units) -> None:
    times = evaluation.times - evaluation.times[0]
    rmse = evaluation.statistics["rmse"]
    axes.fill_between(times, evaluation.errors, color=BLUE, alpha=0.15, lw=0)
    axes.plot(times, evaluation.errors, color=BLUE, lw=1.4, marker=".", ms=5)
    axes.axhline(rmse, color=RED, lw=1.2, ls="--", label=f"rmse {rmse:.3g}")
    axes.set(xlabel=f"since the first frame [{units.time}]", ylabel=f"error [{units.length}]", ylim=(0, None))
    axes.legend()
