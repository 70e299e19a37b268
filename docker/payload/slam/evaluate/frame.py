"""Whose poses are compared: those of a body, or of a camera in it."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

from slam.dataset.groundtruth import find_marker, find_mount, turn_to, turn_to_body
from slam.output import results
from slam.posefile.format import EUROC
from slam.posefile.posefile import PoseFile
from slam.trajectory import BODY, CAMERA, FRAMES, RAW_CAMERA, Trajectory

AS_IS = "as-is"


@dataclass(frozen=True, kw_only=True)
class Framed:
    """The truth in the estimate's frame, which that is (``None``: not known), and what was done, in words."""

    truth: Trajectory
    frame: str | None
    said: str | None = None


def bring_to_frame(truth: PoseFile, frame: str | None, *, asked: str | None, name: str) -> Framed:
    """The truth as that of what the estimate is of, as far as it is known how one lies in the other.

    Args:
        truth: EuRoC's, which is of the drone's body, is turned; others stay as they are.
        frame: what the estimate says that it is of, if it does.
        asked: what ``--frame`` says; it goes before that.
        name: the estimate's, for messages.
    """
    own = truth.trajectory.frame
    if asked == AS_IS:
        return Framed(truth=truth.trajectory, frame=own, said="as-is: nothing is turned, as --frame says")
    wanted, reason = (asked, "--frame says so") if asked else (frame, f"{name} says so")
    if truth.format != EUROC or own != BODY:
        return _leave(truth, wanted, asked=asked)
    marker = find_marker(truth.path)
    if wanted is None and marker is not None:
        return Framed(
            truth=replace(truth.trajectory, frame=None),
            frame=None,
            said=f"as-is: nothing says what moves in {name}, and {truth.path} is of markers on the body, by "
            "the sensor.yaml beside it; give --frame for what the estimate is of",
        )
    if wanted is None:
        return Framed(
            truth=truth.trajectory,
            frame=BODY,
            said=f"body: nothing says what moves in {name}, and {truth.path.name} is of the body (the IMU); "
            "if the estimate is of the left camera, give --frame camera",
        )
    if marker is not None:
        body, done = turn_to_body(truth.trajectory, marker), "is of markers on the body, and was turned to it"
    else:
        body = truth.trajectory
        done = "is of it, too" if wanted == BODY else "is of the body, and was turned to it"
    return Framed(
        truth=turn_to(body, wanted, find_mount(truth.path) if wanted != BODY else None),
        frame=wanted,
        said=f"{wanted}: {reason}; {truth.path.name} {done}",
    )


def _leave(truth: PoseFile, wanted: str | None, *, asked: str | None) -> Framed:
    own = truth.trajectory.frame
    said = None
    if wanted is not None and own is not None and wanted != own:
        said = f"the estimate is of the {wanted} and {truth.path.name} of the {own}; nothing is turned"
    elif asked is not None and own is None:
        said = (
            f"{asked}: nothing is turned; only EuRoC's truth (.csv) is known to be of the body, and "
            f"{truth.path.name} has the format {truth.format.name}"
        )
    return Framed(truth=truth.trajectory, frame=own or wanted, said=said)


def find_frame(estimate: PoseFile) -> str | None:
    """What an estimate says that it is of: in the summary that ``infer`` left, or in a line of its own.

    Runs of older versions say nothing. DROID-SLAM's were of the rectified camera, COLMAP's of the camera.
    """
    summary = {}
    if estimate.path.name in (results.TRAJECTORY, results.KEYFRAMES, results.EUROC, results.KITTI):
        summary = _read_summary(estimate.path.with_name(results.SUMMARY))
    if summary.get("frame") in FRAMES:
        return str(summary["frame"])
    own = {"droid": CAMERA, "colmap": RAW_CAMERA}.get(str(summary.get("engine")))
    return own or estimate.trajectory.frame


def _read_summary(path: Path) -> dict[str, object]:
    try:
        summary = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return summary if isinstance(summary, dict) else {}
