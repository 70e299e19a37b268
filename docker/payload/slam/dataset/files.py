"""Which files are in a dataset's folders."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path

from slam.errors import InputError

SUFFIXES = frozenset(
    {
        ".avif", ".bmp", ".heic", ".heif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp",
    }
)  # fmt: skip
VIDEOS = frozenset({".3gp", ".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".webm"})
MASKS = "masks"
BAGS = frozenset({".bag", ".mcap"})
# The number of a time may have a fraction.
_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)?")
# Before, in and after the only number of a name.
_ONE_NUMBER = re.compile(r"([^0-9]*)([0-9]+(?:\.[0-9]+)?)([^0-9]*)")


def find_folder(root: Path, dataset: str, sequence: str | None = None) -> Path:
    """The folder of a dataset, or of a sequence within it; either may be a video or a bag, too.

    Raises:
        InputError: it is not there; the message says what is.
    """
    remedy = f"`invoke stage FOLDER --name {dataset}` brings it to the cluster"
    folder = _child(root, dataset, "dataset", remedy)
    if sequence is None:
        return folder
    return _child(folder, sequence, "sequence", "a sequence is a folder in the dataset")


def _child(parent: Path, name: str, kind: str, remedy: str) -> Path:
    if (parent / name).is_dir() or is_video(parent / name) or is_bag(parent / name):
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


def sort_images(paths: Iterable[Path]) -> tuple[Path, ...]:
    """Files in the order of the numbers in their names: ``frame2.png`` comes before ``frame10.png``.

    Where names differ in one number alone, it may have a fraction, as times do: ``1.25.png`` comes before
    ``1.5.png``.
    """
    found = tuple(paths)
    matches = [_ONE_NUMBER.fullmatch(path.stem) for path in found]
    numbers = [Decimal(match[2]) for match in matches if match]
    if len(numbers) == len(found) and len({(match[1], match[3]) for match in matches if match}) == 1:
        ordered = sorted(zip(numbers, (path.name for path in found), found, strict=True))
        return tuple(path for _, _, path in ordered)
    return tuple(sorted(found, key=lambda path: (_split_numbers(path.name), path.name)))


def _split_numbers(name: str) -> list[str | int]:
    """Text and numbers in turn; the first is text."""
    parts = re.split(r"([0-9]+)", name)
    return [int(part) if place % 2 else part for place, part in enumerate(parts)]


def are_numbered(paths: Iterable[Path]) -> bool:
    """Whether names differ in one number alone, which may have a fraction, as a video's frames do."""
    stems = [path.stem for path in paths]
    texts = {_NUMBER.sub("#", stem) for stem in stems}
    columns = zip(*(_NUMBER.findall(stem) for stem in stems), strict=False)
    return len(texts) == 1 and sum(len(set(column)) > 1 for column in columns) == 1


def describe_order(paths: tuple[Path, ...]) -> tuple[str, ...]:
    """A note where the order of images is another than that of their names' letters."""
    by_letters = sorted(paths, key=lambda path: path.name)
    for place, (path, other) in enumerate(zip(paths, by_letters, strict=True)):
        if path != other:
            note = (
                f"images are in the order of the numbers in their names: {path.name} is number {place}, "
                f"where the order of letters has {other.name}"
            )
            return (note,)
    return ()


def list_files(folder: Path, *suffixes: str) -> tuple[Path, ...]:
    """The files of these kinds in a folder, in the order of their numbers; none where there is no folder.

    Raises:
        InputError: the folder cannot be read.
    """
    if not folder.is_dir():
        return ()
    there = list_folder(folder)
    return sort_images(path for path in there if path.suffix in suffixes and not path.name.startswith("."))


def holds_folders(there: Iterable[Path]) -> bool:
    """Whether there are folders in a folder, other than that of masks."""
    return any(path.is_dir() and path.name != MASKS for path in there)


def is_video(path: Path) -> bool:
    """True where a path is that of a file that is called as videos are."""
    return path.suffix.lower() in VIDEOS and path.is_file()


def is_bag(path: Path) -> bool:
    """True where a path is that of a file that is called as bags of ROS are."""
    return path.suffix.lower() in BAGS and path.is_file()


def exists(path: Path) -> bool:
    """Whether something is there; a link that leads nowhere is not.

    Raises:
        InputError: it cannot be looked at.
    """
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise InputError(f"{path}: it cannot be looked at ({error.strerror})") from error
    return True
