"""Checkpoints: all that a training needs to go on as if it had never stopped.

A checkpoint ``NAME_STEP.ckpt`` is either whole or not there. Beside it lies ``NAME_STEP.pth``, the weights
alone as upstream's train.py saves them, for inference and for other trainings to begin from.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from slam.errors import InputError, OutputError
from slam.output.results import replacing
from slam.progress import say

FOLDER = "checkpoints"
_FORMAT = 1
_NAME = re.compile(r".*_(\d+)\.ckpt\Z")


def path_of(folder: Path, name: str, step: int) -> Path:
    """Where the checkpoint of a step is kept."""
    return folder / f"{name}_{step:06d}.ckpt"


def save(
    folder: Path, name: str, step: int, state: Mapping[str, Any], weights: Mapping[str, Any], keep: int
) -> Path:
    """Write a checkpoint and its weights, read it again, and only then take away all but the newest ``keep``.

    Those of later steps go as well: they are broken, or the training has gone back to before them.

    Raises:
        OutputError: it cannot be written; what was there before is still there.
    """
    path = path_of(folder, name, step)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write(path.with_suffix(".pth"), weights)
        write(path, {"format": _FORMAT, "step": step, **state})
        good = is_whole(path)
    except OSError as error:
        raise OutputError(
            f"{path}: the checkpoint cannot be written ({error.strerror}); make room, then go on with "
            f"--resume {folder.parent}"
        ) from error
    if not good:
        path.unlink()
        raise OutputError(
            f"{path}: the disk did not keep what was written to it; name another folder with --out"
        )
    paths = find(folder)
    place = paths.index(path)
    for old in [*paths[:place], *paths[place + keep :]]:
        old.unlink(missing_ok=True)
        old.with_suffix(".pth").unlink(missing_ok=True)
    return path


def write(path: Path, values: Mapping[str, Any]) -> None:
    """Write what ``torch.save`` makes of it to the disk itself, and only then under its name."""
    import torch

    buffer = io.BytesIO()
    torch.save(values, buffer)
    with replacing(path) as part, part.open("wb") as file:
        file.write(buffer.getbuffer())
        file.flush()
        os.fsync(file.fileno())
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def is_whole(path: Path) -> bool:
    """True if nothing of a file is missing or changed: ``torch.save`` writes zip files, with checksums."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except (OSError, zipfile.BadZipFile, EOFError):
        return False


def find(folder: Path) -> list[Path]:
    """The checkpoints in a folder, the newest first."""
    found = [(step_of(path), path) for path in folder.glob("*.ckpt") if _NAME.match(path.name)]
    return [path for _, path in sorted(found, reverse=True)]


def step_of(path: Path) -> int:
    """The step of a checkpoint, by its name; -1 where the name does not say it."""
    match = _NAME.match(path.name)
    return int(match[1]) if match else -1


def load(path: Path) -> dict[str, Any]:
    """Read a checkpoint; nothing in it is run as code.

    Raises:
        InputError: it is not there, broken, or something else.
    """
    import torch

    if not path.is_file():
        raise InputError(f"{path}: there is no such checkpoint; see --resume")
    if not is_whole(path):
        raise InputError(f"{path}: this checkpoint is broken, for part of it is missing or changed")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise InputError(f"{path}: not a checkpoint of this program ({_first_line(error)})") from error
    if not isinstance(state, dict) or state.get("format") != _FORMAT:
        raise InputError(
            f"{path}: not a checkpoint of this program; weights are for --ckpt, not for --resume"
        )
    return state


def load_newest(place: Path) -> tuple[Path, dict[str, Any]] | None:
    """The newest whole checkpoint in an output folder or its checkpoints; ``None`` where none ever was.

    Raises:
        InputError: there are some, and all are broken.
    """
    paths = find(place / FOLDER) or find(place)
    for path in paths:
        try:
            return path, load(path)
        except InputError as error:
            problem = error
            say(f"resume     {error}; the one before it is tried")
    if paths:
        raise InputError(
            f"{place}: all {len(paths)} checkpoints in it are broken; begin anew in another --out"
        ) from problem
    return None


def choose(resume: Path | None, previous: Path | None) -> tuple[Path, dict[str, Any]] | None:
    """The checkpoint to go on from: the last attempt's newest, else the file or the folder that was named.

    What was named is where the first attempt began, and the last one has come further.

    Raises:
        InputError: what was named is not there or broken.
    """
    found = load_newest(previous) if previous else None
    if found is not None or resume is None:
        return found
    if not resume.is_dir():
        return resume, load(resume)
    found = load_newest(resume)
    if found is None:
        raise InputError(
            f"{resume}: no checkpoint in it; name a checkpoint, or the output folder of a training"
        )
    return found


def require_newest(path: Path, folder: Path) -> None:
    """Make sure that going on from a checkpoint overwrites no later ones in the output's folder of them.

    Raises:
        InputError: it would.
    """
    later = [other for other in find(folder) if step_of(other) > step_of(path) and is_whole(other)]
    if later:
        raise InputError(
            f"{path}: {folder} holds checkpoints of later steps, such as {later[0].name}; name another "
            "folder with --out"
        )


def carry(source: Path, folder: Path) -> Path:
    """Copy a checkpoint and its weights to where the next attempt looks for them, and no further back.

    Raises:
        OutputError: it cannot be written.
    """
    target = folder / source.name
    if target.exists() and target.samefile(source):
        return target
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for suffix in (".pth", ".ckpt"):
            if source.with_suffix(suffix).exists():
                with replacing(target.with_suffix(suffix)) as part:
                    shutil.copyfile(source.with_suffix(suffix), part)
    except OSError as error:
        raise OutputError(f"{target}: the checkpoint cannot be copied here ({error.strerror})") from error
    return target


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
