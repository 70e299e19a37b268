"""Timestamps of two files, on one clock."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from slam.errors import InputError
from slam.posefile.clock import CLOCKS, SECONDS, Clock, to_seconds
from slam.posefile.posefile import PoseFile
from slam.text import read_lines
from slam.trajectory import Floats, Trajectory

FEWEST_PAIRS = 3
# Another unit is taken only where it makes so many times as many stamps match.
_CLEARLY = 10


def bring_to_one_clock(
    truth: Trajectory, estimate: Trajectory, max_difference_s: float, offset_s: float = 0.0
) -> tuple[Trajectory, Trajectory, tuple[str, ...]]:
    """Both with timestamps in seconds, and a note where one of them seems to count another unit.

    Files that count from 1970 have told their unit themselves. Here are those that count from a start: a
    thousandth, millionth or billionth of a stamp is taken where without it (nearly) nothing matches.

    Raises:
        InputError: one has timestamps and the other has none, or neither has and they differ in length.
    """
    _require_comparable(truth, estimate)
    if not (truth.is_timed and estimate.is_timed):
        return truth, estimate, ()

    def count(one: Trajectory, other: Trajectory) -> int:
        return count_matches(one.times, other.times + offset_s, max_difference_s)

    doubt = tuple(_describe_places(truth, estimate))
    if count(truth, estimate) * _CLEARLY >= min(len(truth), len(estimate)):
        return truth, estimate, doubt
    tries = [(rescale(truth, one), rescale(estimate, other)) for one, other in _PAIRS]
    counts = [count(*pair) for pair in tries]
    best = int(np.argmax(counts))
    if counts[best] < max(FEWEST_PAIRS, _CLEARLY * counts[0] + 1):
        return truth, estimate, doubt
    return *tries[best], (_describe_units(*_PAIRS[best], counts[best]),)


_PAIRS = [(SECONDS, SECONDS)] + [
    pair for clock in CLOCKS if clock != SECONDS for pair in ((SECONDS, clock), (clock, SECONDS))
]


def _describe_places(truth: Trajectory, estimate: Trajectory) -> Iterator[str]:
    """A note where one side seems to count images and the other seconds: what matches then means nothing."""
    pairs = (("ground truth", truth, estimate), ("estimate", estimate, truth))
    for whose, one, other in pairs:
        if one.counts_places and not other.has_places:
            yield (
                f"the {whose}'s timestamps are whole numbers, as places of images are, and the other file's "
                "are times: if they count images, the errors are of poses that do not belong together; write "
                "the images' times in their place"
            )


def _describe_units(truth: Clock, estimate: Clock, count: int) -> str:
    whose, clock = ("ground truth", truth) if truth.digits else ("estimate", estimate)
    return f"the {whose}'s timestamps are taken for {clock.name}, for then {count} match"


def rescale(trajectory: Trajectory, clock: Clock) -> Trajectory:
    """A trajectory whose timestamps count ``clock``'s unit, in seconds."""
    return replace(trajectory, stamps=tuple(to_seconds(stamp, clock) for stamp in trajectory.stamps))


def _require_comparable(truth: Trajectory, estimate: Trajectory) -> None:
    if not truth.is_timed and not estimate.is_timed and truth.times[-1] != estimate.times[-1]:
        raise InputError(
            f"the estimate has {len(estimate)} poses and the ground truth {len(truth)}, and neither has "
            "timestamps that would say which belong together; give files of equal length, or with timestamps"
        )
    if truth.is_timed == estimate.is_timed:
        return
    bare, other = ("ground truth", estimate) if not truth.is_timed else ("estimate", truth)
    if not other.has_places:
        raise InputError(
            f"the {bare} has no timestamps, and those of the other file are no places in an order; put a "
            "times.txt with one timestamp for each pose beside it, as KITTI has it"
        )


