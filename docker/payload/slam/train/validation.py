"""Everything of a scene is looked at once, before anything is trained on it."""

from __future__ import annotations

from pathlib import Path
from tokenize import TokenError

import numpy as np
import numpy.typing as npt
from PIL import Image

from slam.dataset.camera import CALIBRATION
from slam.dataset.image import read_upright
from slam.errors import InputError
from slam.train.covisibility import (
    GRID_PX,
    Graph,
    build_graph,
    cast_rays,
    measure_flow,
    move,
    project,
    to_matrices,
)
from slam.train.scene import Scene

Floats = npt.NDArray[np.float32]

# What Pillow and numpy raise for files that were cut or changed, found out by changing some at random.
BROKEN = (OSError, ValueError, EOFError, SyntaxError, TokenError, Image.DecompressionBombError)
# A camera that is carried around looks at things that are this far away, in metres. Sky may be anything.
NEAREST_M, FARTHEST_M = 0.05, 500.0
# So much of a depth image must have been measured.
_LEAST_MEASURED = 0.05
# Depths seen from two sides agree to a few percent; more than this is another convention or unit.
_MOST_DISAGREEMENT = 0.15
_PAIRS = 40
# Neighbours this far apart, in pixels, show whether depths and poses agree.
_BASE_PX = 96.0


def read_image(path: Path) -> npt.NDArray[np.uint8]:
    """An image [h, w, 3], blue, green, red, upright.

    Raises:
        InputError: it is not a readable image.
    """
    image = read_upright(path)
    if image.mode.startswith(("I", "F")):
        # Pillow would make white of all that is not dark.
        raise InputError(f"{path}: its pixels have more than 8 bits; write images with 8 bits a channel")
    return np.ascontiguousarray(np.asarray(image.convert("RGB"))[:, :, ::-1])


def read_depth(path: Path, divisor: float) -> Floats:
    """Depths [h, w] in a scene's unit; 0 where none was measured.

    Raises:
        InputError: it is no 16-bit PNG and no array of numbers with two dimensions.
    """
    try:
        if path.suffix.lower() == ".npy":
            values = np.load(path, allow_pickle=False)
        else:
            with Image.open(path) as image:
                values = np.asarray(image)
                if not image.mode.startswith("I"):
                    raise InputError(f"{path}: depths are 16-bit grey PNG, and this one is {image.mode}")
    except BROKEN as error:
        raise InputError(f"{path}: not a readable depth image ({error})") from error
    if not isinstance(values, np.ndarray):
        raise InputError(f"{path}: an archive of arrays; expected one array, as np.save writes it")
    if values.ndim != 2 or values.dtype.kind not in "fiu":
        raise InputError(
            f"{path}: an array {list(values.shape)} of {values.dtype}; expected one number for each pixel"
        )
    depth: Floats = values.astype(np.float32) / np.float32(divisor)
    depth[~(np.isfinite(depth) & (depth > 0))] = 0
    return depth


def inspect(scene: Scene) -> Graph:
    """Read all images and depths of a scene, and find out which frames see the same.

    Raises:
        InputError: a file is broken or of another size, depths are in another unit than metres, or depths and
            poses contradict each other.
    """
    disparities = _read_grids(scene)
    distances = measure_flow(scene.poses, disparities, scene.camera)
    graph = build_graph(distances)
    _require_agreement(scene, disparities, graph)
    return graph


