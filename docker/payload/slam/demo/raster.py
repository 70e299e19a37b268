"""Textured shapes seen by a pinhole camera: ray casting in numpy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from slam.dataset.camera import Intrinsics
from slam.demo.shape import NEAR, Pixels, Pose, Rays, Shape
from slam.trajectory import Floats


class Texture:
    """Light that a surface sends out, [h, w, 3], in ever smaller copies against aliasing."""

    def __init__(self, light: Pixels, texels_per_metre: float) -> None:
        self.texels_per_metre = texels_per_metre
        self.levels = [np.ascontiguousarray(light, dtype=np.float32)]
        while min(self.levels[-1].shape[:2]) >= 4:
            self.levels.append(halve(self.levels[-1]))

    def sample(self, u: Pixels, v: Pixels, footprint: Pixels) -> Pixels:
        """Light [n, 3] at places [n] from 0 to 1, each averaged over ``footprint`` [n] metres."""
        wanted = np.log2(np.maximum(footprint * self.texels_per_metre, 1e-6))
        level = np.clip(np.rint(wanted), 0, len(self.levels) - 1).astype(np.int32)
        light = np.empty((len(u), 3), np.float32)
        for number in np.unique(level):
            here = np.flatnonzero(level == number)
            light[here] = interpolate(self.levels[number], u[here], v[here])
        return light


def halve(image: Pixels) -> Pixels:
    """The image at half its size, an odd last row or column left out."""
    height, width = (size // 2 for size in image.shape[:2])
    blocks = image[: 2 * height, : 2 * width].reshape(height, 2, width, 2, 3)
    smaller: Pixels = blocks.mean(axis=(1, 3), dtype=np.float32)
    return smaller


def interpolate(image: Pixels, u: Pixels, v: Pixels) -> Pixels:
    """Bilinear interpolation [n, 3]; u runs along the columns, v along the rows."""
    height, width = image.shape[:2]
    x = np.clip(u * width - 0.5, 0, width - 1.001).astype(np.float32)
    y = np.clip(v * height - 0.5, 0, height - 1.001).astype(np.float32)
    column, row = x.astype(np.int32), y.astype(np.int32)
    right, down = (x - column)[:, None], (y - row)[:, None]
    flat, corner = image.reshape(-1, 3), row * width + column
    top = flat[corner] * (1 - right) + flat[corner + 1] * right
    bottom = flat[corner + width] * (1 - right) + flat[corner + width + 1] * right
    mixed: Pixels = top * (1 - down) + bottom * down
    return mixed


@dataclass(frozen=True, kw_only=True)
class Surface:
    """A shape and the light that it sends out."""

    shape: Shape
    texture: Texture


def make_rays(camera: Intrinsics, width: int, height: int, pose: Pose, samples: int = 1) -> Rays:
    """Rays through ``samples`` x ``samples`` places in each pixel; for 1 through the pixels' middles."""
    x = (np.arange(width * samples) + 0.5) / samples
    y = (np.arange(height * samples) + 0.5) / samples
    return Rays(
        pose=pose,
        x=((x - camera.cx) / camera.fx).astype(np.float32),
        y=((y - camera.cy) / camera.fy).astype(np.float32),
    )


def trace(surfaces: Sequence[Surface], rays: Rays) -> tuple[Pixels, Pixels]:
    """What each ray meets first: its depth [h, w] (infinite for nothing) and its light [h, w, 3].

    Depth is along the camera's z axis.
    """
    size = (len(rays.y), len(rays.x))
    depth = np.full(size, np.inf, np.float32)
    nearest = np.full(size, -1, np.int16)
    u, v, cosine = (np.zeros(size, np.float32) for _ in range(3))
    windows = [_window(surface.shape.corners(), rays) for surface in surfaces]
    for number, (surface, window) in enumerate(zip(surfaces, windows, strict=True)):
        found, *coordinates = surface.shape.meet(rays.crop(*window))
        nearer = found < depth[window]
        depth[window][nearer] = found[nearer]
        nearest[window][nearer] = number
        for kept, new in zip((u, v, cosine), coordinates, strict=True):
            kept[window][nearer] = new[nearer]
    spacing = rays.x[1] - rays.x[0]
    light = np.zeros((*size, 3), np.float32)
    for number, (surface, window) in enumerate(zip(surfaces, windows, strict=True)):
        here = nearest[window] == number
        # Between the footprint's short and its long axis: neither blurred nor flickering.
        footprint = depth[window][here] * spacing / np.sqrt(np.maximum(cosine[window][here], 0.02))
        light[window][here] = surface.texture.sample(u[window][here], v[window][here], footprint)
    return depth, light


def _window(corners: Floats, rays: Rays) -> tuple[slice, slice]:
    """The rows and columns that may see something with these corners; all, where some lie behind."""
    seen = (corners - rays.pose.position) @ rays.pose.rotation
    if seen[:, 2].min() < NEAR:
        return slice(0, len(rays.y)), slice(0, len(rays.x))
    x, y = (seen[:, :2] / seen[:, 2:]).T
    rows = slice(int(np.searchsorted(rays.y, y.min())), int(np.searchsorted(rays.y, y.max())))
    return rows, slice(int(np.searchsorted(rays.x, x.min())), int(np.searchsorted(rays.x, x.max())))


def render(
    surfaces: Sequence[Surface], camera: Intrinsics, width: int, height: int, pose: Pose
) -> npt.NDArray[np.uint8]:
    """An image [height, width, 3] as sRGB bytes, four rays to a pixel."""
    _, light = trace(surfaces, make_rays(camera, width, height, pose, samples=2))
    shown = np.clip(halve(light), 0, 1) ** np.float32(1 / 2.2)
    return np.asarray(shown * 255 + 0.5, np.uint8)
