"""Scenes: the paths and the cloud in one folder of a run's output, and how the viewer is handed them."""

from __future__ import annotations

import base64
import re
import sys
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import hypot
from typing import Any

from slipway.page.found import File, Found
from slipway.page.read.align import IDENTITY, Error, Point, Rotation, Similarity, compare, rotation_of
from slipway.page.read.figures import Figures
from slipway.page.read.ply import Cloud, read_ply
from slipway.page.read.tum import Path3, read_tum
from slipway.text.wording import one_line

_TRUTH = re.compile(r"ground[ _-]?truth|(^|[_.-])gt($|[_.-])|truth", re.IGNORECASE)
_KEYFRAMES = re.compile(r"key[ _-]?frame", re.IGNORECASE)
# Of text files those that are called like a trajectory.
_NAMED = re.compile(r"traj|pose|ground[ _-]?truth|key[ _-]?frame", re.IGNORECASE)
_MOST_SCENES = 12
_MOST_PATHS = 8
# A page with so many points has some three megabytes, and a screen has not many more places for them.
MOST_POINTS = 200_000
_MOST_POSES = 6000
# More of them cover the path.
_MOST_FRUSTA = {"keyframes": 160, "estimate": 24}
_ALIGNMENTS = ("sim3", "se3", "origin", "none")


@dataclass(frozen=True, kw_only=True)
class Scene:
    """What lies in one folder.

    Attributes:
        folder: its name; empty for the output folder itself.
        paths: estimates by their files' names without the ending; the first is the one that is compared.
        truth: the ground truth.
        keyframes: poses of keyframes, in the world of the first estimate.
        cloud_file: the cloud's file.
        kind: how the estimate is aligned: as ``ate.json`` says, else ``sim3``.
    """

    folder: str
    paths: dict[str, Path3]
    truth: Path3 | None
    keyframes: Path3 | None
    cloud_file: File | None
    kind: str = "sim3"
    notes: list[str] = field(default_factory=list)

    @property
    def estimate(self) -> Path3 | None:
        """The first estimate."""
        return next(iter(self.paths.values()), None)

    @cached_property
    def error(self) -> Error | None:
        """How far the first estimate is from the truth."""
        return self.errors[0] if self.errors else None

    @cached_property
    def errors(self) -> list[Error | None]:
        """Of each estimate."""
        if self.truth is None:
            return [None for _ in self.paths]
        return [compare(self.truth, path, self.kind) for path in self.paths.values()]

    @property
    def similarity(self) -> Similarity:
        """What lays the first estimate, its keyframes and its cloud upon the truth."""
        return self.error.similarity if self.error else IDENTITY


def find_scenes(found: Found, figures: Sequence[Figures]) -> list[Scene]:
    """The scenes of a run, those with an estimate first."""
    folders: dict[str, list[File]] = {}
    for file in found.shown:
        name = file.name.lower()
        if name.endswith((".tum", ".ply")) or (name.endswith(".txt") and _NAMED.search(file.stem)):
            folders.setdefault(file.folder, []).append(file)
    kinds = {one.name: str(one.values.get("alignment")) for one in figures}
    scenes: list[Scene] = []
    for folder, files in sorted(folders.items(), key=lambda one: (one[0].count("/"), one[0])):
        if len(scenes) == _MOST_SCENES:
            found.notes.append(
                f"more than {_MOST_SCENES} folders have trajectories or clouds; the rest is left out"
            )
            break
        kind = kinds.get(f"{folder}/ate.json" if folder else "ate.json", "sim3")
        scene = _scene(folder, files, kind if kind in _ALIGNMENTS else "sim3", found.notes)
        if scene.paths or scene.truth or scene.keyframes or scene.cloud_file:
            scenes.append(scene)
    return scenes


def _scene(folder: str, files: Sequence[File], kind: str, notes: list[str]) -> Scene:
    paths: dict[str, Path3] = {}
    truth = keyframes = None
    clouds = [file for file in files if file.name.lower().endswith(".ply")]
    if len(clouds) > 1:
        clouds.sort(key=lambda file: "cloud" not in file.stem.lower())
        notes += [f"{one_line(file.name, 200)} is another cloud, and not shown" for file in clouds[1:6]]
    for file in files:
        if file in clouds or len(paths) >= _MOST_PATHS:
            continue
        try:
            path = read_tum(file.path)
        except (OSError, ValueError) as error:
            notes.append(f"{one_line(file.name, 200)} is not shown as a trajectory: {_why(error)}")
            continue
        if path.skipped:
            notes.append(f"{one_line(file.name, 200)}: {path.skipped:,} lines are no poses in order of time")
        if _TRUTH.search(file.stem):
            truth = truth or path
        elif _KEYFRAMES.search(file.stem):
            keyframes = keyframes or path
        else:
            paths[file.stem] = path
    first = next((name for name in paths if name == "trajectory"), None)
    if first:
        paths = {first: paths.pop(first), **paths}
    if not paths and keyframes is not None:
        paths = {"keyframes": keyframes}
    return Scene(
        folder=folder,
        paths=paths,
        truth=truth,
        keyframes=keyframes,
        cloud_file=clouds[0] if clouds else None,
        kind=kind,
    )


def _why(error: Exception) -> str:
    return one_line((error.strerror if isinstance(error, OSError) else None) or str(error), 200)


def read_cloud(scene: Scene, most: int, notes: list[str]) -> Cloud | None:
    """The scene's cloud, of at most so many points; where it cannot be read a note says why."""
    if scene.cloud_file is None:
        return None
    name = one_line(scene.cloud_file.name, 200)
    try:
        cloud = read_ply(scene.cloud_file.path, most)
    except (OSError, ValueError, OverflowError, MemoryError) as error:
        notes.append(f"{name} is not shown as a cloud: {_why(error)}")
        return None
    notes += [f"{name}: {note}" for note in cloud.notes]
    if not len(cloud):
        notes.append(f"{name} has no points")
        return None
    return cloud


