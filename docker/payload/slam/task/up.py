"""Which way is up in what is drawn, by what is known best."""

from __future__ import annotations

from slam.dataset.gravity import axis_of_truth, read_rises
from slam.dataset.sequence import Sequence
from slam.engine.estimate import Estimate
from slam.evaluate.absolute import Evaluation
from slam.evaluate.pair import Pair
from slam.output.up import Up, along, find_by_cameras, find_by_gravity, find_by_plane
from slam.trajectory import BODY

UNKNOWN = "z, as nothing says which way is up"


def find_up(
    asked: str | None,
    sequence: Sequence,
    estimate: Estimate,
    pair: Pair | None,
    evaluation: Evaluation | None,
) -> Up:
    """Up in the world of the ground truth where there is an evaluation, else in the estimate's own.

    The first that there is of: the axis that was asked for, the one that is known of the ground truth's
    world, the accelerometer, how the cameras are held, the plane on which most points lie.
    """
    known = _known(asked, pair if evaluation else None)
    if known is not None:
        return known
    trajectory, cloud = estimate.trajectory, estimate.cloud
    rises = read_rises(sequence, trajectory.times)
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


def find_up_of_truth(asked: str | None, pair: Pair, evaluation: Evaluation) -> Up:
    """Up in the world of a ground truth file that something was compared with."""
    if known := _known(asked, pair):
        return known
    found = None if pair.frame == BODY else find_by_cameras(evaluation.quaternions)
    return found.snap() if found else along("z", UNKNOWN)


def _known(asked: str | None, pair: Pair | None) -> Up | None:
    if asked is not None:
        return along(asked, f"{asked}, as asked for")
    axis = axis_of_truth(pair.path, pair.format) if pair else None
    return along(axis, f"{axis}, as in {pair.format.name}'s ground truth") if pair and axis else None
