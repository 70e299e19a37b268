"""How far an estimated trajectory is from the true one, measured by evo (https://github.com/MichaelGrupp/evo)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from slam.errors import InputError
from slam.evaluate.timing import require_matches
from slam.trajectory import Floats, Trajectory

if TYPE_CHECKING:
    from evo.core.trajectory import PoseTrajectory3D

STATISTICS = ("rmse", "mean", "median", "std", "min", "max", "sse")


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """How to compare: ``sim3`` turns, moves and scales the estimate, ``se3`` turns and moves it, or ``none``.

    ``origin`` lays its first pose upon the truth's and does nothing about the others.

    Timestamps of one moment may be ``max_difference_s`` apart; the default is that of ``evo_ape``.
    ``time_offset_s`` is added to the estimate's. ``frame`` says what the estimate is of, where that is not
    left to its file. Topics are those of ROS bags. ``is_strict`` allows no faulty row in a file;
    ``is_required`` says that there is no use in an estimate without a comparison.
    """

    alignment: str = "sim3"
    max_difference_s: float = 0.01
    time_offset_s: float = 0.0
    frame: str | None = None
    is_strict: bool = False
    estimate_topic: str | None = None
    truth_topic: str | None = None
    is_required: bool = False


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """The absolute trajectory error of n pairs of poses, lengths in the ground truth's unit.

    ``statistics`` are evo's for the n distances. ``times`` [n] are the ground truth's, ``places`` [n] where
    these poses stand in the estimate, ``truth`` and ``estimate`` [n, 3] the positions after alignment,
    ``errors`` [n] their distances. ``quaternions`` [n, 4], ``x y z w``, are the estimate's rotations after
    alignment, ``truth_quaternions`` the truth's, ``rotation_errors`` [n] the angles in degrees between them,
    and ``rotation_statistics`` evo's for these. The estimate was multiplied by ``scale``, then ``rotation``
    [3, 3] and ``translation`` [3] were applied. ``path_length`` is that of ``truth``.
    """

    statistics: dict[str, float]
    rotation_statistics: dict[str, float]
    alignment: str
    times: Floats
    places: npt.NDArray[np.int64]
    truth: Floats
    estimate: Floats
    quaternions: Floats
    truth_quaternions: Floats
    errors: Floats
    rotation_errors: Floats
    scale: float
    rotation: Floats
    translation: Floats
    path_length: float

    @property
    def rmse_percent(self) -> float:
        """The root mean square error as a percentage of the path's length; 0 where there is no path."""
        return 100 * self.statistics["rmse"] / self.path_length if self.path_length else 0.0

    def summarize(self) -> dict[str, object]:
        """What goes to ``ate.json``."""
        return {
            **{name: self.statistics[name] for name in STATISTICS},
            "pairs": len(self.errors),
            "alignment": self.alignment,
            "scale": self.scale,
            "path_length": self.path_length,
            "rmse_percent_of_path": self.rmse_percent,
            "rotation_deg": {name: self.rotation_statistics[name] for name in STATISTICS},
        }

    def align(self, points: Floats) -> Floats:
        """Bring points [n, 3] of the estimate's world into the ground truth's."""
        aligned: Floats = self.scale * points @ self.rotation.T + self.translation
        return aligned


def compare(truth: Trajectory, estimate: Trajectory, comparison: Comparison) -> Evaluation:
    """Associate by time, align the estimate by Umeyama's method, measure the distances of the positions.

    The same as ``evo_ape tum TRUTH ESTIMATE`` (``kitti``, ``euroc``) with ``-as`` (``sim3``), with ``-a``
    (``se3``), with neither (``none``), or with ``--align_origin`` (``origin``).

    Raises:
        InputError: fewer than three poses match in time, or their positions allow no alignment.
    """
    from evo import EvoException
    from evo.core import metrics

    try:
        reference, aligned, (rotation, translation, scale) = match(truth, estimate, comparison)
        lengths, angles = (
            metrics.APE(relation)
            for relation in (metrics.PoseRelation.translation_part, metrics.PoseRelation.rotation_angle_deg)
        )
        for ape in (lengths, angles):
            ape.process_data((reference, aligned))
    except EvoException as error:
        raise InputError(f"the trajectories cannot be compared: {error}") from error
    return Evaluation(
        statistics={name: float(value) for name, value in lengths.get_all_statistics().items()},
        rotation_statistics={name: float(value) for name, value in angles.get_all_statistics().items()},
        alignment=comparison.alignment,
        times=np.asarray(reference.timestamps),
        places=_find_places(estimate.times, np.asarray(aligned.timestamps)),
        truth=np.asarray(reference.positions_xyz),
        estimate=np.asarray(aligned.positions_xyz),
        quaternions=np.roll(np.asarray(aligned.orientations_quat_wxyz), -1, axis=1),
        truth_quaternions=np.roll(np.asarray(reference.orientations_quat_wxyz), -1, axis=1),
        errors=np.asarray(lengths.error),
        rotation_errors=np.asarray(angles.error),
        scale=float(scale),
        rotation=np.asarray(rotation),
        translation=np.asarray(translation),
        path_length=float(reference.path_length),
    )


def match(
    truth: Trajectory, estimate: Trajectory, comparison: Comparison
) -> tuple[PoseTrajectory3D, PoseTrajectory3D, tuple[Floats, Floats, float]]:
    """The poses of both that are of one moment, for evo, the estimate's aligned; and how they were.

    The last are the rotation [3, 3], translation [3] and scale that the estimate has got.

    Raises:
        InputError: fewer than three poses match in time.
        EvoException: their positions allow no alignment.
    """
    from evo.core import sync

    # Places in an order have no clock that could be off.
    offset_s = comparison.time_offset_s if truth.is_timed and estimate.is_timed else 0.0
    require_matches(truth.times, estimate.times, comparison.max_difference_s, offset_s)
    reference, aligned = sync.associate_trajectories(
        _evo_trajectory(truth),
        _evo_trajectory(estimate),
        max_diff=comparison.max_difference_s,
        offset_2=offset_s,
    )
    rotation, translation, scale = np.eye(3), np.zeros(3), 1.0
    if comparison.alignment == "origin":
        transform = aligned.align_origin(reference)
        rotation, translation = transform[:3, :3], transform[:3, 3]
    elif comparison.alignment != "none":
        rotation, translation, scale = aligned.align(reference, correct_scale=comparison.alignment == "sim3")
    return reference, aligned, (rotation, translation, scale)


def _find_places(times: Floats, chosen: Floats) -> npt.NDArray[np.int64]:
    """Where the chosen times [m] stand among all [n]; the first of equal ones."""
    order = np.argsort(times, kind="stable")
    places: npt.NDArray[np.int64] = order[np.searchsorted(times[order], chosen)]
    return places


def _evo_trajectory(trajectory: Trajectory) -> PoseTrajectory3D:
    from evo.core.trajectory import PoseTrajectory3D

    if trajectory.matrices is not None:
        poses = np.tile(np.eye(4), (len(trajectory), 1, 1))
        poses[:, :3, :3], poses[:, :3, 3] = trajectory.matrices, trajectory.positions
        return PoseTrajectory3D(poses_se3=list(poses), timestamps=trajectory.times)
    return PoseTrajectory3D(
        positions_xyz=trajectory.positions.copy(),
        orientations_quat_wxyz=np.roll(trajectory.quaternions, 1, axis=1),
        timestamps=trajectory.times,
    )
