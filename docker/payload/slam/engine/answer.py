"""What a user's own engine returns, checked and in the words of all engines."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from slam.dataset.camera import Intrinsics
from slam.dataset.sequence import FEWEST_FRAMES, Sequence
from slam.engine.estimate import Estimate
from slam.engine.interface import Result
from slam.errors import InputError, ReconstructionError
from slam.output import results
from slam.output.camera import Camera, camera_of
from slam.output.cloud import Cloud
from slam.trajectory import Floats, Trajectory

# Of a rotation times its transpose; poses that went through float32 or text are nearer than that.
_TOLERANCE = 1e-3
_GREY = 160


def read_answer(result: object, sequence: Sequence, where: str) -> Estimate:
    """The estimate that a result says; ``where`` it comes from begins each message.

    Raises:
        InputError: it is not as :class:`slam.engine.interface.Result` says.
        ReconstructionError: it has fewer than three poses.
    """
    if not isinstance(result, Result):
        kind = "nothing" if result is None else f"a {type(result).__name__}"
        raise InputError(f"{where}: estimate returned {kind}; return a Result of slam.engine.interface")
    try:
        frames, poses = _read_poses(result, sequence)
        cloud = _read_cloud(result)
        _require_plain(result.facts, "facts")
        _require_plain(result.versions, "versions")
        _require_files(result.files)
        camera = _read_camera(result, sequence)
    except ValueError as error:
        raise InputError(f"{where}: {error}") from error
    if len(poses) < FEWEST_FRAMES:
        raise ReconstructionError(
            f"{where}: estimate placed {len(poses)} of {sequence.length} frames, and at least "
            f"{FEWEST_FRAMES} are needed"
        )
    from scipy.spatial.transform import Rotation

    return Estimate(
        trajectory=Trajectory(
            stamps=tuple(sequence.frames[frame].stamp for frame in frames),
            positions=poses[:, :3, 3],
            quaternions=Rotation.from_matrix(poses[:, :3, :3]).as_quat(),
        ),
        cloud=cloud,
        mean_reprojection_error_px=None,
        versions={name: str(version) for name, version in result.versions.items()},
        camera=camera,
        frames=None if len(frames) == sequence.length else frames,
        files={name: Path(path) for name, path in result.files.items()},
        facts=dict(result.facts),
        caveat=None if result.caveat is None else str(result.caveat),
    )


def _numbers(values: object, name: str, shape: str, last: tuple[int, ...]) -> Floats:
    """Finite numbers [n, *last].

    Raises:
        ValueError: they are not.
    """
    try:
        found = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} are no array of numbers ({error}); they are {shape}") from error
    if found.size == 0:
        return np.empty((0, *last))
    if found.shape[1:] != last:
        raise ValueError(f"{name} have the shape {list(found.shape)}; it is {shape}")
    bad = np.flatnonzero(~np.isfinite(found).reshape(len(found), -1).all(1))
    if len(bad):
        raise ValueError(
            f"{name}[{bad[0]}] has a number that is not finite ({len(bad)} of {len(found)} have)"
        )
    return found


def _read_poses(result: Result, sequence: Sequence) -> tuple[tuple[int, ...], Floats]:
    poses = _numbers(result.poses, "poses", "[n, 4, 4]", (4, 4))
    frames = _read_frames(result, sequence)
    if len(frames) != len(poses):
        what = f"{len(frames)} frames" if result.frames is not None else f"the sequence has {len(frames)}"
        raise ValueError(
            f"there are {len(poses)} poses, and {what}; name in `frames` the places of those that have one"
        )
    rotations = poses[:, :3, :3]
    off = np.abs(rotations @ rotations.transpose(0, 2, 1) - np.eye(3)).max(axis=(1, 2), initial=0)
    wrong = (off > _TOLERANCE) | (np.linalg.det(rotations) < 0)
    wrong |= np.abs(poses[:, 3] - (0, 0, 0, 1)).max(axis=1, initial=0) > _TOLERANCE
    if wrong.any():
        place = int(np.flatnonzero(wrong)[0])
        raise ValueError(
            f"poses[{place}] is no rigid motion; its left upper 3x3 is a rotation without scale or mirror, "
            "its last row 0 0 0 1"
        )
    return frames, poses


def _read_frames(result: Result, sequence: Sequence) -> tuple[int, ...]:
    if result.frames is None:
        return tuple(range(sequence.length))
    frames = [int(frame) for frame in np.asarray(result.frames).tolist()]
    for before, frame in zip([-1, *frames], frames, strict=False):
        if not before < frame < sequence.length:
            raise ValueError(
                f"frames has {frame} after {before}; they are places from 0 to {sequence.length - 1} in the "
                "sequence, each once and in order"
            )
    return tuple(frames)


def _read_cloud(result: Result) -> Cloud:
    points = _numbers(result.points, "points", "[m, 3]", (3,))
    if result.colors is None:
        return Cloud(points=points, colors=np.full((len(points), 3), _GREY, np.uint8))
    colors = _numbers(result.colors, "colors", "[m, 3]", (3,))
    if len(colors) != len(points):
        raise ValueError(f"there are {len(points)} points and {len(colors)} colors; it is one for each")
    if len(colors) and (colors.min() < 0 or colors.max() > 255):
        raise ValueError(f"colors go from {colors.min():g} to {colors.max():g}; they are 0 to 255")
    whole: npt.NDArray[np.uint8] = np.rint(colors).astype(np.uint8)
    return Cloud(points=points, colors=whole)


def _read_camera(result: Result, sequence: Sequence) -> Camera:
    if result.intrinsics is not None and not isinstance(result.intrinsics, Intrinsics):
        raise ValueError("intrinsics are no Intrinsics of slam.engine.interface")
    camera = camera_of(replace(sequence, intrinsics=result.intrinsics or sequence.intrinsics))
    if camera is None:
        raise ValueError(
            f"nothing says what the camera of {sequence.name} is; put a calib.txt beside the images, or "
            "return the `intrinsics` that the engine has found"
        )
    return camera


def _require_plain(values: Mapping[str, object], name: str) -> None:
    try:
        json.dumps(dict(values), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{name} cannot be written as JSON ({error}); use text, numbers and lists"
        ) from error


def _require_files(files: Mapping[str, Path]) -> None:
    for name, path in files.items():
        if not isinstance(name, str) or Path(name).name != name or name in results.NAMES:
            raise ValueError(
                f"files has {name!r}; a name has no folder, and is not {', '.join(results.NAMES)}"
            )
        if not Path(path).exists():
            raise ValueError(f"files[{name!r}] is {path}, which is not there")