def _read_grids(scene: Scene) -> Floats:
    """One over the depth [n, h, w] at every 16th pixel; holes are as far away as the rest on average."""
    size, grids, middles = scene.size, [], []
    for image_path, depth_path in zip(scene.images, scene.depths, strict=True):
        height, width = read_image(image_path).shape[:2]
        size = size or (width, height)
        if (width, height) != size:
            raise InputError(
                f"{image_path} is {width}x{height}, not {size[0]}x{size[1]}: {_reason(scene, image_path)}"
            )
        depth = read_depth(depth_path, scene.depth_divisor)
        if depth.shape != (height, width):
            raise InputError(
                f"{depth_path} is {depth.shape[1]}x{depth.shape[0]}, but its image is {width}x{height}; each "
                "depth is the image's, pixel by pixel"
            )
        grid = depth[GRID_PX // 2 :: GRID_PX, GRID_PX // 2 :: GRID_PX]
        measured = grid[grid > 0]
        if measured.size <= _LEAST_MEASURED * grid.size:
            raise InputError(f"{depth_path}: almost no depth in it is a positive number; take the frame out")
        middles.append(float(np.median(measured)))
        grids.append(1 / np.where(grid > 0, grid, measured.mean()))
    _require_metres(scene, float(np.median(middles)))
    _require_inside(scene, size)
    return np.asarray(np.stack(grids), np.float32)


def _reason(scene: Scene, image: Path) -> str:
    if scene.size is not None:
        path = scene.folder / CALIBRATION
        return f"TartanAir's camera is known for that size only; write `fx fy cx cy` to {path}"
    return f"{scene.images[0].name} is; a scene is one camera with images of one size ({image.name} is not)"


def _require_metres(scene: Scene, middle: float) -> None:
    metres = middle * scene.metres
    if not NEAREST_M <= metres <= FARTHEST_M:
        kind = scene.depths[0].suffix
        remedy = (
            "write what one metre is in them to depth_scale.txt (1000 for millimetres)"
            if kind == ".png"
            else "an .npy file holds metres"
        )
        raise InputError(f"{scene.depths[0].parent}: depths are about {metres:.4g} m; {remedy}")


def _require_inside(scene: Scene, size: tuple[int, int] | None) -> None:
    fx, fy, cx, cy = scene.camera
    width, height = size or (0, 0)
    if not (0 < cx < width and 0 < cy < height):
        raise InputError(
            f"{scene.folder / CALIBRATION}: the principal point ({cx:g}, {cy:g}) is outside the "
            f"{width}x{height} images; scale it to their size"
        )
    if not (0.1 * width < fx < 10 * width and 0.1 * width < fy < 10 * width):
        raise InputError(
            f"{scene.folder / CALIBRATION}: focal lengths of {fx:g} and {fy:g} pixels do not belong to "
            f"images {width} pixels wide"
        )


def _require_agreement(scene: Scene, disparities: Floats, graph: Graph) -> None:
    """Frames seen from two sides show whether poses run the right way, and are in the depths' unit."""
    pairs = _pick_pairs(graph)
    if not len(pairs):
        return
    off = _disagreement(scene.poses, disparities, scene.camera, pairs)
    if off <= _MOST_DISAGREEMENT:
        return
    other = _disagreement(invert(scene.poses), disparities, scene.camera, pairs)
    hint = (
        f"with world-to-camera poses it would be {other:.0%}, so invert them"
        if other < min(off / 2, _MOST_DISAGREEMENT)
        else "they must be camera-to-world, x right, y down, z forward, and in the unit of the depths"
    )
    raise InputError(
        f"{scene.folder}: depths and poses contradict each other: what two frames see differs by {off:.0%} "
        f"in depth; {hint}"
    )


def _pick_pairs(graph: Graph) -> npt.NDArray[np.int64]:
    """Frames [m, 2], evenly over the scene, as far apart as frames of one sample may be."""
    pairs = []
    for frame in np.unique(np.linspace(0, len(graph) - 1, _PAIRS).astype(int)):
        neighbours, flows = graph.of(int(frame))
        near = flows < _BASE_PX
        if near.any():
            pairs.append((int(frame), int(neighbours[near][flows[near].argmax()])))
    return np.array(pairs, np.int64).reshape(-1, 2)


def _disagreement(
    poses: npt.NDArray[np.float64],
    disparities: Floats,
    camera: npt.NDArray[np.float64],
    pairs: npt.NDArray[np.int64],
) -> float:
    """The median relative difference between depths of frames, and these depths as other frames see them."""
    height, width = disparities.shape[1:]
    cells = camera / GRID_PX
    rotations, positions = to_matrices(poses)
    flat = disparities.reshape(len(poses), -1)
    one, other = pairs.T
    points = move(rotations, positions, flat, cast_rays(height, width, cells), one, other)
    x, y = (np.rint(values).astype(int) for values in project(points, cells))
    seen = (points[:, 2] > 0.1) & (x >= 0) & (x < width) & (y >= 0) & (y < height)
    if not seen.any():
        return 1.0
    place = np.clip(y, 0, height - 1) * width + np.clip(x, 0, width - 1)
    expected = flat[one] / np.where(seen, points[:, 2], 1)
    found = np.take_along_axis(flat[other], place, 1)
    return float(np.median((np.abs(expected - found) / np.maximum(expected, found))[seen]))


def invert(poses: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The inverse of each pose [n, 7]."""
    rotations, positions = to_matrices(poses)
    back = -np.einsum("nij,ni->nj", rotations, positions)
    return np.hstack([back, -poses[:, 3:6], poses[:, 6:]])
