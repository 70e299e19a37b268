"""The scenes of a dataset: its folder may be a scene itself or have scenes in it at any depth."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from slam.errors import InputError
from slam.progress import say
from slam.train.scene import Scene, read_scene


def find_scenes(
    data: Path,
    *,
    layout: str,
    names: Sequence[str],
    holdout: Sequence[str],
    reserved: Sequence[str],
    depth_scale: float | None,
) -> list[Scene]:
    """All scenes of a dataset in the order of their names, what is held out left out.

    Args:
        data: the dataset's folder.
        layout: one of ``options.LAYOUTS``.
        names: where there are any, only scenes are taken whose name has one of them in it.
        holdout: scenes are left out whose name has one of these in it.
        reserved: scenes are left out whose whole path has one of these in it, as upstream does with its test
            scenes.
        depth_scale: what a 16-bit depth of one metre is, where no scene says it.

    Raises:
        InputError: there are none, or the files of one do not belong together.
    """
    if not data.is_dir():
        raise InputError(f"{data}: there is no such folder; name the dataset's with --dataset or --datapath")
    found = _find_folders(data, layout)
    wanted = [item for item in found if _wanted(_path(item[1], data), names, holdout)]
    chosen = [item for item in wanted if not _has(item[1].absolute().as_posix(), reserved)]
    if len(chosen) < len(wanted):
        say(f"left out   {len(wanted) - len(chosen)} scenes that upstream keeps for tests")
    if not chosen:
        raise InputError(
            f"{data}: {len(found)} scenes, and none of them is wanted; see --scenes and --holdout"
            if found
            else f"{data}: no scene in it; a scene is a folder with image_left/, depth_left/ and "
            "pose_left.txt (TartanAir), or with images/, depths/, poses.txt and calib.txt; see "
            "docs/droid-slam.md, Training"
        )
    return [read_scene(folder, kind, _name(folder, data), depth_scale) for kind, folder in chosen]


def _name(folder: Path, data: Path) -> str:
    return folder.name if folder == data else folder.relative_to(data).as_posix()


def _path(folder: Path, data: Path) -> str:
    # What is held out may begin with the dataset's own folder.
    return f"{data.name}/{_name(folder, data)}"


def _wanted(path: str, names: Sequence[str], holdout: Sequence[str]) -> bool:
    return (not names or _has(path, names)) and not _has(path, holdout)


def _has(path: str, names: Sequence[str]) -> bool:
    return any(name in path for name in names)


def _find_folders(data: Path, layout: str) -> list[tuple[str, Path]]:
    """Folders with a scene in them, and its layout; what lies in a scene is not looked at.

    A folder that links lead to again, such as one that leads to a folder around it, counts once.
    """
    found: list[tuple[str, Path]] = []
    seen: set[str] = set()

    def fail(error: OSError) -> None:
        raise InputError(f"{error.filename}: it cannot be read ({error.strerror})") from error

    for path, folders, files in os.walk(data, onerror=fail, followlinks=True):
        if (real := os.path.realpath(path)) in seen:
            folders.clear()
            continue
        seen.add(real)
        kind = None
        if "image_left" in folders or "pose_left.txt" in files:
            kind = "tartanair"
        elif "images" in folders or "poses.txt" in files:
            kind = "footage"
        if kind is not None:
            folders.clear()
        folders[:] = sorted(folder for folder in folders if not folder.startswith("."))
        if kind is not None and layout in ("auto", kind):
            found.append((kind, Path(path)))
    return sorted(found, key=lambda item: item[1])
