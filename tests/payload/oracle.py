"""A network in the place of DROID-SLAM's that knows where each pixel goes, because it knows the scene.

With it, upstream's own tracking, keyframes, adjustment and filling in have to find the path that the camera
took: what is left of an error is made by the code around the network. It sees nothing of the images.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch

from slam.dataset.sequence import Picture
from slam.engine.droid.reconstruction import rotation_matrices
from tests.payload.footage import camera, look, poses

WIDTH, HEIGHT = 160, 128
# The network works on cells of so many pixels a side.
CELL = 8
COLUMNS, ROWS = WIDTH // CELL, HEIGHT // CELL


@dataclass(frozen=True, kw_only=True)
class Recording:
    """The wall and the floor of ``footage`` as frames; ``baseline_m`` is that of a stereo pair."""

    mode: str
    frames: int
    step_m: float
    baseline_m: float

    @property
    def path(self) -> np.ndarray:
        """Camera to world [frames, 7]."""
        return poses(self.frames, self.step_m)

    @property
    def stamps(self) -> tuple[str, ...]:
        return tuple(f"{place / 10:.6f}" for place in range(self.frames))

    def __iter__(self) -> Iterator[Picture]:
        for place, pose in enumerate(self.path):
            _, image = look(pose, WIDTH, HEIGHT)
            depth, _ = look(pose, COLUMNS, ROWS)
            yield Picture(
                index=place,
                image=np.ascontiguousarray(np.moveaxis(image, 2, 0)[::-1]),
                intrinsics=np.array(camera(WIDTH, HEIGHT)),
                right=np.zeros((3, HEIGHT, WIDTH), np.uint8) if self.mode == "stereo" else None,
                # Upstream takes one pixel of each cell for all of it.
                depth=np.kron(depth, np.ones((CELL, CELL))).astype(np.float32)
                if self.mode == "rgbd"
                else None,
            )

    def target(self, here: int, there: int, *, right: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """Where each cell of a frame is in another, or in its own right image: [rows, columns, 2].

        Second, whether that is within the image: [rows, columns].
        """
        fx, fy, cx, cy = camera(COLUMNS, ROWS)
        v, u = np.mgrid[:ROWS, :COLUMNS]
        depth, _ = look(self.path[here], COLUMNS, ROWS)
        points = depth[..., None] * np.stack([(u - cx) / fx, (v - cy) / fy, np.ones_like(depth)], -1)
        if right:
            points -= np.array([self.baseline_m, 0, 0])
        else:
            turns = rotation_matrices(self.path[[here, there], 3:])
            world = points @ turns[0].T + self.path[here, :3]
            points = (world - self.path[there, :3]) @ turns[1]
        found = np.stack(
            [fx * points[..., 0] / points[..., 2] + cx, fy * points[..., 1] / points[..., 2] + cy], -1
        )
        within = ((found >= 0) & (found <= (COLUMNS - 1, ROWS - 1))).all(-1) & (points[..., 2] > 0.1)
        return found, within


class Oracle(torch.nn.Module):
    """What upstream takes of ``DroidNet``: ``fnet``, ``cnet`` and ``update``."""

    def __init__(self, recording: Recording, tracked_every: int) -> None:
        super().__init__()
        self.tracked_every = tracked_every
        self.target = cache(recording.target)
        self.video: Any = None
        self.seen = 0

    def fnet(self, images: Any) -> Any:
        """Features [1, n, 128, rows, columns], which say nothing; called once for each tracked frame."""
        self.seen += 1
        return torch.zeros(*images.shape[:2], 128, ROWS, COLUMNS)

    def cnet(self, images: Any) -> Any:
        return torch.zeros(*images.shape[:2], 256, ROWS, COLUMNS)

    def update(self, net: Any, inp: Any, corr: Any, flow: Any = None, ii: Any = None, jj: Any = None) -> Any:
        """As ``UpdateModule``: by how much the targets of edges are wrong, and how sure that is."""
        if ii is None:
            last = int(self.video.tstamp[self.video.counter.value - 1])
            edges = [(last, self.tracked_every * (self.seen - 1), False)]
        else:
            stamps = self.video.tstamp.long().tolist()
            edges = [(stamps[i], stamps[j], i == j) for i, j in zip(ii.tolist(), jj.tolist(), strict=True)]
        v, u = np.mgrid[:ROWS, :COLUMNS]
        known = [self.target(here, there, right=right) for here, there, right in edges]
        moved = np.stack([target for target, _ in known]) - np.stack([u, v], -1)
        delta = torch.from_numpy(moved)[None].float()
        sure = torch.from_numpy(np.stack([within for _, within in known]))[None, ..., None]
        weight = sure.float().expand(delta.shape).contiguous()
        if ii is None:
            return net, delta, weight
        delta = delta - flow[:, :, :2].permute(0, 1, 3, 4, 2)
        keyframes = len(torch.unique(ii))
        damping = torch.full((1, keyframes, ROWS, COLUMNS), 1e-6)
        return net, delta, weight, damping, torch.zeros(1, keyframes, 9 * CELL * CELL, ROWS, COLUMNS)
