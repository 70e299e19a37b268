"""DROID-SLAM's kernels in plain PyTorch, against references that share nothing with them."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed here; the CUDA image has it")

import torch.nn.functional as F  # noqa: E402, N812

from slam.engine.droid import kernels, lie  # noqa: E402
from slam.engine.droid.scatter import scatter_mean, scatter_sum  # noqa: E402

HEIGHT, WIDTH = 12, 16
INTRINSICS = torch.tensor([14.0, 15.0, 7.5, 5.5])


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def matrix_of(pose: torch.Tensor) -> torch.Tensor:
    """A 4x4 matrix, by the textbook's formula for a quaternion."""
    x, y, z, w = pose[3:].tolist()
    matrix = torch.eye(4, dtype=pose.dtype)
    matrix[:3, :3] = torch.tensor(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ],
        dtype=pose.dtype,
    )
    matrix[:3, 3] = pose[:3]
    return matrix


def twist(tangent: torch.Tensor) -> torch.Tensor:
    x, y, z = tangent[3:].tolist()
    matrix = torch.zeros(4, 4, dtype=tangent.dtype)
    matrix[:3, :3] = torch.tensor([[0, -z, y], [z, 0, -x], [-y, x, 0]], dtype=tangent.dtype)
    matrix[:3, 3] = tangent[:3]
    return matrix


def make_poses(count: int, size: float = 0.1) -> torch.Tensor:
    return lie.exponential(size * torch.randn(count, 6))


def sideways(count: int, step: float) -> torch.Tensor:
    """Poses, world to camera, of a camera that moves along its x axis."""
    poses = torch.zeros(count, 7)
    poses[:, 0] = -step * torch.arange(count)
    poses[:, 6] = 1
    return poses


@pytest.mark.parametrize("size", [1e-6, 0.3, 2.0])
def test_exponential_is_that_of_matrices(size: float) -> None:
    tangents = size * torch.randn(5, 6)
    for tangent, pose in zip(tangents, lie.exponential(tangents), strict=True):
        torch.testing.assert_close(
            matrix_of(pose), torch.linalg.matrix_exp(twist(tangent)), atol=2e-6, rtol=1e-5
        )


def test_retraction_multiplies_on_the_left() -> None:
    poses, tangents = make_poses(4, 0.5).double(), 0.2 * torch.randn(4, 6, dtype=torch.float64)
    for pose, tangent, moved in zip(poses, tangents, lie.retract(poses, tangents), strict=True):
        wanted = torch.linalg.matrix_exp(twist(tangent)) @ matrix_of(pose)
        torch.testing.assert_close(matrix_of(moved), wanted, atol=1e-6, rtol=1e-6)


def test_relation_leads_from_one_camera_to_the_other() -> None:
    poses = make_poses(3, 0.5)
    (motion,) = lie.relate(poses, torch.tensor([0]), torch.tensor([2]))
    wanted = matrix_of(poses[2]) @ matrix_of(poses[0]).inverse()
    torch.testing.assert_close(matrix_of(motion), wanted, atol=1e-6, rtol=1e-5)


def test_pull_back_is_the_transposed_adjoint() -> None:
    motion = make_poses(1, 0.7)
    covector = torch.randn(1, 1, 6)
    matrix = matrix_of(motion[0])
    adjoint = torch.zeros(6, 6)
    adjoint[:3, :3] = adjoint[3:, 3:] = matrix[:3, :3]
    adjoint[:3, 3:] = twist(torch.cat([torch.zeros(3), matrix[:3, 3]]))[:3, :3] @ matrix[:3, :3]
    torch.testing.assert_close(lie.pull_back(motion, covector)[0, 0], adjoint.T @ covector[0, 0])


def test_points_are_where_the_pixels_see_them() -> None:
    poses, disps = make_poses(2, 0.5), 0.2 + torch.rand(2, HEIGHT, WIDTH)
    points = kernels.iproj(poses, disps, INTRINSICS)
    fx, fy, cx, cy = INTRINSICS.tolist()
    for keyframe, row, column in ((0, 0, 0), (1, 5, 3), (1, HEIGHT - 1, WIDTH - 1)):
        depth = 1 / disps[keyframe, row, column].item()
        seen = torch.tensor([(column - cx) / fx * depth, (row - cy) / fy * depth, depth, 1])
        torch.testing.assert_close(points[keyframe, row, column], (matrix_of(poses[keyframe]) @ seen)[:3])


def test_a_step_to_the_side_moves_pixels_by_focal_length_times_step_over_depth() -> None:
    poses, disps = sideways(3, 0.2), torch.full((3, HEIGHT, WIDTH), 0.5)
    coordinates, valid = kernels.projmap(poses, disps, INTRINSICS, torch.tensor([0]), torch.tensor([2]))
    rows, columns = torch.meshgrid(torch.arange(HEIGHT), torch.arange(WIDTH), indexing="ij")
    torch.testing.assert_close(coordinates[0, ..., 0], columns - 14 * 0.4 * 0.5)
    torch.testing.assert_close(coordinates[0, ..., 1], rows.float())
    assert (coordinates[..., 2] == 0).all()
    assert (valid == 1).all()


