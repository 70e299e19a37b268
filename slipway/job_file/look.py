"""Whether files of this machine are what a job's file takes them for, as far as that shows without the image.

Images and videos are known by how they begin, and not decoded; a PNG or JPEG that is cut off is noticed. A
calibration is looked at for its numbers, and ground truth for a row of some: what they say, the program in
the container reads.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from slipway.errors import DataError
from slipway.job_file.picture import is_cut_off
from slipway.jsontext import load_json
from slipway.text.wording import counted

IMAGES = frozenset(
    {
        ".avif", ".bmp", ".heic", ".heif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp",
    }
)  # fmt: skip
VIDEOS = frozenset({".3gp", ".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".webm"})
BAGS = frozenset({".bag", ".mcap"})
CALIBRATIONS = frozenset({".json", ".txt", ".xml", ".yaml", ".yml"})
_HEAD_BYTES = 16
# JPEG, PNG, BMP, TIFF in both orders of bytes, portable maps.
_IMAGE = re.compile(
    rb"\xff\xd8\xff|\x89PNG\r\n\x1a\n|BM|II\*\0|MM\0\*|P[2356]\s|RIFF....WEBP|....ftyp", re.DOTALL
)
# MP4 and its kin, AVI, Matroska, MPEG, transport streams; bags of ROS 1, MCAP.
_RECORDING = re.compile(
    rb"....(ftyp|moov|mdat|free|skip|wide)|RIFF....AVI |\x1aE\xdf\xa3|\0\0\x01[\xb3\xba]|(....)?G"
    rb"|#ROSBAG V|\x89MCAP",
    re.DOTALL,
)
_SEPARATORS = re.compile(r"[,;\[\]()\s]+")
_NUMBER = re.compile(r"(?<![\w.])[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?(?![\w.])")
_FEWEST_NUMBERS = 4
_LINE_NUMBERS = (4, 8, 9, 12)
_MATRIX_ROWS = 3
_EXPECTED = "expected `fx fy cx cy`, then nothing, `k1 k2 p1 p2`, `… k3` or `… k3 k4 k5 k6`, in pixels"
_MOST_TEXT_BYTES = 1_000_000_000


def check_images(path: Path) -> None:
    """Refuse what holds no images: each has to begin as one.

    Args:
        path: a folder, a video, or a bag of ROS.

    Raises:
        DataError: it is not there, empty, or something else.
    """
    if path.is_dir():
        _check_folder(path)
        return
    if not path.is_file():
        raise DataError(
            f"images: {path}: there is no such folder or file; one that is staged already is written "
            "`images: {dataset: NAME}`"
        )
    if path.suffix.lower() in IMAGES:
        raise DataError(f"images: {path} is one image; name the folder that it is in")
    if path.suffix.lower() not in VIDEOS | BAGS:
        raise DataError(
            f"images: {path} is no folder, and no video or bag ({', '.join(sorted(VIDEOS | BAGS))})"
        )
    if fault := _fault(path, _RECORDING, "is no video or bag"):
        raise DataError(f"images: {path} {fault}")


def _check_folder(folder: Path) -> None:
    files = [path for path in sorted(folder.rglob("*")) if not path.name.startswith(".") and path.is_file()]
    if not files:
        raise DataError(f"images: {folder} is empty")
    images = [path for path in files if path.suffix.lower() in IMAGES]
    recordings = [path for path in files if path.suffix.lower() in VIDEOS | BAGS | {".db3"}]
    if not images and not recordings:
        others = ", ".join(sorted({path.suffix.lower() or path.name for path in files})[:5])
        raise DataError(
            f"images: {folder} has no images ({', '.join(sorted(IMAGES))}), and no video or bag; there are "
            f"files of these kinds: {others}"
        )
    faults = [
        f"{path.relative_to(folder)} {fault}"
        for path in images
        if (fault := _fault(path, _IMAGE, "is no image", to_its_end=True))
    ]
    if faults:
        raise DataError(
            f"images: {len(faults)} of {counted(len(images), 'image')} in {folder} cannot be opened: "
            + _some(faults)
        )


def check_calibration(path: Path) -> None:
    """Refuse what cannot be a calibration.

    A line of numbers, or a 3x3 matrix, has to be as many as it takes. Of another format, such as Kalibr's or
    OpenCV's, there have to be four numbers; JSON has to be that.

    Raises:
        DataError: it is not there, or something else.
    """
    text = _read_text("calibration", path)
    if path.suffix.lower() == ".json":
        try:
            load_json(text.encode())
        except ValueError as error:
            raise DataError(f"calibration: {path} is no JSON: {error}") from error
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    # COLMAP's cameras.txt begins with a number, too, and then has the name of a model.
    if path.suffix.lower() == ".txt" and lines and _numbers(lines[0])[1:]:
        _check_numbers(path, lines)
    elif len(_NUMBER.findall(text)) < _FEWEST_NUMBERS:
        raise DataError(f"calibration: {path} has fewer than four numbers, and a camera takes four")


def _check_numbers(path: Path, lines: Sequence[str]) -> None:
    rows = [_numbers(line) for line in lines]
    for line, row in zip(lines, rows, strict=True):
        if not row or len(row) != len([word for word in _SEPARATORS.split(line) if word]):
            raise DataError(f"calibration: {path}: {line.strip()[:80]!r} is not all numbers; {_EXPECTED}")
    counts = [len(row) for row in rows]
    if counts[:_MATRIX_ROWS] == [_MATRIX_ROWS] * _MATRIX_ROWS and len(rows) <= _MATRIX_ROWS + 1:
        return
    if len(rows) != 1:
        raise DataError(f"calibration: {path}: {len(rows)} lines of numbers; {_EXPECTED} on one line")
    if counts[0] not in _LINE_NUMBERS:
        raise DataError(f"calibration: {path}: {counted(counts[0], 'number')}; {_EXPECTED}")
    if min(rows[0][:2]) <= 0:
        raise DataError(
            f"calibration: {path}: the focal lengths {rows[0][0]:g} and {rows[0][1]:g} must be positive"
        )


def check_groundtruth(path: Path) -> None:
    """Refuse what has no row of numbers.

    Raises:
        DataError: it is not there, or something else.
    """
    lines = _read_text("groundtruth", path).splitlines()
    if not any(len(_numbers(line)) >= _FEWEST_NUMBERS for line in lines):
        raise DataError(f"groundtruth: {path} has no row of numbers, such as `time x y z qx qy qz qw`")


def _numbers(line: str) -> list[float]:
    """The numbers that a line begins with."""
    found = []
    for word in _SEPARATORS.split(line):
        if not word:
            continue
        try:
            found.append(float(word))
        except ValueError:
            break
    return found


def _read_text(key: str, path: Path) -> str:
    if not path.is_file():
        raise DataError(f"{key}: {path}: there is no such file")
    if path.stat().st_size > _MOST_TEXT_BYTES:
        raise DataError(f"{key}: {path} is too large for a text")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{key}: {path} cannot be read: {error.strerror}") from error
    try:
        text = content.decode("utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{key}: {path} is no text") from error
    if not text.strip():
        raise DataError(f"{key}: {path} is empty")
    return text


def _fault(
    path: Path, beginning: re.Pattern[bytes], otherwise: str, *, to_its_end: bool = False
) -> str | None:
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
            if not head:
                return "is empty"
            if not beginning.match(head):
                return f"{otherwise}, by how it begins"
            file.seek(0)
            return "is cut off" if to_its_end and is_cut_off(file) else None
    except OSError as error:
        return f"cannot be read: {error.strerror}"


def _some(words: Sequence[str]) -> str:
    more = f" and {len(words) - 3} more" if len(words) > 3 else ""
    return ", ".join(words[:3]) + more
