"""The ground truth of a sequence that is inferred: looked at before the work, compared with after it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path

import numpy as np

from slam.dataset.sequence import PLACES, Sequence
from slam.dataset.tum import FRAME_LIST
from slam.errors import InputError
from slam.evaluate.absolute import Comparison, Evaluation, compare
from slam.evaluate.pair import Pair, complete, find_warning, make_pair
from slam.evaluate.relative import Drift, Step, measure_drift
from slam.evaluate.timing import bring_to_one_clock, require_matches
from slam.posefile.posefile import PoseFile, read_posefile
from slam.progress import say
from slam.trajectory import Trajectory

NONE = "no ground truth"


@dataclass(frozen=True, kw_only=True)
class Truth:
    """What is known of a sequence's ground truth; ``reason`` says why there is no comparison with it.

    ``path`` is its file, ``pair`` the truth beside the sequence's timestamps. ``warning`` is of the result.
    """

    comparison: Comparison
    path: str | None = None
    pair: Pair | None = None
    reason: str | None = None
    warning: str | None = None

    @property
    def trajectory(self) -> Trajectory | None:
        """The true poses, in the estimate's frame and on its clock, where they were compared."""
        return self.pair.truth if self.pair and self.reason is None else None

    @property
    def complaint(self) -> str | None:
        """In a few words why a truth that is there was not compared."""
        if self.reason is None or self.path is None:
            return None
        return f"no errors: {self.reason}"

    def tell(self) -> None:
        """Say what a person should know before the work."""
        if self.pair is not None:
            self.pair.tell()
        if self.reason is not None and self.path is not None:
            say(f"warning    the errors will be left out: {self.reason}")

    def compare(self, estimate: Trajectory, step: Step) -> tuple[Evaluation | None, Drift | None, Truth]:
        """The errors, and the truth with what came of it: the estimate is worth keeping whatever that is."""
        if self.pair is None or self.reason is not None:
            return None, None, self
        try:
            allowed = self.comparison.max_difference_s
            true, found, _ = bring_to_one_clock(self.pair.truth, estimate, allowed)
            evaluation = compare(true, found, self.comparison)
        except InputError as problem:
            return None, None, replace(self, reason=str(problem))
        try:
            drift = measure_drift(true, found, self.comparison, step)
        except InputError as problem:
            say(f"note       {problem}")
            return evaluation, None, self
        warning = find_warning(self.pair, evaluation, drift.places)
        return evaluation, drift, replace(self, warning=warning)

    def summarize(self) -> dict[str, object]:
        """What goes to ``summary.json``."""
        return {
            "file": self.path,
            "compared": self.reason is None,
            **({"reason": self.reason} if self.reason else {}),
            **({"frame": self.pair.frame} if self.pair and self.pair.frame else {}),
            **({"notes": list(self.pair.notes)} if self.pair and self.pair.notes else {}),
            **({"warning": self.warning} if self.warning else {}),
        }

    def finish(self) -> None:
        """Say what is to be known of the result.

        Raises:
            InputError: the comparison is required, and there is none.
        """
        if self.warning:
            say(f"warning    {self.warning}")
        if self.reason and self.comparison.is_required:
            raise InputError(self.reason)


def find_truth(sequence: Sequence, comparison: Comparison) -> Truth:
    """Read a sequence's ground truth, and see whether it is of the same times.

    Raises:
        InputError: it is missing, malformed or does not fit, and the comparison is required.
    """
    if sequence.groundtruth is None:
        truth = Truth(comparison=comparison, reason=NONE)
    else:
        truth = _read(sequence.groundtruth, sequence, comparison)
    if truth.reason and comparison.is_required:
        raise InputError(
            f"{sequence.name}: {truth.reason}; leave --require-groundtruth out to infer it without its errors"
        )
    return truth


def _read(path: Path, sequence: Sequence, comparison: Comparison) -> Truth:
    stamps = Trajectory(
        stamps=sequence.stamps,
        positions=np.zeros((sequence.length, 3)),
        quaternions=np.zeros((sequence.length, 4)),
    )
    try:
        poses = complete(
            read_posefile(path, strict=comparison.is_strict, topic=comparison.truth_topic), stamps
        )
        if not comparison.time_offset_s:  # whoever gives one knows both clocks
            _require_places(poses, sequence)
        pair = make_pair(poses, stamps, sequence.frame, comparison, sequence.name)
    except InputError as problem:
        return Truth(comparison=comparison, path=str(path), reason=str(problem))
    # Whoever lays the two files over one another later should need no offset.
    pair = replace(pair, truth=_shift(pair.truth, -comparison.time_offset_s))
    truth = Truth(comparison=replace(comparison, time_offset_s=0.0), path=str(path), pair=pair)
    try:
        require_matches(pair.truth.times, pair.estimate.times, comparison.max_difference_s)
    except InputError as problem:
        return replace(truth, reason=str(problem))
    return truth


def _require_places(poses: PoseFile, sequence: Sequence) -> None:
    """Make sure that places of images are not taken for the seconds of a truth.

    Raises:
        InputError: the images have places only, and the truth has times.
    """
    times = poses.trajectory
    if sequence.units.time == PLACES.time and times.is_timed and not times.has_places:
        raise InputError(
            f"{poses.path} has times, from {times.stamps[0]} on, and the images of {sequence.name} only have "
            f"places, from 0; write places into it, or list the images with their times in {FRAME_LIST}, as "
            "TUM does"
        )


def _shift(trajectory: Trajectory, seconds: float) -> Trajectory:
    if not seconds or not trajectory.is_timed:
        return trajectory
    offset = Decimal(repr(seconds))
    return replace(trajectory, stamps=tuple(f"{Decimal(stamp) + offset:f}" for stamp in trajectory.stamps))