def test_pixels_behind_the_other_camera_stay_and_are_not_valid() -> None:
    poses = torch.tensor([[0, 0, 0, 0, 0, 0, 1.0], [0, 0, -3, 0, 0, 0, 1.0]])
    disps = torch.full((2, HEIGHT, WIDTH), 0.5)
    coordinates, valid = kernels.projmap(poses, disps, INTRINSICS, torch.tensor([0]), torch.tensor([1]))
    assert (valid == 0).all()
    assert coordinates[0, 4, 9].tolist() == [9, 4, 0]


def test_distance_is_the_mean_flow() -> None:
    poses, disps = sideways(4, 0.2), torch.full((4, HEIGHT, WIDTH), 0.5)
    ii, jj = torch.tensor([0, 3, 1]), torch.tensor([1, 0, 1])
    distances = kernels.frame_distance(poses, disps, INTRINSICS, ii, jj, 0.3)
    torch.testing.assert_close(distances, 14 * 0.5 * torch.tensor([0.2, 0.6, 0.0]), atol=1e-5, rtol=1e-5)


def test_distance_weighs_rotation_by_beta() -> None:
    """Of a motion that only turns, the part that is the translation alone has no flow."""
    poses = torch.zeros(2, 7)
    poses[:, 6] = 1
    poses[1, 5:] = torch.tensor([math.sin(0.05), math.cos(0.05)])  # 0.1 rad about the line of sight
    disps = torch.ones(2, HEIGHT, WIDTH)
    square = torch.tensor([14.0, 14.0, 7.5, 5.5])
    rows, columns = torch.meshgrid(torch.arange(HEIGHT), torch.arange(WIDTH), indexing="ij")
    radius = torch.hypot(columns - 7.5, rows - 5.5)
    (distance,) = kernels.frame_distance(poses, disps, square, torch.tensor([0]), torch.tensor([1]), 0.3)
    torch.testing.assert_close(distance, 0.3 * (2 * math.sin(0.05) * radius).mean())


def test_distance_is_1000_where_less_than_three_quarters_are_in_sight() -> None:
    poses = torch.tensor([[0, 0, 0, 0, 0, 0, 1.0], [0, 0, -1, 0, 0, 0, 1.0]])
    disps = torch.full((2, HEIGHT, WIDTH), 0.5)
    ask = (INTRINSICS, torch.tensor([0]), torch.tensor([1]), 0.3)
    disps[0, :2] = 2.0  # at 0.5, behind a camera at 1: a sixth
    assert kernels.frame_distance(poses, disps, *ask).item() < 20
    disps[0, :4] = 2.0  # a third
    assert kernels.frame_distance(poses, disps, *ask).item() == 1000


def test_many_edges_at_once_are_the_same_as_one_by_one() -> None:
    poses, disps = make_poses(20), 0.3 + torch.rand(20, HEIGHT, WIDTH)
    ii, jj = (side.reshape(-1) for side in torch.meshgrid(torch.arange(20), torch.arange(20), indexing="ij"))
    together = kernels.frame_distance(poses, disps, INTRINSICS, ii, jj, 0.3)
    one = kernels.frame_distance(poses, disps, INTRINSICS, ii[333:334], jj[333:334], 0.3)
    torch.testing.assert_close(together[333:334], one)


def count_found(poses: torch.Tensor, disps: torch.Tensor, keyframe: int, threshold: float) -> torch.Tensor:
    ix, thresh = torch.tensor([keyframe]), torch.tensor([threshold])
    (counts,) = kernels.depth_filter(poses, disps, INTRINSICS, ix, thresh)
    return counts


def test_a_depth_is_found_again_in_the_neighbours_that_see_it() -> None:
    """A wall at 2 m, a camera that moves by 0.3 pixels a step; the next two neighbours do not count."""
    poses, disps = sideways(12, 0.3 / 7), torch.full((12, HEIGHT, WIDTH), 0.5)
    inner = (slice(None, -1), slice(3, -3))  # what all neighbours have in sight
    assert (count_found(poses, disps, 5, 0.01)[inner] == 6).all()
    assert (count_found(poses, disps, 0, 0.01)[inner] == 3).all()
    assert (count_found(poses, disps, 2, 0.01)[inner] == 5).all()
    for other, found in ((4, 5), (2, 5), (6, 6), (7, 6), (8, 5), (10, 5)):
        changed = disps.clone()
        changed[other] = 0.6
        assert (count_found(poses, changed, 5, 0.01)[inner] == found).all()


