"""Dense bundle adjustment in plain PyTorch, against the whole system solved at once in double precision."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed here; the CUDA image has it")

import torch.nn.functional as F  # noqa: E402, N812

from slam.engine.droid import kernels, lie  # noqa: E402

HEIGHT, WIDTH = 4, 5
INTRINSICS = torch.tensor([5.0, 5.5, 2.0, 1.5], dtype=torch.float64)
LM, EP = 1e-4, 0.1
Tensor = torch.Tensor


@dataclass(frozen=True, kw_only=True)
class Problem:
    poses: Tensor
    disps: Tensor
    sensed: Tensor
    targets: Tensor
    weights: Tensor
    eta: Tensor
    ii: Tensor
    jj: Tensor

    def ba(self, t0: int, t1: int, iterations: int, *, motion_only: bool = False) -> tuple[Tensor, ...]:
        """What the kernel makes of it, in single precision: poses, inverse depths, its last steps."""
        poses, disps = self.poses.float(), self.disps.float()
        single = (self.sensed, self.targets, self.weights, self.eta)
        steps = kernels.ba(
            poses, disps, INTRINSICS.float(), *(one.float() for one in single), self.ii, self.jj,
            t0, t1, iterations, LM, EP, motion_only,
        )  # fmt: skip
        return poses, disps, *steps


def matrices(poses: Tensor) -> Tensor:
    """Poses [n, 7] as matrices [n, 4, 4]: a quaternion turns the axes as it turns vectors."""
    axes = torch.eye(3, dtype=poses.dtype).expand(len(poses), 3, 3)
    upper = torch.cat([lie.rotate(poses[:, None, 3:], axes).transpose(1, 2), poses[:, :3, None]], 2)
    return torch.cat([upper, torch.tensor([[[0, 0, 0, 1.0]]], dtype=poses.dtype).expand(len(poses), 1, 4)], 1)


def twists(tangents: Tensor) -> Tensor:
    x, y, z = tangents[:, 3:].T
    none = torch.zeros_like(x)
    spins = torch.stack([none, -z, y, z, none, -x, -y, x, none], 1).view(-1, 3, 3)
    return F.pad(torch.cat([spins, tangents[:, :3, None]], 2), (0, 0, 0, 1))


def project(tangents: Tensor, disps: Tensor, poses: Tensor, ii: Tensor, jj: Tensor) -> Tensor:
    """Where pixels of ``ii`` are in ``jj`` once the poses are moved by tangents, [m, 2, h, w]."""
    moved = torch.linalg.matrix_exp(twists(tangents)) @ matrices(poses)
    fx, fy, cx, cy = INTRINSICS
    rows, columns = torch.meshgrid(torch.arange(HEIGHT), torch.arange(WIDTH), indexing="ij")
    rays = torch.stack([(columns - cx) / fx, (rows - cy) / fy, torch.ones(HEIGHT, WIDTH)]).double()
    points = torch.cat([rays / disps[:, None], torch.ones_like(disps)[:, None]], 1).flatten(2)
    motions = moved[jj] @ moved[ii].inverse()
    right = torch.eye(4, dtype=torch.float64)
    right[0, 3] = -0.1
    motions = torch.where((ii == jj)[:, None, None], right, motions)
    x, y, z, _ = (motions @ points[ii]).unbind(1)
    return torch.stack([fx * x / z + cx, fy * y / z + cy], 1).view(-1, 2, HEIGHT, WIDTH)


def differentiate(function: Callable[[Tensor], Tensor], at: Tensor, step: float = 1e-6) -> Tensor:
    """The Jacobian by central differences."""
    sides = torch.eye(len(at), dtype=at.dtype) * step
    return torch.stack([(function(at + side) - function(at - side)) / (2 * step) for side in sides], 1)


def make_problem(
    *, stereo: bool = False, depth: bool = False, noise: float = 0.02
) -> tuple[Problem, Problem]:
    """A problem with true poses and inverse depths, and the same with wrong ones to begin with."""
    generator = torch.Generator().manual_seed(3)

    def random(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator, dtype=torch.float64)

    count = 5
    poses = lie.exponential(0.1 * (random(count, 6) - 0.5))
    disps = 0.3 + 0.4 * random(count, HEIGHT, WIDTH)
    ii, jj = (side.reshape(-1) for side in torch.meshgrid(*[torch.arange(count)] * 2, indexing="ij"))
    near = ((ii - jj).abs() <= 2) & (ii != jj)
    ii, jj = ii[near], jj[near]
    if stereo:
        ii, jj = torch.cat([ii, torch.arange(3)]), torch.cat([jj, torch.arange(3)])
    nothing = torch.zeros(count, 6, dtype=torch.float64)
    truth = Problem(
        poses=poses,
        disps=disps,
        sensed=torch.where(random(*disps.shape) > 0.5, 1.1 * disps, 0.0)
        if depth
        else torch.zeros_like(disps),
        targets=project(nothing, disps, poses, ii, jj),
        weights=random(len(ii), 2, HEIGHT, WIDTH),
        eta=0.01 * random(count, HEIGHT, WIDTH) + 1e-3,
        ii=ii,
        jj=jj,
    )
    guess = lie.retract(poses, noise * (random(count, 6) - 0.5))
    guess[:1] = poses[:1]
    wrong = disps * (1 + 0.1 * (random(*disps.shape) - 0.5))
    return truth, Problem(**{**vars(truth), "poses": guess, "disps": wrong})


def solve_at_once(problem: Problem, t0: int, t1: int, *, motion_only: bool) -> tuple[Tensor, Tensor]:
    """The first step by central differences and one matrix with all unknowns."""
    count, size = len(problem.poses), HEIGHT * WIDTH

    def residuals(unknowns: Tensor) -> Tensor:
        tangents, disps = unknowns[: 6 * count].view(-1, 6), unknowns[6 * count :].view_as(problem.disps)
        return (project(tangents, disps, problem.poses, problem.ii, problem.jj) - problem.targets).reshape(-1)

    start = torch.cat([torch.zeros(6 * count, dtype=torch.float64), problem.disps.reshape(-1)])
    jacobian = differentiate(residuals, start)
    weights = 0.001 * problem.weights.reshape(-1)
    matrix = jacobian.T @ (weights[:, None] * jacobian)
    vector = -jacobian.T @ (weights * residuals(start))
    poses, depths = slice(6 * t0, 6 * t1), slice(6 * count, None)
    own, ties = matrix[poses, poses], matrix[poses, depths]
    if motion_only:
        step = torch.linalg.solve(own + torch.diag(EP + LM * own.diagonal()), vector[poses])
        return step.view(-1, 6), torch.zeros_like(problem.disps)
    measured = (problem.sensed > 0).double()
    damping = measured * 0.05 + (1 - measured) * problem.eta
    pull = measured * 0.05 * (problem.sensed - problem.disps)
    depth_matrix = matrix[depths, depths] + torch.diag(damping.reshape(-1))
    depth_vector = vector[depths] + pull.reshape(-1)
    inverse = torch.linalg.inv(depth_matrix)
    reduced = own - ties @ inverse @ ties.T
    step = torch.linalg.solve(
        reduced + torch.diag(EP + LM * reduced.diagonal()), vector[poses] - ties @ inverse @ depth_vector
    )
    # The kernel leaves the window's first pose out when depths follow.
    followed = torch.cat([torch.zeros(6, dtype=torch.float64), step[6:]])
    depth_step = inverse @ (depth_vector - ties.T @ followed)
    assert size * count == len(depth_step)
    return step.view(-1, 6), depth_step.view_as(problem.disps)


@pytest.mark.parametrize("kind", ["mono", "stereo", "depth"])
@pytest.mark.parametrize(("t0", "t1"), [(1, 5), (2, 4)])
def test_a_step_is_that_of_the_whole_system(kind: str, t0: int, t1: int) -> None:
    _, problem = make_problem(stereo=kind == "stereo", depth=kind == "depth")
    wanted, wanted_depth = solve_at_once(problem, t0, t1, motion_only=False)
    poses, disps, step, depth_step = problem.ba(t0, t1, 1)
    assert wanted.abs().max() > 1e-4
    torch.testing.assert_close(step.double(), wanted, atol=2e-6, rtol=1e-3)
    torch.testing.assert_close(depth_step.double().view_as(wanted_depth), wanted_depth, atol=2e-5, rtol=1e-3)
    torch.testing.assert_close(disps.double(), problem.disps + wanted_depth, atol=2e-5, rtol=1e-4)
    moved = problem.poses.clone()
    moved[t0:t1] = lie.retract(moved[t0:t1], wanted)
    torch.testing.assert_close(poses.double(), moved, atol=2e-6, rtol=1e-4)


def test_a_step_of_the_poses_alone_leaves_depths() -> None:
    _, problem = make_problem()
    wanted, _ = solve_at_once(problem, 1, 5, motion_only=True)
    _, disps, step, depth_step = problem.ba(1, 5, 1, motion_only=True)
    torch.testing.assert_close(step.double(), wanted, atol=2e-6, rtol=1e-3)
    assert depth_step is None
    assert torch.equal(disps, problem.disps.float())


def test_poses_come_back_to_the_truth() -> None:
    """With the first two fixed, which fixes the scale, and true depths."""
    truth, problem = make_problem(noise=0.1)
    problem = Problem(**{**vars(problem), "disps": truth.disps, "weights": 1e4 * truth.weights})
    poses, *_ = problem.ba(1, 5, 12, motion_only=True)
    assert (problem.poses - truth.poses).abs().max() > 0.01
    torch.testing.assert_close(poses.double(), truth.poses, atol=1e-4, rtol=0)


def test_depths_come_back_to_the_truth() -> None:
    truth, problem = make_problem()
    problem = Problem(
        **{
            **vars(problem),
            "poses": truth.poses,
            "weights": 1e4 * truth.weights + 1e3,
            "eta": 1e-6 + 0 * truth.eta,
        }
    )
    _, disps, *_ = problem.ba(4, 5, 8)
    assert (problem.disps - truth.disps).abs().max() > 0.01
    torch.testing.assert_close(disps.double(), truth.disps, atol=2e-3, rtol=0)


def test_a_matrix_that_cannot_be_solved_moves_nothing() -> None:
    _, problem = make_problem()
    problem = Problem(**{**vars(problem), "weights": -problem.weights * 1e6})
    poses, *_ = problem.ba(1, 5, 1, motion_only=True)
    torch.testing.assert_close(poses, problem.poses.float(), atol=1e-6, rtol=0)
