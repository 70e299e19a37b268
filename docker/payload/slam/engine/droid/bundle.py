"""The kernel of dense bundle adjustment: poses and inverse depths that explain the measured flow.

Gauss-Newton, as upstream's kernel does it. Each pixel of each keyframe has one unknown, its inverse depth,
which is eliminated (Schur complement) before the poses are solved for. What the kernel does and one would not
expect is done here, too, and said where it is.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from slam.engine.droid.lie import pull_back, relate, retract, transform
from slam.engine.droid.projection import NEAREST, make_rays

_MEASURED = 0.001  # the weight of a pixel of flow
_SENSED = 0.05  # the weight of a measured inverse depth
_STEREO = (-0.1, 0, 0, 0, 0, 0, 1)  # from the left camera to the right one


@dataclass(frozen=True, kw_only=True)
class System:
    """The normal equations of m edges, of p pixels each.

    ``pose_pose`` [m, 12, 12] and ``pose`` [m, 12] are of both poses of an edge, the one it comes from first.
    ``pose_depth`` [m, 12, p] ties them to the inverse depths of the first, ``depth_depth`` [m, p] and
    ``depth`` [m, p] are of these alone.
    """

    pose_pose: Tensor
    pose: Tensor
    pose_depth: Tensor
    depth_depth: Tensor
    depth: Tensor


def ba(
    poses: Tensor,
    disps: Tensor,
    intrinsics: Tensor,
    disps_sens: Tensor,
    targets: Tensor,
    weights: Tensor,
    eta: Tensor,
    ii: Tensor,
    jj: Tensor,
    t0: int,
    t1: int,
    iterations: int,
    lm: float,
    ep: float,
    motion_only: bool,
) -> list[Tensor | None]:
    """Adjust ``poses[t0:t1]`` and, unless ``motion_only``, the inverse depths of all ``ii``, in place.

    Args:
        poses: [n, 7] from world to camera.
        disps: [n, h, w] inverse depths.
        intrinsics: [4] at this resolution.
        disps_sens: [n, h, w] measured inverse depths, 0 where nothing was measured.
        targets: [m, 2, h, w], where the pixels of ``ii`` are in ``jj``.
        weights: [m, 2, h, w] of the targets' x and y.
        eta: [k, h, w] damping of the inverse depths of the k keyframes in ``ii`` and from ``t0`` to ``t1``.
        ii: [m]; an edge from a keyframe to itself is one to the right camera of a stereo pair.
        jj: [m].
        t0: the first pose that moves.
        t1: the one after the last.
        iterations: how often.
        lm: damping of the poses, as a part of the diagonal.
        ep: the same, added to it.
        motion_only: leave the inverse depths as they are.

    Returns:
        The last steps: of the poses [t1 - t0, 6], and of the inverse depths [k, h * w] or ``None``.
    """
    pose_step: Tensor | None = None
    depth_step: Tensor | None = None
    window = torch.arange(t0, t1, device=poses.device)
    for _ in range(iterations):
        system = linearize(poses, disps, intrinsics, targets, weights, ii, jj)
        matrix, vector = gather_poses(system, ii - t0, jj - t0, t1 - t0)
        if motion_only:
            pose_step = solve(matrix, vector, lm, ep).to(poses.dtype)
        else:
            depths = Depths.gather(system, disps, disps_sens, eta, ii, jj, window)
            schur, right = depths.eliminate()
            pose_step = solve(matrix - schur, vector - right, lm, ep).to(poses.dtype)
            depth_step = depths.step(pose_step)
            disps[depths.keyframes] += depth_step.view(-1, *disps.shape[1:])
        poses[t0:t1] = retract(poses[t0:t1], pose_step)
    return [pose_step, depth_step]


def linearize(
    poses: Tensor, disps: Tensor, intrinsics: Tensor, targets: Tensor, weights: Tensor, ii: Tensor, jj: Tensor
) -> System:
    """The normal equations of all edges at these poses and inverse depths."""
    fx, fy, cx, cy = intrinsics.unbind()
    _, _, rays = make_rays(disps.shape[1], disps.shape[2], intrinsics)
    motions = relate(poses, ii, jj)
    stereo = ii == jj
    motions = torch.where(stereo[:, None], motions.new_tensor(_STEREO), motions)
    inverse = disps[ii].flatten(1)
    x, y, z = transform(motions, rays, inverse).unbind(-1)
    near = z < NEAREST
    d = torch.where(near, torch.zeros_like(z), 1 / z)
    weight = torch.where(near[:, None], torch.zeros_like(d)[:, None], _MEASURED * weights.flatten(2))
    residual = targets.flatten(2) - torch.stack([fx * d * x + cx, fy * d * y + cy], 1)
    u, v, none = x * d, y * d, torch.zeros_like(d)
    after = torch.stack(
        [
            fx * torch.stack([inverse * d, none, -u * inverse * d, -u * v, 1 + u * u, -v], -1),
            fy * torch.stack([none, inverse * d, -v * inverse * d, -1 - v * v, u * v, u], -1),
        ],
        1,
    )
    before = -pull_back(motions, after.flatten(1, 2)).view_as(after)
    by_pose = torch.cat([before, after], -1)
    shift = motions[:, :3, None]
    by_depth = torch.stack(
        [fx * (shift[:, 0] * d - shift[:, 2] * u * d), fy * (shift[:, 1] * d - shift[:, 2] * v * d)], 1
    )
    # A stereo pair says nothing of where it is.
    tied = weight * ~stereo[:, None, None]
    weighted = tied[..., None] * by_pose
    return System(
        pose_pose=torch.einsum("mcpa,mcpb->mab", weighted, by_pose),
        pose=torch.einsum("mcpa,mcp->ma", weighted, residual),
        pose_depth=torch.einsum("mcpa,mcp->map", weighted, by_depth),
        depth_depth=(weight * by_depth * by_depth).sum(1),
        depth=(weight * residual * by_depth).sum(1),
    )


def gather_poses(system: System, ii: Tensor, jj: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The poses' matrix [6 count, 6 count] and vector [6 count] in double precision; outside is left out."""
    blocks = system.pose_pose.double()
    matrix = blocks.new_zeros(count * count, 6, 6)
    vector = blocks.new_zeros(count, 6)
    sides = ((ii, slice(0, 6)), (jj, slice(6, 12)))
    for rows, here in sides:
        kept = (rows >= 0) & (rows < count)
        vector.index_add_(0, rows[kept], system.pose[kept, here].double())
        for columns, there in sides:
            both = kept & (columns >= 0) & (columns < count)
            matrix.index_add_(0, rows[both] * count + columns[both], blocks[both, here, there])
    square = matrix.view(count, count, 6, 6).permute(0, 2, 1, 3).reshape(6 * count, 6 * count)
    return square, vector.view(-1)


