"""Trajectories to draw, and what is in figures that were drawn of them."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.text import Text
from scipy.spatial.transform import Rotation

from slam.evaluate.absolute import Comparison, Evaluation, compare
from slam.evaluate.relative import Drift, Step, measure_drift
from slam.trajectory import Trajectory

# A level camera that looks along the world's y, z being up.
LEVEL = Rotation.from_matrix([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])
NONE = Comparison(alignment="none")


def walk(count: int, kind: str = "loop") -> Trajectory:
    """A camera in a world whose z is up: once around, straight on, or on a tripod."""
    part = np.linspace(0, 1, count)
    angle = 6 * part if kind == "loop" else 0 * part
    ways = {
        "loop": np.stack([3 * np.cos(angle), 2 * np.sin(angle), 1.5 + 0.3 * np.sin(20 * part)], 1),
        "line": np.outer(part, [5.0, 0, 0]),
        "static": np.zeros((count, 3)),
    }
    turns = Rotation.from_rotvec(np.outer(angle, [0, 0, 1])) * LEVEL
    stamps = tuple(f"{1e9 + place / 20:.6f}" for place in range(count))
    return Trajectory(stamps=stamps, positions=ways[kind], quaternions=turns.as_quat())


def wobble(truth: Trajectory, size: float, seed: int = 0) -> Trajectory:
    """An estimate that drifts."""
    count = len(truth)
    drift = size * np.cumsum(np.random.default_rng(seed).normal(size=(count, 3)), axis=0) / count**0.5
    turns = Rotation.from_quat(truth.quaternions) * Rotation.from_rotvec(0.3 * drift)
    return Trajectory(stamps=truth.stamps, positions=truth.positions + drift, quaternions=turns.as_quat())


def measured(truth: Trajectory, estimate: Trajectory) -> tuple[Evaluation, Drift]:
    return compare(truth, estimate, NONE), measure_drift(truth, estimate, NONE, Step())


def texts(figure: Figure) -> list[Text]:
    """All text that can be seen."""
    hidden: set[Artist] = set()
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            margin = 1e-9 * (high - low)
            for tick in [*axis.get_major_ticks(), *axis.get_minor_ticks()]:
                if not low - margin <= tick.get_loc() <= high + margin:
                    hidden |= {tick.label1, tick.label2}
    found = figure.findobj(lambda one: isinstance(one, Text) and one.get_visible() and one.get_text().strip())
    return [one for one in dict.fromkeys(found) if one not in hidden]


def crowded(figure: Figure) -> list[str]:
    """Texts that lie over one another or beyond the figure's edge, once all is laid out."""
    figure.draw_without_rendering()
    renderer = figure.canvas.get_renderer()
    # Half a point on each side is nobody's ink.
    boxes = [
        (one.get_text(), one.get_window_extent(renderer).padded(-figure.dpi / 144)) for one in texts(figure)
    ]
    over = [
        f"{a!r} and {b!r}" for (a, first), (b, second) in combinations(boxes, 2) if first.overlaps(second)
    ]
    edge = figure.bbox
    outside = [
        f"{name!r} beyond the edge"
        for name, box in boxes
        if box.x0 < edge.x0 or box.x1 > edge.x1 or box.y0 < edge.y0 or box.y1 > edge.y1
    ]
    return over + outside
