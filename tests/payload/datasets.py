"""Small datasets in the layouts of the published ones, and a camera to take their pictures with."""

from pathlib import Path

import numpy as np
from PIL import Image

from slam.dataset.camera import Intrinsics
from slam.dataset.sequence import Frame
from tests.payload.calibrations import KITTI


def frames_at(*stamps: str) -> tuple[Frame, ...]:
    """Frames of these times whose files nobody reads."""
    return tuple(Frame(stamp=stamp, image=Path()) for stamp in stamps)


FIRST_S = 1305031102.175304
FIRST_NS = 1403636579763555584


def project(point: np.ndarray, camera: Intrinsics) -> np.ndarray:
    """Where a camera sees a point of its own frame, by the model and in the pixels that OpenCV documents."""
    x, y = point[0] / point[2], point[1] / point[2]
    k1, k2, p1, p2, k3 = (*camera.distortion, 0, 0, 0, 0, 0)[:5]
    r2 = x * x + y * y
    radial = 1 + k1 * r2 + k2 * r2**2 + k3 * r2**3
    bent_x = x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x)
    bent_y = y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y
    return np.array([camera.fx * bent_x + camera.cx, camera.fy * bent_y + camera.cy]) - camera.middle_px


def spot(size: tuple[int, int], place: np.ndarray, width: float = 4.0) -> np.ndarray:
    """A black picture [h, w] with a soft white spot."""
    columns, rows = np.meshgrid(np.arange(size[0]), np.arange(size[1]))
    distance = (columns - place[0]) ** 2 + (rows - place[1]) ** 2
    return (255 * np.exp(-distance / (2 * width**2))).round().astype(np.uint8)


def middle(picture: np.ndarray) -> np.ndarray:
    """Where the spot in a picture [h, w] is."""
    weights = np.where(picture > 8, picture, 0).astype(float)
    columns, rows = np.meshgrid(np.arange(picture.shape[1]), np.arange(picture.shape[0]))
    return np.array([(weights * columns).sum(), (weights * rows).sum()]) / weights.sum()


def noise(size: tuple[int, int], seed: int) -> np.ndarray:
    """A picture [h, w, 3] of coarse noise."""
    small = np.random.default_rng(seed).integers(0, 255, (size[1] // 8, size[0] // 8, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(small).resize(size, Image.Resampling.BILINEAR))


def save(path: Path, pixels: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, compress_level=1)
    return path


def make_tum(
    folder: Path, count: int = 6, size: tuple[int, int] = (640, 480), *, depth: bool = False
) -> Path:
    """With depth images 5 ms after the colour ones, at k millimetres in the k-th."""
    lists: dict[str, list[str]] = {"rgb": [], "depth": []}
    for place in range(count):
        stamp = f"{FIRST_S + place / 30:.6f}"
        save(folder / "rgb" / f"{stamp}.png", noise(size, place))
        lists["rgb"].append(f"{stamp} rgb/{stamp}.png")
        if depth:
            late = f"{FIRST_S + place / 30 + 0.005:.6f}"
            save(folder / "depth" / f"{late}.png", np.full(size[::-1], 5000 + 5 * place, dtype=np.uint16))
            lists["depth"].append(f"{late} depth/{late}.png")
    for name, lines in lists.items():
        if lines:
            (folder / f"{name}.txt").write_text("# timestamp filename\n" + "\n".join(lines) + "\n")
    return folder


def make_euroc(folder: Path, count: int = 4) -> Path:
    for place in range(count):
        for camera in ("cam0", "cam1"):
            name = f"{FIRST_NS + place * 50_000_000}.png"
            pixels = noise((752, 480), place + 100 * int(camera[-1]))[:, :, 0]
            save(folder / "mav0" / camera / "data" / name, pixels)
    return folder


def make_kitti(folder: Path, count: int = 3) -> Path:
    for place in range(count):
        for camera in ("image_0", "image_1"):
            pixels = noise((1241, 376), place + 100 * int(camera[-1]))[:, :, 0]
            save(folder / camera / f"{place:06d}.png", pixels)
    (folder / "times.txt").write_text("".join(f"{0.103736 * place:e}\n" for place in range(count)))
    (folder / "calib.txt").write_text(KITTI)
    return folder


def make_eth3d(folder: Path, count: int = 3, size: tuple[int, int] = (739, 458)) -> Path:
    """Times on both sides of 1000 s, so that names and times are not in one order."""
    for place in range(count):
        stamp = f"{999.5 + place:.6f}"
        save(folder / "rgb" / f"{stamp}.png", noise(size, place))
        values = np.random.default_rng(place).integers(0, 60000, size[::-1]).astype(np.uint16)
        save(folder / "depth" / f"{stamp}.png", values)
    (folder / "calibration.txt").write_text(
        "726.21081542969 726.21081542969 359.2048034668 202.47247314453\n"
    )
    return folder


def make_tartanair(folder: Path, count: int = 3) -> Path:
    for place in range(count):
        save(folder / "image_left" / f"{place:06d}_left.png", noise((640, 480), place))
        save(folder / "image_right" / f"{place:06d}_right.png", noise((640, 480), place + 50))
        (folder / "depth_left").mkdir(exist_ok=True)
        depth = np.random.default_rng(place).uniform(1, 9, (480, 640)).astype(np.float32)
        depth[0, 0] = np.inf
        np.save(folder / "depth_left" / f"{place:06d}_left_depth.npy", depth)
    return folder


def make_plain(folder: Path, calibration: str, count: int = 3, size: tuple[int, int] = (657, 481)) -> Path:
    for place in range(count):
        save(folder / "images" / f"{place}.png", noise(size, place))
    (folder / "calib.txt").write_text(calibration + "\n")
    return folder
