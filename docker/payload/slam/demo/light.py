"""How much light falls on a place in the demo's room.

Lengths are metres; x to the right, y away from the camera, z up.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from slam.trajectory import Floats

Mask = npt.NDArray[np.bool_]

ROOM = np.array([6.0, 5.0, 2.7])
# Middle, half edges and the strength of red, green and blue: a lamp under the ceiling, a window on the left.
LAMPS = (
    (np.array([3.0, 2.2, 2.6]), np.array([[0.6, 0, 0], [0, 0.6, 0]]), np.array([3.6, 3.35, 2.95])),
    (np.array([0.1, 1.2, 1.7]), np.array([[0, 0.5, 0], [0, 0, 0.5]]), np.array([1.6, 1.85, 2.2])),
)
LAMP_SAMPLES = 4  # along each edge
AMBIENT = np.array([0.42, 0.43, 0.46])
# What is nearer than this keeps ambient light out.
REACH = 0.5
DIRECTIONS = 32


@dataclass(frozen=True, kw_only=True)
class Box:
    """A box that stands upright: its middle, its size along its own axes, its turn about z in radians."""

    centre: tuple[float, float, float]
    size: tuple[float, float, float]
    turn: float = 0.0

    @property
    def axes(self) -> Floats:
        """Its own x, y and z axes in the world, as rows [3, 3]."""
        cosine, sine = np.cos(self.turn), np.sin(self.turn)
        return np.array([[cosine, sine, 0], [-sine, cosine, 0], [0, 0, 1]])

    def blocks(self, start: Floats, way: Floats) -> Mask:
        """Which of the segments [n] from ``start`` [n, 3] along ``way`` [n, 3] meet it.

        By Kay and Kajiya's slabs (SIGGRAPH 1986).
        """
        enter, leave = np.zeros(len(start)), np.ones(len(start))
        for axis, size in zip(self.axes, self.size, strict=True):
            origin, direction = (start - np.array(self.centre)) @ axis, way @ axis
            direction = np.where(direction == 0, 1e-12, direction)
            one, other = (-size / 2 - origin) / direction, (size / 2 - origin) / direction
            enter = np.maximum(enter, np.minimum(one, other))
            leave = np.minimum(leave, np.maximum(one, other))
        blocked: Mask = enter < leave
        return blocked


@dataclass(frozen=True, kw_only=True)
class Sphere:
    """A ball: its middle and its radius."""

    centre: tuple[float, float, float]
    radius: float

    def blocks(self, start: Floats, way: Floats) -> Mask:
        """Which of the segments [n] from ``start`` [n, 3] along ``way`` [n, 3] meet it."""
        offset = start - np.array(self.centre)
        a, b = (way * way).sum(axis=1), (way * offset).sum(axis=1)
        rest = b * b - a * ((offset * offset).sum(axis=1) - self.radius**2)
        enter = (-b - np.sqrt(np.maximum(rest, 0))) / a
        blocked: Mask = (rest > 0) & (enter > 0) & (enter < 1)
        return blocked


Blocker = Box | Sphere


def irradiance(places: Floats, normals: Floats, blockers: list[Blocker]) -> Floats:
    """Red, green and blue light [n, 3] that falls on places [n, 3] with unit normals [n, 3]."""
    start = places + 1e-3 * normals
    total = AMBIENT * _openness(start, normals, blockers)[:, None]
    steps = (np.arange(LAMP_SAMPLES) + 0.5) / LAMP_SAMPLES * 2 - 1
    for middle, edges, strength in LAMPS:
        for u in steps:
            for v in steps:
                way = middle + np.array([u, v]) @ edges - start
                falling = np.maximum((way * normals).sum(axis=1), 0) / np.linalg.norm(way, axis=1) ** 3
                falling[_blocked(start, way, blockers)] = 0
                total += strength * falling[:, None] / len(steps) ** 2
    return total


def _openness(start: Floats, normals: Floats, blockers: list[Blocker]) -> Floats:
    """The share [n] of ambient light that reaches a place past what is near it."""
    height = 1 - 2 * (np.arange(DIRECTIONS) + 0.5) / DIRECTIONS
    angle = np.pi * (1 + 5**0.5) * np.arange(DIRECTIONS)  # the golden angle spreads them evenly
    flat = np.sqrt(1 - height**2)
    directions = np.stack([flat * np.cos(angle), flat * np.sin(angle), height], axis=1)
    seen, sent = np.zeros(len(start)), np.zeros(len(start))
    for direction in directions:
        cosine = normals @ direction
        way = np.where(cosine < 0, -REACH, REACH)[:, None] * direction
        end = start + way
        free = ~_blocked(start, way, blockers) & np.all((end > 0) & (end < ROOM), axis=1)
        sent += np.abs(cosine)
        seen += np.abs(cosine) * free
    return seen / sent


def _blocked(start: Floats, way: Floats, blockers: list[Blocker]) -> Mask:
    blocked = np.zeros(len(start), bool)
    for blocker in blockers:
        blocked |= blocker.blocks(start, way)
    return blocked
