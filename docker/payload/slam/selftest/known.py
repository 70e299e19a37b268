"""Values that DROID-SLAM's kernels have to give, found without them: by formula.

A compiled kernel that was not made for a GPU does not fail there: it is not run, and its result stays what
the memory held, zeros mostly. So no result that is expected here is all zeros.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

# Of a camera with images of 12 by 10 at the size that the kernels see, an eighth of the network's input.
HEIGHT, WIDTH = 10, 12
FX, FY, CX, CY = 10.0, 11.0, 5.5, 4.5
INVERSE_DEPTH = 0.5
BASELINE = 0.4
# Steps of bundle adjustment, more than enough to be where it does not move any more.
ITERATIONS = 16
# Between the cameras of two frames, in pixels: fx · baseline · inverse depth.
SHIFT_PX = FX * BASELINE * INVERSE_DEPTH

Result = tuple["Tensor", "Tensor"]
Case = tuple[str, Callable[[Any, str], Result]]


def cases() -> Iterator[Case]:
    """Each kernel's name, and what computes its result and the one expected: of a module, on a device."""
    yield "iproj", check_iproj
    yield "projmap", check_projmap
    yield "frame_distance", check_frame_distance
    yield "depth_filter", check_depth_filter
    yield "corr_index_forward", check_corr_index_forward
    yield "corr_index_backward", check_corr_index_backward
    yield "altcorr_forward", check_altcorr_forward
    yield "altcorr_backward", check_altcorr_backward
    yield "ba (poses)", check_motion
    yield "ba (poses and depths)", check_bundle_adjustment


def check_iproj(kernels: Any, device: str) -> Result:
    """Points of two frames: the ray of each pixel over its inverse depth, and the camera's place."""
    import torch

    poses = _poses(device, 2)
    u, v = _pixels(device)
    depth = 1 / INVERSE_DEPTH
    ray = torch.stack([(u - CX) / FX, (v - CY) / FY, torch.ones_like(u)], -1)
    expected = ray * depth + poses[:, None, None, :3]
    return kernels.iproj(poses, _disparities(device, 2), _intrinsics(device)), expected


def check_projmap(kernels: Any, device: str) -> Result:
    """Where one frame's pixels are in the other: shifted along x."""
    import torch

    u, v = _pixels(device)
    edges = _edges(device, [(0, 1)])
    coords, valid = kernels.projmap(_poses(device, 2), _disparities(device, 2), _intrinsics(device), *edges)
    expected = torch.stack([u + SHIFT_PX, v, torch.ones_like(u)], -1)[None]
    return torch.cat([coords[..., :2], valid], -1), expected


def check_frame_distance(kernels: Any, device: str) -> Result:
    """How far pixels move between two frames, and from one to itself moved twice as far."""
    edges = _edges(device, [(0, 1), (0, 2)])
    poses, disparities = _poses(device, 3), _disparities(device, 3)
    found = kernels.frame_distance(poses, disparities, _intrinsics(device), *edges, 0.3)
    return found, found.new_tensor([SHIFT_PX, 2 * SHIFT_PX])


def check_depth_filter(kernels: Any, device: str) -> Result:
    """How many of six neighbours agree on a depth: all, but in the last row and column."""
    import torch

    poses = _poses(device, 9)
    poses[:, 0] = 0
    index = torch.tensor([3], device=device)
    threshold = torch.tensor([0.01], device=device)
    # A little less than a pixel's own place would fall to its neighbour by rounding.
    intrinsics = torch.tensor([8.0, 8.0, 4.0, 4.0], device=device)
    found = kernels.depth_filter(poses, _disparities(device, 9), intrinsics, index, threshold)
    expected = torch.full((1, HEIGHT, WIDTH), 6.0, device=device)
    expected[:, -1] = expected[:, :, -1] = 0
    return found, expected


def check_corr_index_forward(kernels: Any, device: str) -> Result:
    """A window of a volume that is linear in the place: its values there, also between pixels."""
    volume, coords, radius = _volume(device)
    return kernels.corr_index_forward(volume, coords, radius)[0], _window(coords, radius)


def check_corr_index_backward(kernels: Any, device: str) -> Result:
    """The gradient of a window's sum: each pixel of the volume gets what the bilinear weights give it."""
    import torch

    volume, coords, radius = _volume(device)
    size = 2 * radius + 1
    ones = torch.ones(1, size, size, *coords.shape[2:], device=device)
    found = kernels.corr_index_backward(volume, coords, ones, radius)[0]
    x, y = coords[0, :, :, :, None]  # [h1, w1, 1] each
    across = _spread(x, radius, WIDTH)
    down = _spread(y, radius, HEIGHT)
    return found, (down[..., :, None] * across[..., None, :])[None]


def check_altcorr_forward(kernels: Any, device: str) -> Result:
    """A window of the correlation of features, of which one kind is linear in the place."""
    first, second, coords, edges, radius = _features(device)
    found = kernels.altcorr_forward(first, second, coords, *edges, radius)[0]
    # Both features are divided by 4, so that a product of two is divided by 16.
    return found, _window(coords[0], radius)[None] * first[0, 0, 0, 0, 0] / 16


