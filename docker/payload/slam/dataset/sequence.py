"""Image sequences as they lie on disk: TUM RGB-D folders and plain folders of images."""

from __future__ import annotations

import difflib
import math
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from slam.dataset.camera import CALIBRATION, Intrinsics, read_calibration, tum_intrinsics
from slam.errors import InputError
from slam.text import read_lines

SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff"})
FRAME_LIST = "rgb.txt"
GROUND_TRUTH = "groundtruth.txt"
FEWEST_FRAMES = 3


@dataclass(frozen=True, kw_only=True)
class Frame:
    """An image file and its timestamp, letter by letter as it stands in the dataset."""

    stamp: str
    path: Path


@dataclass(frozen=True, kw_only=True)
class Units:
    """The words for a trajectory's unit of length and for its timestamps."""

    length: str
    time: str


@dataclass(frozen=True, kw_only=True)
class Sequence:
    """Images of one camera in order, and what is known of them.

    ``is_video`` says that neighbours in order are neighbours in space. ``intrinsics`` are ``None`` where
    nothing says what the camera is. ``unit`` is what the ground truth is measured in.
    """

    name: str
    frames: tuple[Frame, ...]
    width: int
    height: int
    is_video: bool
    intrinsics: Intrinsics | None
    groundtruth: Path | None
    units: Units

    @property
    def stamps(self) -> tuple[str, ...]:
        """The timestamps of all frames."""
        return tuple(frame.stamp for frame in self.frames)

    @property
    def length(self) -> int:
        """The number of frames."""
        return len(self.frames)


def find_folder(root: Path, dataset: str, sequence: str | None = None) -> Path:
    """The folder of a dataset, or of a sequence within it.

    Raises:
        InputError: it is not there; the message says what is.
    """
    remedy = f"`invoke stage FOLDER --name {dataset}` brings it to the cluster"
    folder = _child(root, dataset, "dataset", remedy)
    if sequence is None:
        return folder
    return _child(folder, sequence, "sequence", "a sequence is a folder in the dataset")


def _child(parent: Path, name: str, kind: str, remedy: str) -> Path:
    if (parent / name).is_dir():
        return parent / name
    if not parent.is_dir():
        raise InputError(f"{kind} {name!r}: the folder {parent} it should be in does not exist; {remedy}")
    there = [path.name for path in list_folder(parent) if path.is_dir() and not path.name.startswith(".")]
    near = difflib.get_close_matches(name, there, n=1)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    listed = ", ".join(there[:20]) + (", …" if len(there) > 20 else "")
    raise InputError(
        f"{kind} {name!r} is not in {parent}{hint}, which has {listed or 'no folders at all'}; {remedy}"
    )


def list_folder(folder: Path) -> list[Path]:
    """What is in a folder, in the order of names.

    Raises:
        InputError: it cannot be read.
    """
    try:
        return sorted(folder.iterdir(), key=lambda path: path.name)
    except OSError as error:
        raise InputError(f"{folder}: it cannot be read ({error.strerror})") from error


def _exists(path: Path) -> bool:
    """Whether something is there; a link that leads nowhere is not."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise InputError(f"{path}: it cannot be looked at ({error.strerror})") from error
    return True


def read_sequence(folder: Path, *, stride: int = 1, t0: int = 0, max_frames: int | None = None) -> Sequence:
    """Read what a folder holds: every ``stride``-th image, from place ``t0`` on, at most ``max_frames``.

    A folder with ``rgb/`` or ``rgb.txt`` is a TUM RGB-D sequence, whose cameras are known from ``calib.txt``
    or its name. In any other the images lie in ``images/`` or the folder itself, are taken in name order,
    and have their place in it, from 0, as timestamp.

    Raises:
        InputError: a file in it is missing, unreadable or malformed, or too few images are left.
    """
    is_video = is_tum(folder)
    every = read_frame_list(folder) if is_video else list_images(folder)
    frames = every[::stride][t0:][:max_frames]
    if len(frames) < FEWEST_FRAMES:
        raise InputError(
            f"{folder}: {len(frames)} of {len(every)} images are taken, and at least {FEWEST_FRAMES} are "
            "needed; use a smaller --stride or a larger --max-frames, or add images"
        )
    width, height = _common_size(frames)
    groundtruth = folder / GROUND_TRUTH
    sequence = Sequence(
        name=folder.name,
        frames=frames,
        width=width,
        height=height,
        is_video=is_video,
        intrinsics=None,
        groundtruth=groundtruth if _exists(groundtruth) else None,
        units=units_of(folder),
    )
    return replace(sequence, intrinsics=_find_intrinsics(folder, sequence))


def is_tum(folder: Path) -> bool:
    """True where a folder is laid out as the TUM RGB-D benchmark's are."""
    return _exists(folder / FRAME_LIST) or _exists(folder / "rgb")


