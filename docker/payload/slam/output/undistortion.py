"""Images without their lens's distortion, by OpenCV, laid out for Gaussian splatting and NeRF."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from slam.dataset.mask import write_mask
from slam.dataset.sequence import Bytes
from slam.output import results
from slam.output.camera import Camera
from slam.output.cloud import Cloud, thin, write_cloud
from slam.output.model import MOST_POINTS, write_model
from slam.output.nerf import IMAGES, write_transforms
from slam.trajectory import Trajectory

JPEG_QUALITY = 95
_KEPT = (".jpg", ".jpeg", ".png")
# Our cameras have the middle of the first pixel at (0.5, 0.5), OpenCV at (0, 0).
_MIDDLE = np.array([[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]])


def straight_name(name: str) -> str:
    """How the undistorted image of a file is called: as the file, with ``.png`` after other formats."""
    return name if Path(name).suffix.lower() in _KEPT else f"{name}.png"


def name_masks(names: Sequence[str]) -> list[str]:
    """The files of masks, relative to the folder that ``masks/`` is in, of images of these names."""
    return [f"{results.MASKS}/{name}.png" for name in names]


def write_undistorted(
    folder: Path,
    camera: Camera,
    trajectory: Trajectory,
    names: Sequence[str],
    images: Iterable[Bytes],
    cloud: Cloud,
    *,
    masks: Iterable[Bytes] | None = None,
    text: bool,
    threads: int,
) -> None:
    """Write ``images/``, ``masks/`` if there are any, ``sparse/0/``, ``transforms.json`` and ``cloud.ply``.

    Args:
        folder: a new one, which is made.
        camera: that of the images.
        trajectory: its poses.
        names: of the images, one a pose.
        images: these, blue, green, red [h, w, 3].
        masks: the images' masks [h, w]; ``None`` where they have none.
        cloud: what was seen; at most 200,000 points of it are written.
        text: whether COLMAP's model is written as text, too.
        threads: how many images are worked on at a time.

    Raises:
        InputError: an image cannot be read.
        ValueError: OpenCV does not know the camera's model.
    """
    straight, maps = straighten(camera)
    called = [straight_name(name) for name in names]

    for name in called:
        (folder / IMAGES / name).parent.mkdir(parents=True, exist_ok=True)
    waiting = zip(images, called, strict=True)
    with ThreadPoolExecutor(threads) as pool:
        # A few at a time: all images of a long sequence are more than memory holds.
        while some := list(islice(waiting, threads)):
            list(pool.map(lambda one: _write(folder / IMAGES / one[1], _remap(one[0], maps)), some))
    thinned = thin(cloud, MOST_POINTS)
    write_model(folder / results.MODELS / "0", straight, trajectory, called, thinned, text=text)
    straight_masks = name_masks(called) if masks is not None else []
    for name, mask in zip(straight_masks, masks or (), strict=True):
        write_mask(_remap(mask, maps, is_mask=True), folder / name)
    write_transforms(
        folder / results.TRANSFORMS,
        straight,
        trajectory,
        [f"{IMAGES}/{name}" for name in called],
        cloud=results.CLOUD,
        masks=straight_masks,
    )
    write_cloud(folder / results.CLOUD, thinned)


def straighten(camera: Camera) -> tuple[Camera, tuple[Any, Any] | None]:
    """The pinhole camera that sees nothing beside the image, and where its pixels come from (x, y [h, w]).

    Raises:
        ValueError: OpenCV does not know the camera's model.
    """
    import cv2

    named = camera.named()
    matrix = np.array([[named["fx"], 0, named["cx"]], [0, named["fy"], named["cy"]], [0, 0, 1]]) - _MIDDLE
    size = (camera.width, camera.height)
    if "FISHEYE" in camera.model:
        bends = np.array([named.get(name, 0.0) for name in ("k1", "k2", "k3", "k4")])
        pinhole = cv2.fisheye.estimateNewCameraMatrixForUndistortRectify(
            matrix, bends, size, np.eye(3), balance=0.0
        )
        maps = cv2.fisheye.initUndistortRectifyMap(matrix, bends, np.eye(3), pinhole, size, cv2.CV_32FC1)
    else:
        order = ("k1", "k2", "p1", "p2", "k3", "k4", "k5", "k6")
        bends = np.array([named.get(name, 0.0) for name in order])
        if not bends.any():
            return _pinhole(camera, matrix), None
        pinhole, _ = cv2.getOptimalNewCameraMatrix(matrix, bends, size, 0)
        maps = cv2.initUndistortRectifyMap(matrix, bends, np.eye(3), pinhole, size, cv2.CV_32FC1)
    return _pinhole(camera, pinhole), maps


def _pinhole(camera: Camera, matrix: Any) -> Camera:
    (fx, _, cx), (_, fy, cy), _ = (matrix + _MIDDLE).tolist()
    return replace(camera, model="PINHOLE", parameters=(fx, fy, cx, cy))


def _remap(pixels: Any, maps: tuple[Any, Any] | None, *, is_mask: bool = False) -> Any:
    if maps is None:
        return pixels
    import cv2

    return cv2.remap(pixels, *maps, interpolation=cv2.INTER_NEAREST if is_mask else cv2.INTER_LINEAR)


def _write(path: Path, pixels: Any) -> None:
    """Write blue, green, red [h, w, 3] as what the name says."""
    image = Image.fromarray(np.ascontiguousarray(pixels[:, :, ::-1]))
    if path.suffix.lower() == ".png":
        image.save(path, "PNG", compress_level=1)
    else:
        image.save(path, "JPEG", quality=JPEG_QUALITY)
