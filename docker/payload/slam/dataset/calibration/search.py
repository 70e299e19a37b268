"""Which calibration a sequence has: beside its images, or in a folder above them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from slam.dataset.calibration.catalog import CameraFile, read_cameras, read_content, read_file
from slam.dataset.calibration.document import PARSERS
from slam.dataset.calibration.fit import agree, take
from slam.dataset.calibration.known import KnownCamera
from slam.dataset.calibration.line import read_calibration
from slam.dataset.camera import CALIBRATION, Intrinsics
from slam.dataset.files import exists, list_folder
from slam.errors import InputError

# What calibrations are called. YAML is looked into whatever its name is: ORB-SLAM's are called after cameras.
_TEXT = re.compile(r"(calib|calibration|cameras?|(camera_)?intrinsics?|((cam_?)?K))\.txt", re.IGNORECASE)
_NAMED = re.compile(
    r"(.*calib.*|.*camera.*|.*camchain.*|.*intrinsics?.*|cam\d*|sensor|ost|transforms)\.(ya?ml|json|xml|toml|ini)",
    re.IGNORECASE,
)
_YAML = (".yaml", ".yml")
# More YAML files than this in a folder are something else, such as labels; larger ones as well.
_MOST_FILES, _MOST_BYTES = 20, 1_000_000


def published(camera: Intrinsics, dataset: str, places: Sequence[Path]) -> KnownCamera:
    """The camera that a dataset's authors have published; what else lies in ``places`` is noted."""
    unread = _describe_unread([path for place in places for path in _list_named(place)])
    return KnownCamera(
        intrinsics=camera,
        source=f"published for {dataset}",
        notes=tuple(f"{note}; the published camera is used" for note in unread),
    )


def find_camera(
    folder: Path, size: tuple[int, int], top: Path | None, places: Sequence[Path] = (), rig: str = ""
) -> KnownCamera:
    """The camera of a sequence, for images of ``size`` (width, height) in pixels.

    Its own ``calib.txt`` goes before all others, then comes what lies in ``places`` (its folder and
    ``images/`` in it), then the nearest folder above that has a calibration, up to ``top``, its dataset's.
    ``rig`` is the folder in it that has the images of one of several cameras.

    Raises:
        InputError: its own calibrations are malformed, for other images, or of two cameras. One above that
            is so is noted, and not used.
    """
    places = [place for place in (*places, folder, folder / "images") if place.is_dir()]
    named = {path: None for place in places for path in _list_named(place)}
    own = folder / CALIBRATION
    files = [read_own(own)] if exists(own) else _read_all(places)
    unread = _describe_unread(path for path in named if path not in {file.path for file in files})
    if files:
        known = agree(files, folder / rig, size)
        return replace(known, notes=(*known.notes, *unread))
    known = _find_above(folder / rig, size, top)
    return replace(known, notes=(*unread, *known.notes))


def read_camera(path: Path, size: tuple[int, int]) -> KnownCamera:
    """The camera in the one file of a folder that a dataset's sequences have; others there are noted.

    Raises:
        InputError: it is malformed, or for other images.
    """
    folder = path.parent
    known = take(read_own(path), folder, size)
    unread = _describe_unread(other for other in _list_named(folder) if other != path)
    return replace(known, notes=(*known.notes, *unread))


def read_own(path: Path) -> CameraFile:
    """A ``calib.txt``, of whichever format.

    Raises:
        InputError: it is of none, or malformed.
    """
    found = read_file(path)
    if found is None:
        read_calibration(path)  # its message says what is wrong
        raise InputError(f"{path}: no camera in it")
    return found


def _find_above(folder: Path, size: tuple[int, int], top: Path | None) -> KnownCamera:
    parents = folder.parents[: folder.parents.index(top) + 1] if top in folder.parents else ()
    for parent in parents:
        try:
            files = _read_all([parent])
            if files:
                return agree(files, folder, size)
        except InputError as error:
            note = f"the calibration in {parent}, above the sequence, is not used: {error}"
            return KnownCamera(notes=(note,))
    return KnownCamera()


def _read_all(places: Iterable[Path]) -> list[CameraFile]:
    """The calibrations in some folders.

    Raises:
        InputError: a file is malformed that is called as calibrations are, or of a known format.
    """
    found: list[CameraFile] = []
    for path in (path for place in places for path in _list_candidates(place)):
        try:
            content = read_content(path)
        except InputError:
            if not _is_named(path):
                continue
            raise
        read = read_cameras(content)
        if read is not None:
            found.append(read)
    return found


def _list_candidates(place: Path) -> list[Path]:
    files = [path for path in list_folder(place) if not path.name.startswith(".")]
    yaml = [path for path in files if path.suffix.lower() in _YAML]
    others = yaml if len(yaml) <= _MOST_FILES else []
    fitting = (path for path in files if _is_read(path) or path in others)
    return [path for path in fitting if path.is_file() and path.stat().st_size <= _MOST_BYTES]


def _list_named(place: Path) -> list[Path]:
    if not place.is_dir():
        return []
    return [path for path in list_folder(place) if _is_named(path) and path.is_file()]


def _is_named(path: Path) -> bool:
    return bool(_TEXT.fullmatch(path.name) or _NAMED.fullmatch(path.name))


def _is_read(path: Path) -> bool:
    return _is_named(path) and path.suffix.lower() in (*PARSERS, ".txt")


def _describe_unread(paths: Iterable[Path]) -> tuple[str, ...]:
    there = ", ".join(map(str, paths))
    return (f"seen and not read: {there}",) if there else ()