def units_of(folder: Path) -> Units:
    """What a folder's ground truth is measured in; outside TUM folders its scale is not known."""
    if is_tum(folder):
        return Units(length="m", time="s")
    return Units(length="units", time="place in name order")


def _find_intrinsics(folder: Path, sequence: Sequence) -> Intrinsics | None:
    known = tum_intrinsics(folder.resolve().name) if sequence.is_video else None
    if not _exists(folder / CALIBRATION) and (known is not None or not sequence.is_video):
        return known
    return read_camera(folder, (sequence.width, sequence.height))


def read_camera(folder: Path, size: tuple[int, int]) -> Intrinsics:
    """The camera that a folder's ``calib.txt`` describes, for images of ``size`` (width, height) in pixels.

    Raises:
        InputError: the file is missing, malformed or for images of another size.
    """
    path = folder / CALIBRATION
    if not _exists(path):
        by_name = ", or keep freiburg1, freiburg2 or freiburg3 in the folder's name" if is_tum(folder) else ""
        raise InputError(
            f"{folder}: the camera is unknown; write `fx fy cx cy [k1 k2 p1 p2 [k3]]` to {path}{by_name}"
        )
    intrinsics = read_calibration(path)
    if not (0 < intrinsics.cx < size[0] and 0 < intrinsics.cy < size[1]):
        raise InputError(
            f"{path}: the principal point ({intrinsics.cx:g}, {intrinsics.cy:g}) is outside the "
            f"{size[0]}x{size[1]} images; scale it to their size"
        )
    return intrinsics


def read_frame_list(folder: Path, name: str = FRAME_LIST) -> tuple[Frame, ...]:
    """The images that a list in a TUM folder names, in its order: ``timestamp filename`` on each line.

    https://cvg.cit.tum.de/data/datasets/rgbd-dataset/file_formats

    Raises:
        InputError: the list or an image in it is missing, or its timestamps are not in order.
    """
    path = folder / name
    if not _exists(path):
        raise InputError(f"{path} is missing; it holds `timestamp filename` for each image in {path.stem}/")
    frames: list[Frame] = []
    for number, line in read_lines(path):
        frame = _parse_frame(line, folder, f"{path}:{number}")
        if frames and float(frame.stamp) <= float(frames[-1].stamp):
            raise InputError(
                f"{path}:{number}: {frame.stamp} is not after {frames[-1].stamp}; sort the lines by their "
                "timestamps, and keep one for each"
            )
        frames.append(frame)
    if not frames:
        raise InputError(
            f"{path}: no image in it; it holds `timestamp filename` for each image in {path.stem}/"
        )
    return tuple(frames)


def _parse_frame(line: str, folder: Path, place: str) -> Frame:
    stamp, *name = line.split(maxsplit=1)
    try:
        seconds = float(stamp)
    except ValueError:
        seconds = math.nan
    if not math.isfinite(seconds) or not name:
        raise InputError(f"{place}: {line!r}; expected `timestamp filename`")
    path = folder / name[0]
    if not _exists(path):
        raise InputError(
            f"{place}: the image {path} does not exist; stage all of {folder.name}, or correct the list"
        )
    return Frame(stamp=stamp, path=path)


def list_images(folder: Path) -> tuple[Frame, ...]:
    """The images in ``images/`` or in the folder itself, in name order; their places are their timestamps.

    Raises:
        InputError: there are none.
    """
    inner = folder / "images"
    place = inner if inner.is_dir() else folder
    there = list_folder(place)
    paths = [path for path in there if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")]
    if not there:
        raise InputError(f"{place}: it is empty; stage a folder with images in it")
    if not paths:
        folders = [path.name for path in there if path.is_dir()][:20]
        hint = f"choose one of its folders with --sequence: {', '.join(folders)}"
        raise InputError(
            f"{place}: no images ({', '.join(sorted(SUFFIXES))}) in it; "
            + (hint if folders else "stage a folder with images in it")
        )
    return tuple(Frame(stamp=f"{place:.1f}", path=path) for place, path in enumerate(paths))


def _common_size(frames: tuple[Frame, ...]) -> tuple[int, int]:
    """Width and height of all images in pixels; each is decoded, so that a broken one is found early."""
    first = _size(frames[0].path)
    for frame in frames[1:]:
        size = _size(frame.path)
        if size != first:
            raise InputError(
                f"{frame.path} is {size[0]}x{size[1]}, but {frames[0].path.name} is {first[0]}x{first[1]}; "
                "one sequence is one camera with images of one size"
            )
    return first


def _size(path: Path) -> tuple[int, int]:
    try:
        with Image.open(path) as image:
            image.load()
            return image.size
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError, SyntaxError, ValueError) as error:
        raise InputError(f"{path}: not a readable image ({error}); replace it or take it out") from error