def check_altcorr_backward(kernels: Any, device: str) -> Result:
    """The gradient of the first features for a window's sum: the sum of the second ones that it reads."""
    import torch

    first, second, coords, edges, radius = _features(device)
    size = 2 * radius + 1
    ones = torch.ones(1, 1, size, size, *coords.shape[3:], device=device)
    found = kernels.altcorr_backward(first, second, coords, ones, *edges, radius)[0]
    # The kernel leaves the 16 out, unlike the forward one.
    return found[0, 0, 0], _window(coords[0], radius).sum((0, 1, 2))


def check_motion(kernels: Any, device: str) -> Result:
    """A camera that starts at a wrong place, and is brought to where the matches say that it is."""
    true, poses = _poses(device, 2), _poses(device, 2)
    poses[1, :3] += poses.new_tensor([0.05, -0.03, 0.02])
    _adjust(kernels, poses, _disparities(device, 2), motion_only=True)
    return poses, true


def check_bundle_adjustment(kernels: Any, device: str) -> Result:
    """Wrong inverse depths and a camera at a wrong place, brought to what matches and measured depths say."""
    import torch

    true, poses = _poses(device, 2), _poses(device, 2)
    poses[1, :3] += poses.new_tensor([0.05, -0.03, 0.02])
    disparities = _disparities(device, 2)
    disparities[:, ::2] *= 1.1
    _adjust(kernels, poses, disparities, motion_only=False)
    expected = _disparities(device, 2)
    return torch.cat([poses.flatten(), disparities.flatten()]), torch.cat(
        [true.flatten(), expected.flatten()]
    )


def _adjust(kernels: Any, poses: Tensor, disparities: Tensor, *, motion_only: bool) -> None:
    import torch

    device = str(poses.device)
    u, v = _pixels(device)
    targets = torch.stack([torch.stack([u + SHIFT_PX, v]), torch.stack([u - SHIFT_PX, v])])
    damping = torch.full((2, HEIGHT, WIDTH), 1e-6, device=device)
    measured = _disparities(device, 2)
    edges = _edges(device, [(0, 1), (1, 0)])
    window = (1, 2, ITERATIONS, 1e-4, 1e-4, motion_only)
    weights = torch.ones_like(targets)
    kernels.ba(poses, disparities, _intrinsics(device), measured, targets, weights, damping, *edges, *window)


def _poses(device: str, count: int) -> Tensor:
    """Cameras that look the same way, each a baseline farther along x: [count, 7]."""
    import torch

    poses = torch.zeros(count, 7, device=device)
    poses[:, 0] = BASELINE * torch.arange(count, device=device)
    poses[:, 6] = 1
    return poses


def _disparities(device: str, count: int) -> Tensor:
    import torch

    return torch.full((count, HEIGHT, WIDTH), INVERSE_DEPTH, device=device)


def _intrinsics(device: str) -> Tensor:
    import torch

    return torch.tensor([FX, FY, CX, CY], device=device)


def _pixels(device: str) -> tuple[Tensor, Tensor]:
    import torch

    rows = torch.arange(HEIGHT, device=device, dtype=torch.float32)
    columns = torch.arange(WIDTH, device=device, dtype=torch.float32)
    v, u = torch.meshgrid(rows, columns, indexing="ij")
    return u, v


def _edges(device: str, pairs: list[tuple[int, int]]) -> tuple[Tensor, Tensor]:
    import torch

    ii, jj = torch.tensor(pairs, device=device).t().contiguous()
    return ii.contiguous(), jj.contiguous()


def _volume(device: str) -> tuple[Tensor, Tensor, int]:
    """A volume [1, 2, 3, HEIGHT, WIDTH] of values 1 + x + 20 y, places well inside, and a radius."""
    import torch

    u, v = _pixels(device)
    volume = (1 + u + 20 * v).expand(1, 2, 3, HEIGHT, WIDTH).contiguous()
    x = torch.tensor([[4.25, 5.5, 6.75], [4.0, 5.125, 6.5]], device=device)
    y = torch.tensor([[3.5, 4.25, 5.75], [5.0, 3.125, 4.5]], device=device)
    return volume, torch.stack([x, y])[None].contiguous(), 2


def _window(coords: Tensor, radius: int) -> Tensor:
    """1 + x + 20 y around places [1, 2, h, w]: [1, 2 r + 1, 2 r + 1, h, w], the first along x."""
    import torch

    steps = torch.arange(-radius, radius + 1, device=coords.device, dtype=torch.float32)
    x = coords[:, 0, None, None] + steps[None, :, None, None, None]
    y = coords[:, 1, None, None] + steps[None, None, :, None, None]
    return 1 + x + 20 * y


def _spread(place: Tensor, radius: int, size: int) -> Tensor:
    """What a window around places [h, w, 1] weighs each of ``size`` pixels: bilinear hats, summed up."""
    import torch

    pixels = torch.arange(size, device=place.device, dtype=torch.float32)
    hats = [(1 - (pixels - (place + step)).abs()).clamp(min=0) for step in range(-radius, radius + 1)]
    return torch.stack(hats).sum(0)


def _features(device: str) -> tuple[Tensor, Tensor, Tensor, tuple[Tensor, Tensor], int]:
    """Features of two frames: of the first alike everywhere, of the second 1 + x + 20 y in one channel."""
    import torch

    u, v = _pixels(device)
    _, coords, radius = _volume(device)
    first = torch.full((1, 2, 4, *coords.shape[2:]), 3.0, device=device)
    second = torch.zeros(1, 2, 4, HEIGHT, WIDTH, device=device)
    second[:, :, 0] = 1 + u + 20 * v
    return first, second, coords[None], _edges(device, [(0, 1)]), radius
