"""Output files that are either whole or not there."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from slam.errors import OutputError

TRAJECTORY = "trajectory.tum"
CLOUD = "cloud.ply"
SUMMARY = "summary.json"
FIGURE = "trajectory.png"
FIGURES = (FIGURE, "trajectory.svg", "trajectory.pdf")
ERRORS = "errors.csv"
ATE = "ate.json"
RPE = "rpe.json"
KEYFRAMES = "keyframes.tum"
TRUTH = "groundtruth.tum"
RECONSTRUCTION = "reconstruction.npz"
PTH = "reconstruction.pth"
VIEW = "cloud.png"
KITTI = "trajectory.kitti"
EUROC = "trajectory.csv"
POSES = "poses.csv"
CAMERAS = "cameras.ply"
TRANSFORMS = "transforms.json"
RECORDING = "scene.rrd"
# Folders.
MODELS = "sparse"
UNDISTORTED = "undistorted"
MASKS = "masks"
# Of a comparison with the truth.
COMPARED = (ATE, RPE, ERRORS, *FIGURES)
NAMES = (
    TRAJECTORY,
    CLOUD,
    *COMPARED,
    KEYFRAMES,
    TRUTH,
    RECONSTRUCTION,
    PTH,
    VIEW,
    KITTI,
    EUROC,
    POSES,
    CAMERAS,
    TRANSFORMS,
    RECORDING,
    MODELS,
    UNDISTORTED,
    MASKS,
    SUMMARY,  # the last to be removed: by it a folder is known to be ours
)
# With less than this on a disk it is as good as full.
_PROBE_BYTES = 8_000_000


def prepare_folder(folder: Path, names: tuple[str, ...]) -> None:
    """Make the output folder and take away the earlier results that have these names.

    A run that fails must not leave an earlier run's results standing as its own.

    Raises:
        OutputError: the folder cannot be made or written to, or has a folder with such a name that no
            earlier run has made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in names:
            _remove(folder / name)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise OutputError(
            f"the output folder {folder} cannot be written to ({error.strerror}); name another with --out"
        ) from error


def _remove(path: Path) -> None:
    """Take an earlier result away, a file or a folder.

    Raises:
        OutputError: it is a folder beside which there is no summary: somebody's own.
    """
    if not path.is_dir() or path.is_symlink():
        path.unlink(missing_ok=True)
    elif (path.parent / SUMMARY).is_file():
        shutil.rmtree(path)
    else:
        raise OutputError(
            f"{path} is there and is no earlier result, and the results need its name; move it, or name "
            "another folder with --out"
        )


@contextmanager
def together(folder: Path) -> Iterator[Path]:
    """Yield a folder for files; they get their places in ``folder`` together, once the block has ended well.

    Raises:
        OutputError: they cannot be written.
    """
    try:
        part = Path(tempfile.mkdtemp(prefix=".slam-part-", dir=folder))
        try:
            yield part
            for path in part.iterdir():
                path.replace(folder / path.name)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    except OSError as error:
        raise OutputError(
            f"the results cannot be written to {folder} ({error.strerror}), so none of them are there; "
            "make room, or name another folder with --out"
        ) from error


def adopt(files: Mapping[str, Path], folder: Path) -> None:
    """Move files from wherever they were made into ``folder``, under their new names."""
    for name, path in files.items():
        shutil.move(path, folder / name)


def carry(folder: Path, to: Path) -> None:
    """Copy another attempt's folder of results, as a whole.

    Raises:
        OutputError: it cannot be copied.
    """
    try:
        to.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=".slam-part-", dir=to.parent))
        try:
            shutil.copytree(folder, part, dirs_exist_ok=True)
            shutil.rmtree(to, ignore_errors=True)
            part.replace(to)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    except OSError as error:
        raise OutputError(
            f"what the last attempt left in {folder} cannot be copied to {to} "
            f"({error.strerror or error}); make room, or name another folder with --out"
        ) from error


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; rename it to ``path`` once the block has ended well."""
    part = path.with_name(f".{path.name}.part{path.suffix}")
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def write_json(path: Path, values: Mapping[str, object]) -> None:
    """Write a JSON file for people and programs: indented, in the order given, numbers unrounded."""
    with replacing(path) as part:
        part.write_text(json.dumps(values, indent=2, allow_nan=False) + "\n", encoding="utf-8")


@contextmanager
def workspace(folder: Path) -> Iterator[Path]:
    """Yield a folder for intermediate files that is removed afterwards.

    It lies in ``$TMPDIR`` where that is set, else in ``folder``: in a container /tmp may be read-only or a
    few megabytes of memory, and the features of a long sequence take gigabytes. Set TMPDIR to a local disk
    where the output folder's file system has no file locks, which SQLite needs.

    Raises:
        OutputError: it cannot be made.
    """
    parent = Path(os.environ.get("TMPDIR") or folder)
    try:
        path = Path(tempfile.mkdtemp(prefix=".slam-work-", dir=parent))
    except OSError as error:
        raise OutputError(_no_room(parent, error)) from error
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def require_room(workspace: Path) -> None:
    """Find out whether a library failed because it could not write its intermediate files.

    Raises:
        OutputError: they cannot be written.
    """
    try:
        with tempfile.TemporaryFile(dir=workspace) as file:
            file.write(bytes(_PROBE_BYTES))
    except OSError as error:
        raise OutputError(_no_room(workspace.parent, error)) from error


def _no_room(folder: Path, error: OSError) -> str:
    return (
        f"intermediate files cannot be written to {folder} ({error.strerror}); make room, or name another "
        "folder in TMPDIR"
    )