@dataclass(frozen=True, kw_only=True)
class Line:
    """A path as the viewer draws it: in the common world."""

    name: str
    role: str
    colour: int
    path: Path3
    error: Error | None = None
    similarity: Similarity = IDENTITY


def lines_of(scene: Scene) -> list[Line]:
    """A scene's paths: the truth, then the estimates."""
    lines = []
    if scene.truth is not None:
        lines.append(Line(name="ground truth", role="truth", colour=-1, path=scene.truth))
    for place, ((name, path), error) in enumerate(zip(scene.paths.items(), scene.errors, strict=True)):
        similarity = error.similarity if error else IDENTITY
        lines.append(
            Line(name=name, role="estimate", colour=place, path=path, error=error, similarity=similarity)
        )
    return lines


def viewer_data(
    name: str, lines: Sequence[Line], *, frusta: Line | None = None, cloud: Cloud | None = None
) -> dict[str, Any]:
    """What the viewer is handed: numbers in base64, about an origin in their midst."""
    placed = next((line for line in lines if len(line.path)), None)
    if placed is not None:
        origin = placed.similarity.apply(placed.path.position(0))
    elif cloud is not None:
        origin = cloud.low
    else:
        origin = (0.0, 0.0, 0.0)
    cloud_world = frusta.similarity if frusta else placed.similarity if placed else IDENTITY
    main = next((line for line in lines if line.role == "estimate"), placed)
    return {
        "name": name,
        "up": _up(main) if main else [0, 0, 1],
        "ahead": _mean_axis(main, 2) if main else None,
        "lines": [_line(line, origin) for line in lines],
        "frusta": _frusta(frusta, origin) if frusta else None,
        "cloud": _cloud(cloud, cloud_world, origin) if cloud else None,
    }


def _line(line: Line, origin: Point) -> dict[str, Any]:
    kept = line.path.thinned(_MOST_POSES)
    values = {
        "name": one_line(line.name, 80),
        "role": line.role,
        "colour": line.colour,
        "points": _floats(
            value - moved
            for index in kept
            for value, moved in zip(line.similarity.apply(line.path.position(index)), origin, strict=True)
        ),
    }
    if line.error:
        by_pose = dict(zip(line.error.poses, line.error.errors, strict=True))
        # A pose without a ground truth has none: -1.
        values["errors"] = _floats(by_pose.get(index, -1.0) for index in kept)
        values["worst"] = max(line.error.errors)
    return values


def _frusta(line: Line, origin: Point) -> dict[str, Any]:
    """Cameras: for each its centre, and the directions right, down and ahead."""
    numbers: list[float] = []
    for index in line.path.thinned(_MOST_FRUSTA[line.role]):
        centre = line.similarity.apply(line.path.position(index))
        numbers += [value - moved for value, moved in zip(centre, origin, strict=True)]
        turned = _turned(line.similarity.rotation, _rotation(line.path, index))
        numbers += [turned[row][column] for column in range(3) for row in range(3)]
    return {"name": one_line(line.name, 80), "numbers": _floats(numbers)}


def _rotation(path: Path3, index: int) -> Rotation:
    x, y, z, w = path.quaternions[4 * index : 4 * index + 4]
    return rotation_of(w, x, y, z)


def _turned(a: Rotation, b: Rotation) -> list[list[float]]:
    return [[sum(a[i][k] * b[k][j] for k in range(3)) for j in range(3)] for i in range(3)]


def _up(line: Line) -> list[float]:
    """Where up is: against the mean of where the cameras have down, along an axis that is near it."""
    down = _mean_axis(line, 1)
    size = hypot(*down)
    if size < 0.3:
        return [0, 0, 1]
    up = [-value / size for value in down]
    axis = max(range(3), key=lambda one: abs(up[one]))
    if abs(up[axis]) > 0.85:
        up = [float((value > 0) - (value < 0)) if one == axis else 0.0 for one, value in enumerate(up)]
    return up


def _mean_axis(line: Line, axis: int) -> list[float]:
    """The mean direction in the world of the cameras' right, down or ahead."""
    kept = line.path.thinned(200)
    turned = [_turned(line.similarity.rotation, _rotation(line.path, index)) for index in kept]
    return [sum(one[row][axis] for one in turned) / len(turned) for row in range(3)]


def _cloud(cloud: Cloud, similarity: Similarity, origin: Point) -> dict[str, Any]:
    x, y, z = (there - moved for there, moved in zip(similarity.apply(cloud.low), origin, strict=True))
    placed = Similarity(
        scale=similarity.scale * cloud.step, rotation=similarity.rotation, translation=(x, y, z)
    )
    return {
        "count": len(cloud),
        "matrix": placed.columns,
        "points": _packed(cloud.points),
        "colours": base64.b64encode(cloud.colours).decode("ascii") if cloud.colours else None,
        "errors": _packed(cloud.error) if cloud.error else None,
        "errorName": one_line(cloud.error_name or "", 40),
        "errorRange": list(cloud.error_range),
    }


def _floats(values: Iterable[float]) -> str:
    # What float32 does not hold becomes infinite, which JSON and WebGL do not draw.
    return _packed(array("f", (value if abs(value) < 3e38 else 0.0 for value in values)))


def _packed(values: array[Any]) -> str:
    if sys.byteorder == "big":
        values = array(values.typecode, values)
        values.byteswap()
    return base64.b64encode(values.tobytes()).decode("ascii")