def solve(matrix: Tensor, vector: Tensor, lm: float, ep: float) -> Tensor:
    """The damped step [count, 6]; none at all where the matrix is not positive definite."""
    damped = matrix + torch.diag(ep + lm * matrix.diagonal())
    factor, failed = torch.linalg.cholesky_ex(damped)
    if failed.item():
        return torch.zeros_like(vector).view(-1, 6)
    step: Tensor = torch.cholesky_solve(vector[:, None], factor)
    return step.view(-1, 6)


@dataclass(frozen=True, kw_only=True)
class Depths:
    """The inverse depths of k keyframes of p pixels, and what ties them to the poses of the window.

    ``ties`` [r, 6, p] each tie the keyframe at ``owners`` [r] of ``keyframes`` [k] to the pose ``partners``
    [r], counted in the window of ``count`` poses. ``inverse`` [k, p] is one over the diagonal of the depths'
    own matrix, which has nothing else, and ``vector`` [k, p] their right side.
    """

    keyframes: Tensor
    owners: Tensor
    partners: Tensor
    ties: Tensor
    inverse: Tensor
    vector: Tensor
    count: int

    @classmethod
    def gather(
        cls,
        system: System,
        disps: Tensor,
        disps_sens: Tensor,
        eta: Tensor,
        ii: Tensor,
        jj: Tensor,
        window: Tensor,
    ) -> Depths:
        """Sum up the edges of each keyframe; where a depth was measured it pulls, else ``eta`` damps."""
        keyframes, owners = torch.unique(torch.cat([window, ii]), return_inverse=True)
        sensed = disps_sens[keyframes].flatten(1)
        measured = (sensed > 0).to(sensed.dtype)
        own = _sum_up(system.depth_depth, ii, keyframes) + measured * _SENSED
        vector = _sum_up(system.depth, ii, keyframes)
        ties = _sum_up(system.pose_depth[:, :6], ii, window)
        return cls(
            keyframes=keyframes,
            owners=owners,
            partners=torch.cat([window, jj]) - window[0],
            ties=torch.cat([ties, system.pose_depth[:, 6:]]),
            inverse=1 / (own + (1 - measured) * eta.flatten(1)),
            vector=vector - measured * _SENSED * (disps[keyframes].flatten(1) - sensed),
            count=len(window),
        )

    def eliminate(self) -> tuple[Tensor, Tensor]:
        """What the depths take from the poses' matrix and vector, in double precision."""
        matrix = torch.zeros(self.count, 6, self.count, 6, dtype=torch.float64, device=self.ties.device)
        vector = matrix.new_zeros(self.count, 6)
        inside = (self.partners >= 0) & (self.partners < self.count)
        for keyframe in range(len(self.keyframes)):
            rows = torch.nonzero(inside & (self.owners == keyframe))[:, 0]
            partners, place = torch.unique(self.partners[rows], return_inverse=True)
            ties = self.ties.new_zeros(len(partners), *self.ties.shape[1:]).index_add_(
                0, place, self.ties[rows]
            )
            scaled = ties * self.inverse[keyframe]
            product = torch.einsum("ian,jbn->iajb", scaled, ties).double()
            matrix[partners[:, None], :, partners[None]] += product.permute(0, 2, 1, 3)
            vector[partners] += torch.einsum("ian,n->ia", scaled, self.vector[keyframe]).double()
        return matrix.view(6 * self.count, 6 * self.count), vector.view(-1)

    def step(self, pose_step: Tensor) -> Tensor:
        """The depths' step [k, p] after that of the poses [count, 6].

        The kernel leaves out the window's first pose, so that depths do not follow that one's step.
        """
        moved = (self.partners > 0) & (self.partners < self.count)
        pull = torch.einsum("rap,ra->rp", self.ties[moved], pose_step[self.partners[moved]])
        return self.inverse * (self.vector - _sum_up(pull, self.owners[moved], None, len(self.keyframes)))


def _sum_up(values: Tensor, keys: Tensor, sorted_keys: Tensor | None, count: int = 0) -> Tensor:
    """Sum ``values`` [r, ...] by their keys [r]: a row for each sorted key, or number below ``count``."""
    if sorted_keys is None:
        return values.new_zeros(count, *values.shape[1:]).index_add_(0, keys, values)
    place = torch.searchsorted(sorted_keys, keys).clamp(max=len(sorted_keys) - 1)
    kept = sorted_keys[place] == keys
    sums = values.new_zeros(len(sorted_keys), *values.shape[1:])
    return sums.index_add_(0, place[kept], values[kept])