def test_the_threshold_is_of_depth_and_not_of_its_inverse() -> None:
    poses, disps = sideways(12, 0.3 / 7), torch.full((12, HEIGHT, WIDTH), 0.5)
    disps[5] = 1 / 2.2
    inner = (slice(None, -1), slice(3, -3))
    assert (count_found(poses, disps, 5, 0.19)[inner] == 0).all()
    assert (count_found(poses, disps, 5, 0.21)[inner] == 6).all()


def sample(volume: torch.Tensor, coords: torch.Tensor, radius: int) -> torch.Tensor:
    """Windows by PyTorch's own sampling."""
    batch, height, width, other_height, other_width = volume.shape
    steps = torch.arange(-radius, radius + 1, dtype=volume.dtype)
    offsets = torch.stack(torch.meshgrid(steps, steps, indexing="ij"), -1)
    grid = coords.permute(0, 2, 3, 1).reshape(-1, 1, 1, 2) + offsets
    size = torch.tensor([other_width - 1, other_height - 1], dtype=volume.dtype)
    images = volume.reshape(-1, 1, other_height, other_width)
    found = F.grid_sample(images, 2 * grid / size - 1, align_corners=True, padding_mode="zeros")
    return found.view(batch, height, width, *offsets.shape[:2]).permute(0, 3, 4, 1, 2)


def test_correlation_windows_are_those_of_grid_sample() -> None:
    volume = torch.randn(3, 5, 6, HEIGHT, WIDTH, dtype=torch.float64)
    coords = torch.rand(3, 2, 5, 6, dtype=torch.float64) * 24 - 5
    coords[0, :, 0, 0] = torch.tensor([3.0, 4.0])  # on a pixel
    coords[0, :, 0, 1] = torch.tensor([-1e9, 1e9])  # far out
    (windows,) = kernels.corr_index_forward(volume, coords, 3)
    reference = sample(volume, coords.clamp(-100, 100), 3)
    assert (reference != 0).double().mean() > 0.3
    torch.testing.assert_close(windows, reference)


def test_correlation_gradient_is_that_of_grid_sample() -> None:
    volume = torch.randn(2, 5, 6, HEIGHT, WIDTH, dtype=torch.float64, requires_grad=True)
    coords = torch.rand(2, 2, 5, 6, dtype=torch.float64) * 24 - 5
    gradient = torch.randn(2, 7, 7, 5, 6, dtype=torch.float64)
    (wanted,) = torch.autograd.grad(sample(volume, coords, 3), volume, gradient)
    (found,) = kernels.corr_index_backward(volume.detach(), coords, gradient, 3)
    torch.testing.assert_close(found, wanted)


def correlate(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """All products of two feature maps, by a loop over what the formula says."""
    return torch.stack([(one[:, row, column, None, None] * other).sum(0) / 16
                        for row in range(one.shape[1]) for column in range(one.shape[2])]
                       ).view(*one.shape[1:], *other.shape[1:])  # fmt: skip


def test_correlation_without_a_volume_is_the_same() -> None:
    fine = torch.randn(1, 3, 8, 5, 6, dtype=torch.float64, requires_grad=True)
    coarse = torch.randn(1, 3, 8, HEIGHT, WIDTH, dtype=torch.float64, requires_grad=True)
    ii, jj = torch.tensor([0, 2, 1, 0]), torch.tensor([1, 0, 2, 0])
    coords = torch.rand(1, 4, 2, 5, 6, dtype=torch.float64) * 12
    (windows,) = kernels.altcorr_forward(fine, coarse, coords, ii, jj, 3)
    volumes = torch.stack([correlate(fine[0, i], coarse[0, j]) for i, j in zip(ii, jj, strict=True)])
    reference = sample(volumes, coords[0], 3)[None]
    torch.testing.assert_close(windows, reference)
    # The kernel's gradient leaves out the division.
    gradient = torch.randn_like(reference)
    found = kernels.altcorr_backward(fine.detach(), coarse.detach(), coords, gradient, ii, jj, 3)
    for mine, wanted in zip(
        found, torch.autograd.grad(16 * reference, (fine, coarse), gradient), strict=True
    ):
        torch.testing.assert_close(mine, wanted)


def test_scatter_sums_and_means() -> None:
    values = torch.tensor([[1.0, 2], [10, 20], [3, 4]], requires_grad=True)
    index = torch.tensor([2, 0, 2])
    assert scatter_sum(values, index, dim=0).tolist() == [[10, 20], [0, 0], [4, 6]]
    assert scatter_mean(values, index, dim=0).tolist() == [[10, 20], [0, 0], [2, 3]]
    assert scatter_sum(values, index, dim=0, dim_size=4).shape == (4, 2)
    assert scatter_sum(values.T, index).tolist() == [[10, 0, 4], [20, 0, 6]]
    scatter_mean(values, index, dim=0).sum().backward()
    assert values.grad.tolist() == [[0.5, 0.5], [1, 1], [0.5, 0.5]]
