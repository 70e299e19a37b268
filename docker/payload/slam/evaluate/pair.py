"""A trajectory's file and the truth's, made ready to be compared."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from slam.dataset.groundtruth import Mount, find_mount, units_of_truth
from slam.dataset.sequence import Units
from slam.evaluate.absolute import Comparison, Evaluation
from slam.evaluate.frame import bring_to_frame, find_frame
from slam.evaluate.handeye import describe_turn, find_turn
from slam.evaluate.timing import add_times, bring_to_one_clock
from slam.posefile.format import EUROC, Format
from slam.posefile.posefile import PoseFile, read_posefile
from slam.progress import say
from slam.trajectory import Floats, Trajectory


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Truth and estimate in one frame and on one clock, as far as that can be had.

    ``path`` and ``format`` are the truth's. ``frame`` is what both are of, ``None`` where it is not known,
    and ``said`` how that came about. ``mount`` is how others lie in the body that the truth's file is of.
    ``notes`` are what a person should know of how the files were read. ``as_it_stands`` are both with the
    double and unsorted rows of their files, where there are any.
    """

    path: Path
    format: Format
    truth: Trajectory
    estimate: Trajectory
    units: Units
    mount: Mount | None
    frame: str | None
    said: str | None
    notes: tuple[str, ...]
    as_it_stands: Pair | None = None

    def tell(self) -> None:
        """Say how the files were read."""
        if self.said:
            say(f"frame      {self.said}")
        for note in self.notes:
            say(f"note       {note}")


def read_pair(estimate: Path, groundtruth: Path, comparison: Comparison) -> Pair:
    """Read both files.

    Raises:
        InputError: one is missing or malformed, or one has timestamps and the other none.
    """
    strict = comparison.is_strict
    truth = read_posefile(groundtruth, strict=strict, topic=comparison.truth_topic)
    guess = read_posefile(estimate, strict=strict, topic=comparison.estimate_topic)
    if truth.trajectory.is_timed != guess.trajectory.is_timed:
        truth, guess = complete(truth, guess.trajectory), complete(guess, truth.trajectory)
    frame, name = find_frame(guess), estimate.name
    pair = make_pair(truth, guess.trajectory, frame, comparison, name, guess.notes)
    if truth.as_it_stands is None and guess.as_it_stands is None:
        return pair
    untidy = replace(truth, trajectory=truth.as_it_stands or truth.trajectory)
    stands = make_pair(untidy, guess.as_it_stands or guess.trajectory, frame, comparison, name)
    return replace(pair, as_it_stands=stands)


def complete(poses: PoseFile, other: Trajectory) -> PoseFile:
    """With timestamps of a file beside it, where it has none and the other's are no places."""
    if poses.trajectory.is_timed or other.has_places:
        return poses
    return add_times(poses) or poses


def make_pair(
    truth: PoseFile,
    estimate: Trajectory,
    frame: str | None,
    comparison: Comparison,
    name: str,
    notes: tuple[str, ...] = (),
) -> Pair:
    """Bring a truth to an estimate's frame and both to one clock.

    Raises:
        InputError: one has timestamps and the other none.
    """
    framed = bring_to_frame(truth, frame, asked=comparison.frame, name=name)
    true, found, units = bring_to_one_clock(
        framed.truth, estimate, comparison.max_difference_s, comparison.time_offset_s
    )
    return Pair(
        path=truth.path,
        format=truth.format,
        truth=true,
        estimate=found,
        units=units_of_truth(truth),
        mount=find_mount(truth.path) if truth.format == EUROC else None,
        frame=framed.frame,
        said=framed.said,
        notes=(*truth.notes, *notes, *units),
    )


def _is_still(quaternions: Floats) -> bool:
    """Whether rotations [n, 4] are all within a degree of the first."""
    cosines = np.abs(quaternions @ quaternions[0])
    return bool(np.degrees(2 * np.arccos(np.clip(cosines, 0, 1))).max() < 1)


def find_warning(pair: Pair, evaluation: Evaluation, steps: npt.NDArray[np.int64]) -> str | None:
    """What to try where the rotations' error is that of two frames and not of the estimate.

    ``steps`` [n, 2] are the places, among the poses compared, of each step's first and last pose.
    """
    if _is_still(evaluation.truth_quaternions) and not _is_still(evaluation.quaternions):
        return (
            "the ground truth's rotations are all the same and the estimate's are not, as where only "
            "positions were measured; rotation errors and relative errors then mean nothing"
        )
    turn = find_turn(evaluation.truth_quaternions, evaluation.quaternions, steps)
    return describe_turn(turn, pair.frame, pair.mount) if turn.explains_most else None
