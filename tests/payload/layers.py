"""Views of flat pictures at several depths, for cameras that move little, turn, or stand still."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

Floats = npt.NDArray[np.float64]
Bytes = npt.NDArray[np.uint8]

WIDTH, HEIGHT, FOCAL = 320, 240, 260.0
CAMERA = np.array([[FOCAL, 0, WIDTH / 2], [0, FOCAL, HEIGHT / 2], [0, 0, 1]])


def paint(seed: int, size: int = 1200) -> Bytes:
    """Blots of several sizes, grey [size, size]."""
    random = np.random.default_rng(seed)
    sheet = np.zeros((size, size), np.float32)
    for width in (3, 8, 20):
        noise = random.normal(size=(size, size)).astype(np.float32)
        blurred = cv2.GaussianBlur(noise, (0, 0), width)
        sheet += blurred / blurred.std()
    return np.clip(128 + 40 * sheet, 0, 255).astype(np.uint8)


def turn(degrees: float) -> Floats:
    """A rotation about the vertical axis [3, 3]."""
    vector: Floats = cv2.Rodrigues(np.array([0.0, np.radians(degrees), 0.0]))[0]
    return vector


def look(sheets: list[Bytes], depths: list[float], place: Floats, rotation: Floats) -> Bytes:
    """What a camera at ``place`` [3] sees; each nearer sheet covers the part of the image below its edge."""
    image = np.zeros((HEIGHT, WIDTH), np.uint8)
    edges = np.linspace(0, HEIGHT, len(sheets) + 1)[:-1]
    for sheet, depth, edge in zip(sheets, depths, edges, strict=True):
        middle = sheet.shape[0] / 2
        # From a sheet's pixels, of the size that they have seen from the origin, to the world.
        scale = depth / FOCAL
        world = np.array([[scale, 0, -scale * middle], [0, scale, -scale * middle], [0, 0, depth]])
        world[:, 2] -= place
        seen = cv2.warpPerspective(sheet, CAMERA @ rotation.T @ world, (WIDTH, HEIGHT), flags=cv2.INTER_AREA)
        image[int(edge) :] = seen[int(edge) :]
    return image


def film(folder: Path, images: list[Bytes]) -> Path:
    """A plain folder of images with the camera's calibration."""
    folder.mkdir(parents=True)
    for place, image in enumerate(images):
        noise = np.random.default_rng(place).normal(0, 1, image.shape)
        noisy = np.clip(image + noise, 0, 255).astype(np.uint8)
        Image.fromarray(noisy).save(folder / f"frame{place:03d}.png")
    height, width = images[0].shape
    (folder / "calib.txt").write_text(f"{FOCAL:g} {FOCAL:g} {width / 2:g} {height / 2:g}\n")
    return folder


def move(folder: Path, step: tuple[float, float, float], degrees: float = 0.0, frames: int = 6) -> Path:
    """A camera that goes on by ``step`` and turns by ``degrees`` with each frame, before three sheets."""
    sheets, depths = [paint(seed) for seed in range(3)], [4.0, 3.0, 2.0]
    places = np.outer(np.arange(frames) - (frames - 1) / 2, step)
    turns = [degrees * (place - (frames - 1) / 2) for place in range(frames)]
    views = [look(sheets, depths, place, turn(angle)) for place, angle in zip(places, turns, strict=True)]
    return film(folder, views)
