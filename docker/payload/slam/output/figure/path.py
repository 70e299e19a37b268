"""Paths, cameras and clouds in a world that is looked at from one side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from slam.output.cloud import Cloud
from slam.output.figure.frustum import USUAL_FIELD, choose_poses, corners, draw_frustums
from slam.output.figure.projection import Projection
from slam.output.figure.style import BLUE, GREEN, GREY, VERMILLION, marker, number
from slam.trajectory import Floats

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Of its longer side is at least twice this the shorter one of what is shown.
_LEAST_PART = 0.1
_FRUSTUM_PART = 0.07
# A cloud that goes on beyond this many lengths of what is drawn is not followed there.
_CLOUD_REACH = 1.5
_MOST_POINTS = 60_000


@dataclass(frozen=True, kw_only=True)
class Line:
    """A path [n, 3] and how it looks; ``quaternions`` [n, 4] where its cameras are to be seen, too."""

    name: str
    positions: Floats
    quaternions: Floats | None = None
    color: str = BLUE
    style: str = "-"


@dataclass(frozen=True, kw_only=True)
class World:
    """What is drawn, all in one world.

    ``truth`` [n, 3] is where the camera was, ``field`` half the width and height of its image in focal
    lengths. ``unit`` is that of lengths; ``m`` is metres, and any other one has no scale bar.
    """

    lines: tuple[Line, ...]
    unit: str
    truth: Floats | None = None
    cloud: Cloud | None = None
    field: tuple[float, float] = USUAL_FIELD

    @property
    def positions(self) -> Floats:
        """All paths' positions [n, 3]."""
        truth = [] if self.truth is None else [self.truth]
        return np.concatenate([*truth, *(line.positions for line in self.lines)])

    @property
    def extent(self) -> float:
        """The largest extent of the paths along an axis; 1 where nothing moves."""
        return float(np.ptp(self.positions, axis=0).max()) or 1.0


def draw_view(axes: Axes, projection: Projection, world: World) -> None:
    """Draw paths, cameras, the cloud, and where a single path begins and ends."""
    drawn = [projection.project(world.positions)]
    if world.cloud is not None and len(world.cloud):
        drawn.append(_draw_cloud(axes, projection, world.cloud, world))
    if world.truth is not None:
        axes.plot(
            *projection.project(world.truth).T,
            color=GREY,
            lw=3,
            solid_capstyle="round",
            label="ground truth",
            zorder=2,
        )
    for line in world.lines:
        drawn += _draw_line(axes, projection, line, world)
    if len(world.lines) == 1:
        _draw_ends(axes, projection.project(world.lines[0].positions))
    _show(axes, np.concatenate(drawn))
    right, top = projection.labels
    axes.set(xlabel=f"{right} [{world.unit}]", ylabel=f"{top} [{world.unit}]", title=projection.name)


def _draw_line(axes: Axes, projection: Projection, line: Line, world: World) -> list[Floats]:
    flat = projection.project(line.positions)
    axes.plot(
        *flat.T,
        color=line.color,
        ls=line.style,
        lw=1.0,
        marker=marker(len(flat)),
        ms=3,
        label=line.name,
        zorder=4,
    )
    if line.quaternions is None:
        return []
    depth = _FRUSTUM_PART * world.extent
    chosen = choose_poses(line.positions, depth)
    pyramids = corners(line.positions[chosen], line.quaternions[chosen], depth, world.field)
    draw_frustums(axes, projection, pyramids, line.color)
    return [projection.project(pyramids.reshape(-1, 3))]


def _draw_ends(axes: Axes, flat: Floats) -> None:
    # The end is smaller, so that both are seen where a path comes back.
    for name, place, symbol, size, color in (("start", 0, "o", 6, GREEN), ("end", -1, "s", 3.5, VERMILLION)):
        axes.plot(*flat[place], symbol, color=color, ms=size, mec="white", mew=0.4, label=name, zorder=5)


def _draw_cloud(axes: Axes, projection: Projection, cloud: Cloud, world: World) -> Floats:
    """The bulk of the cloud that is near the paths [n, 2]; what is far out would make all else small."""
    reach = _CLOUD_REACH * world.extent
    low, high = np.percentile(cloud.points, [2, 98], axis=0)
    low = np.maximum(low, world.positions.min(0) - reach)
    high = np.minimum(high, world.positions.max(0) + reach)
    inner = np.flatnonzero(np.all((cloud.points >= low) & (cloud.points <= high), axis=1))
    inner = inner[:: -(-len(inner) // _MOST_POINTS) or 1]
    flat = projection.project(cloud.points[inner])
    # As pixels in vector files, too: so many points make them unusable.
    x, y = flat.T
    colors = cloud.colors[inner] / 255
    axes.scatter(x, y, s=1, c=colors, alpha=0.5, linewidths=0, rasterized=True, zorder=1)
    return flat


def _show(axes: Axes, flat: Floats) -> None:
    """Make room for points [n, 2], in one scale to the right and to the top."""
    low, high = flat.min(0), flat.max(0)
    largest = float((high - low).max()) or 1.0
    half = np.maximum((high - low) / 2, _LEAST_PART * largest)
    middle = (low + high) / 2
    axes.update_datalim([middle - half, middle + half])
    axes.margins(0.04)
    axes.autoscale_view()
    axes.set_aspect("equal", adjustable="datalim")
    # Enough digits for coordinates that begin far away, as georeferenced ones do.
    number(axes.xaxis, digits=10, most=6)
    number(axes.yaxis, digits=10, most=5)
