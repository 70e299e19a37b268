"""Rays of a pinhole camera, and the shapes that they meet.

Lengths are metres. World coordinates have z up; a camera looks along its z, with x to the right and y down.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from slam.trajectory import Floats

Pixels = npt.NDArray[np.float32]

# Nearer than this the camera would be inside a thing.
NEAR = 0.05


@dataclass(frozen=True, kw_only=True)
class Pose:
    """A camera's ``position`` [3] in the world and its ``rotation`` [3, 3] from camera to world."""

    position: Floats
    rotation: Floats


@dataclass(frozen=True, kw_only=True)
class Rays:
    """Rays ``position + depth * (x, y, 1)`` of an image: ``x`` [w] and ``y`` [h] in the camera's frame."""

    pose: Pose
    x: Pixels
    y: Pixels

    def along(self, axis: Floats) -> Pixels:
        """How far each ray goes along a world axis [3] for a depth of 1: [h, w]."""
        a, b, c = (axis @ self.pose.rotation).astype(np.float32)
        across: Pixels = a * self.x + c
        total: Pixels = across[None, :] + (b * self.y)[:, None]
        return total

    def crop(self, rows: slice, columns: slice) -> Rays:
        """The rays of a part of the image."""
        return Rays(pose=self.pose, x=self.x[columns], y=self.y[rows])


class Shape(Protocol):
    """Something that a ray can meet, with coordinates u and v on it from 0 to 1."""

    @property
    def extent(self) -> tuple[float, float]:
        """The length along u and along v, where it is largest, in metres."""
        ...

    def corners(self) -> Floats:
        """Points [n, 3] whose hull holds the shape."""
        ...

    def place(self, u: Floats, v: Floats) -> tuple[Floats, Floats]:
        """The points [n, 3] with these coordinates [n], and the unit normals [n, 3] there."""
        ...

    def meet(self, rays: Rays) -> tuple[Pixels, Pixels, Pixels, Pixels]:
        """Depth (infinite for a miss), u, v and the cosine of the angle of incidence, each [h, w]."""
        ...


@dataclass(frozen=True, kw_only=True)
class Quad:
    """A rectangle: ``origin`` [3] at u = v = 0, and the edges [3] to u = 1 and to v = 1.

    Seen from its front, u goes to the right and v down.
    """

    origin: Floats
    edge_u: Floats
    edge_v: Floats

    @property
    def extent(self) -> tuple[float, float]:
        """The lengths of both edges."""
        return float(np.linalg.norm(self.edge_u)), float(np.linalg.norm(self.edge_v))

    @property
    def normal(self) -> Floats:
        """The unit vector [3] towards the front."""
        normal = np.cross(self.edge_v, self.edge_u)
        unit: Floats = normal / np.linalg.norm(normal)
        return unit

    def corners(self) -> Floats:
        """The four corners [4, 3]."""
        return self.place(np.array([0.0, 1, 0, 1]), np.array([0.0, 0, 1, 1]))[0]

    def place(self, u: Floats, v: Floats) -> tuple[Floats, Floats]:
        """The points with these coordinates, and the normal at each; see ``Shape``."""
        points = self.origin + np.multiply.outer(u, self.edge_u) + np.multiply.outer(v, self.edge_v)
        return points, np.broadcast_to(self.normal, points.shape)

    def meet(self, rays: Rays) -> tuple[Pixels, Pixels, Pixels, Pixels]:
        """Where the rays meet it; see ``Shape``."""
        start = rays.pose.position - self.origin
        slope = rays.along(self.normal)
        with np.errstate(divide="ignore", invalid="ignore"):
            depth = np.float32(-self.normal @ start) / slope
            u = _coordinate(self.edge_u, start, rays, depth)
            v = _coordinate(self.edge_v, start, rays, depth)
            hit = (depth > NEAR) & (u >= 0) & (u <= 1) & (v >= 0) & (v <= 1)
        return np.where(hit, depth, np.float32(np.inf)), u, v, np.abs(slope)


def _coordinate(edge: Floats, start: Floats, rays: Rays, depth: Pixels) -> Pixels:
    """The share of an edge that has been passed at these depths."""
    scaled = edge / (edge @ edge)
    share: Pixels = np.float32(scaled @ start) + depth * rays.along(scaled)
    return share


@dataclass(frozen=True, kw_only=True)
class Ball:
    """A sphere; u goes round it from -x, v from its top to its bottom."""

    centre: Floats
    radius: float

    @property
    def extent(self) -> tuple[float, float]:
        """The length of the equator and of a meridian."""
        return 2 * np.pi * self.radius, np.pi * self.radius

    def corners(self) -> Floats:
        """The corners [8, 3] of the cube around it."""
        signs = np.array(np.meshgrid([-1, 1], [-1, 1], [-1, 1])).reshape(3, 8).T
        corners: Floats = self.centre + self.radius * signs
        return corners

    def place(self, u: Floats, v: Floats) -> tuple[Floats, Floats]:
        """The points with these coordinates, and the normal at each; see ``Shape``."""
        turn, down = (u - 0.5) * 2 * np.pi, v * np.pi
        normals = np.stack([np.cos(turn) * np.sin(down), np.sin(turn) * np.sin(down), np.cos(down)], axis=-1)
        return self.centre + self.radius * normals, normals

    def meet(self, rays: Rays) -> tuple[Pixels, Pixels, Pixels, Pixels]:
        """Where the rays first meet it; see ``Shape``."""
        start = rays.pose.position - self.centre
        a = (rays.x**2)[None, :] + (rays.y**2)[:, None] + np.float32(1)
        b = rays.along(start)
        rest = b * b - a * np.float32(start @ start - self.radius**2)
        hit = rest > 0
        depth = (-b - np.sqrt(np.where(hit, rest, 0))) / a
        x, y, z = ((np.float32(start[i]) + depth * rays.along(np.eye(3)[i])) / self.radius for i in range(3))
        u = np.arctan2(y, x) / np.float32(2 * np.pi) + np.float32(0.5)
        v = np.arccos(np.clip(z, -1, 1)) / np.float32(np.pi)
        cosine = np.sqrt(np.where(hit, rest, 0) / a) / np.float32(self.radius)
        return np.where(hit & (depth > NEAR), depth, np.float32(np.inf)), u, v, cosine
