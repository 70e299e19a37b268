"""Takes frames out of a video, for `slipway stage`: every Nth, upright, and not larger than is of use.

``python3 frames.py VIDEO FOLDER`` writes ``FOLDER/images/`` and, with ``--fov``, a guess of the camera in
``FOLDER/calib.txt``.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2


def read_frames(video: Path, every: int) -> Iterator[tuple[int, Any]]:
    """Each ``every``-th frame with its number, from 0, turned as the video's metadata say."""
    capture = cv2.VideoCapture(str(video))
    capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)
    number = 0
    while capture.grab():
        if number % every == 0:
            is_read, image = capture.retrieve()
            if is_read:
                yield number, image
        number += 1
    capture.release()


def shrink(image: Any, longest: int) -> Any:
    """An image whose longer side has at most so many pixels, in its own shape."""
    scale = longest / max(image.shape[:2])
    if scale >= 1:
        return image
    return cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)


def guess_camera(width: int, height: int, fov_degrees: float) -> tuple[float, float, float, float]:
    """``fx fy cx cy`` in pixels of a camera without distortion that sees this angle along the longer side."""
    focal = max(width, height) / 2 / math.tan(math.radians(fov_degrees) / 2)
    return focal, focal, width / 2, height / 2


def write_frames(video: Path, folder: Path, every: int, longest: int) -> tuple[int, int, int]:
    """Write the frames as JPEG, named by their numbers; returns how many, and their width and height."""
    images = folder / "images"
    if images.exists():
        raise SystemExit(f"frames.py: {images} is there already; remove it, or name another folder")
    count, size = 0, (0, 0)
    for number, frame in read_frames(video, every):
        image = shrink(frame, longest)
        images.mkdir(parents=True, exist_ok=True)
        if not cv2.imwrite(str(images / f"{number:06d}.jpg"), image, [cv2.IMWRITE_JPEG_QUALITY, 95]):
            raise SystemExit(f"frames.py: {images / f'{number:06d}.jpg'} cannot be written")
        count, size = count + 1, (image.shape[1], image.shape[0])
    if not count:
        raise SystemExit(f"frames.py: {video}: there is no such file, or no video in it that OpenCV can read")
    return count, *size


def angle(text: str) -> float:
    """A field of view, as it is written on the command line."""
    value = float(text)
    if not 0 < value < 180:
        raise argparse.ArgumentTypeError("write an angle in degrees, between 0 and 180")
    return value


def number(text: str) -> int:
    """A number from 1 on, as it is written on the command line."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("write a whole number, 1 or more")
    return value


def main(arguments: list[str] | None = None) -> None:
    """Take a video apart, and say what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("video", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--every", type=number, default=3, help="take every Nth frame (default: 3)")
    parser.add_argument(
        "--size", type=number, default=1024, help="at most so many pixels a side (default: 1024)"
    )
    parser.add_argument("--fov", type=angle, help="degrees that the camera sees along its longer side")
    given = parser.parse_args(arguments)

    count, width, height = write_frames(given.video, given.folder, given.every, given.size)
    print(f"{given.folder}: {count} frames of {width}x{height}, every {given.every}. of {given.video.name}")
    if given.fov:
        camera = guess_camera(width, height, given.fov)
        numbers = " ".join(f"{value:.3f}" for value in camera)
        why = f"# A guess, from a field of view of {given.fov:g} degrees. This camera was not calibrated."
        (given.folder / "calib.txt").write_text(f"{why}\n{numbers}\n", encoding="utf-8")
        print(f"calib.txt is a guess, from {given.fov:g} degrees: {numbers}")


if __name__ == "__main__":
    main()
