"""The formats of calibration files that are read, and a file by whichever it is of."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from slam.dataset.calibration import colmap, kalibr, kitti, line, opencv, orbslam
from slam.dataset.calibration.document import PARSERS
from slam.dataset.calibration.form import Calibration, Content, Form, place_origin
from slam.errors import InputError
from slam.text import read_lines, read_text

FORMS = (colmap.FORM, kitti.FORM, line.FORM, kalibr.FORM, kalibr.SENSOR, orbslam.FORM, opencv.FORM)


@dataclass(frozen=True, kw_only=True)
class CameraFile:
    """A calibration file that was read, and its cameras, whose ``cx cy`` count from the image's corner."""

    path: Path
    form: Form
    cameras: tuple[Calibration, ...]


def read_file(path: Path) -> CameraFile | None:
    """The cameras in a file; ``None`` where it is of no known format.

    Raises:
        InputError: it cannot be read, or is of a known format and not as that has it.
    """
    return read_cameras(read_content(path))


def read_cameras(content: Content) -> CameraFile | None:
    """The cameras in a file's content; ``None`` where it is of no known format.

    Raises:
        InputError: it is of a known format, and not as that has it.
    """
    form = next((form for form in FORMS if form.holds(content)), None)
    if form is None:
        return None
    cameras = tuple(replace(one, camera=place_origin(one.camera, form.origin)) for one in form.read(content))
    return CameraFile(path=content.path, form=form, cameras=cameras)


def read_content(path: Path) -> Content:
    """What is in a file, for a format to look at.

    Raises:
        InputError: it cannot be read, or is not the YAML, XML or JSON that its name says.
    """
    parse = PARSERS.get(path.suffix.lower())
    if parse is None:
        return Content(path=path, lines=tuple(read_lines(path)))
    try:
        table = parse(read_text(path))
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{path}: not readable as {path.suffix[1:].upper()} ({error}); correct it, or take it out"
        ) from error
    return Content(path=path, table=table if isinstance(table, dict) else {})