def add_times(poses: PoseFile) -> PoseFile | None:
    """Poses that came without timestamps with those of a file beside them; ``None`` where there is none.

    That is ``<name>_times.txt`` or ``times.txt`` there, or KITTI's ``../sequences/<name>/times.txt``.

    Raises:
        InputError: it cannot be read.
    """
    folder, name = poses.path.parent, poses.path.stem
    places = (
        folder / f"{name}_times.txt",
        folder / "times.txt",
        folder.parent / "sequences" / name / "times.txt",
    )
    for path in places:
        if path.is_file():
            return _with_times(poses, path)
    return None


def _with_times(poses: PoseFile, path: Path) -> PoseFile:
    lines = read_lines(path)
    places = poses.trajectory.times.astype(int)
    if len(lines) != places[-1] + 1:
        raise InputError(
            f"{path}: {len(lines)} timestamps for {places[-1] + 1} poses of {poses.path}; which belong "
            "together is not known, so give it one timestamp for each pose"
        )
    for number, line in lines:
        try:
            float(line)
        except ValueError as error:
            raise InputError(f"{path}:{number}: {line!r} is no timestamp in seconds") from error
    stamps = tuple(lines[place][1] for place in places)
    note = f"{poses.path}: its timestamps are those of {path}"
    return replace(
        poses,
        trajectory=replace(poses.trajectory, stamps=stamps, is_timed=True),
        as_it_stands=None,
        notes=(*poses.notes, note),
    )


def count_matches(truth: Floats, estimate: Floats, max_difference_s: float) -> int:
    """How many of the truth's timestamps [n] are nearest, and near enough, to one of the estimate's [m]."""
    order = np.sort(truth)
    after = np.clip(np.searchsorted(order, estimate), 1, max(1, len(order) - 1))
    places = np.minimum(after, len(order) - 1)
    nearer = np.where(
        np.abs(estimate - order[after - 1]) <= np.abs(order[places] - estimate), after - 1, places
    )
    return len(np.unique(nearer[np.abs(order[nearer] - estimate) <= max_difference_s]))


def require_matches(truth: Floats, estimate: Floats, max_difference_s: float, offset_s: float = 0.0) -> None:
    """Make sure that two lists of timestamps belong together.

    Args:
        truth: [n] seconds.
        estimate: [m] seconds.
        max_difference_s: how far apart two stamps of one moment may be.
        offset_s: what is added to ``estimate``.

    Raises:
        InputError: fewer than three of ``estimate`` have one of ``truth`` near them.
    """
    edged = np.concatenate([[-np.inf], np.sort(truth), [np.inf]])
    shifted = estimate + offset_s
    after = np.searchsorted(edged, shifted)
    nearest = np.minimum(shifted - edged[after - 1], edged[after] - shifted)
    matches = int(np.sum(nearest <= max_difference_s))
    if matches < FEWEST_PAIRS:
        raise InputError(
            f"{matches} of {len(estimate)} timestamps have one of the ground truth within "
            f"{max_difference_s:g} s, and {FEWEST_PAIRS} are needed; they run from {shifted.min():.6f} to "
            f"{shifted.max():.6f}, the ground truth's from {truth.min():.6f} to {truth.max():.6f}; "
            f"{_advise(truth, shifted, nearest, offset_s)}"
        )


def _advise(truth: Floats, estimate: Floats, nearest: Floats, offset_s: float) -> str:
    """What may be wrong, by the numbers: clocks that are apart, or stamps that are too far apart."""
    if estimate.max() < truth.min() or estimate.min() > truth.max():
        apart = float(truth.min() - estimate.min())
        return (
            f"they begin {abs(apart):.6f} s apart, so the clocks may have another zero: give files of one "
            f"sequence, or --time-offset {offset_s + apart:.6f} if they begin together"
        )
    return (
        f"the nearest are {np.median(nearest):.6f} s apart in the median; give files of one sequence, or "
        "raise --max-difference"
    )
