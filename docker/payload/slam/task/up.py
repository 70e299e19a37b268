"""Which way is up in what is drawn, by what is known best."""

from __future__ import annotations

from pathlib import Path

from slam.dataset.gravity import axis_of_truth, read_rises
from slam.dataset.sequence import Sequence
from slam.engine.estimate import Estimate
from slam.evaluate.absolute import Evaluation
from slam.output.up import Up, along, find_by_cameras, find_by_gravity, find_by_plane

UNKNOWN = "z, as nothing says which way is up"


def find_up(asked: str | None, sequence: Sequence, estimate: Estimate, evaluation: Evaluation | None) -> Up:
    """Up in the world of the ground truth where there is an evaluation, else in the estimate's own.

    The first that there is of: the axis that was asked for, the one that is known of the ground truth's
    world, the accelerometer, how the cameras are held, the plane on which most points lie.
    """
    known = _known(asked, sequence.groundtruth if evaluation else None)
    if known is not None:
        return known
    trajectory, cloud = estimate.trajectory, estimate.cloud
    rises = read_rises(sequence, trajectory.times, estimate.camera.turn)
    found = (
        (find_by_gravity(rises, trajectory.quaternions) if rises is not None else None)
        or find_by_cameras(trajectory.quaternions)
        or find_by_plane(cloud.points, trajectory.positions)
    )
    if found is None:
        return along("z", UNKNOWN)
    return found.turn(evaluation.rotation).snap() if evaluation else found


def in_own_world(up: Up, evaluation: Evaluation | None) -> Up:
    """What :func:`find_up` has found, in the world of the estimate's files."""
    return up if evaluation is None else up.turn(evaluation.rotation.T)


def find_up_of_truth(asked: str | None, groundtruth: Path, evaluation: Evaluation) -> Up:
    """Up in the world of a ground truth file that something was compared with."""
    found = _known(asked, groundtruth) or find_by_cameras(evaluation.quaternions)
    return found.snap() if found else along("z", UNKNOWN)


def _known(asked: str | None, groundtruth: Path | None) -> Up | None:
    if asked is not None:
        return along(asked, f"{asked}, as asked for")
    known = axis_of_truth(groundtruth) if groundtruth else None
    if known is None:
        return None
    axis, dataset = known
    return along(axis, f"{axis}, as in {dataset}'s ground truth")
