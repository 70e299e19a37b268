"""How far an estimate drifts from the truth from one moment to a later one, measured by evo."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from slam.errors import InputError
from slam.evaluate.absolute import STATISTICS, Comparison, match
from slam.trajectory import Floats, Trajectory

if TYPE_CHECKING:
    from evo.core.trajectory import PoseTrajectory3D

# A step may be this much longer or shorter than was asked for, as in evo.
TOLERANCE = 0.1


@dataclass(frozen=True, kw_only=True)
class Step:
    """From which pose to which later one: ``delta`` of a ``unit``.

    Units are evo's ``frames``, ``meters``, ``degrees`` and ``radians``, and ``seconds``, which it has not.

    Steps follow one another (``frames`` 10: 0 to 10, 10 to 20, …), or begin at every pose (``all_pairs``).
    """

    delta: float = 1.0
    unit: str = "frames"
    all_pairs: bool = False

    def __str__(self) -> str:
        return f"{self.delta:g} {self.unit[:-1] if self.delta == 1 else self.unit}"


@dataclass(frozen=True, kw_only=True)
class Drift:
    """The relative pose error over n steps.

    ``translation`` are evo's statistics in the ground truth's unit of length, ``rotation`` in degrees.
    ``places`` [n, 2] are those of each step's first and last pose among the poses that were compared,
    ``lengths`` [n] and ``angles`` [n] the steps' errors.
    """

    step: Step
    alignment: str
    pairs: int
    translation: dict[str, float]
    rotation: dict[str, float]
    places: npt.NDArray[np.int64]
    lengths: Floats
    angles: Floats

    def summarize(self) -> dict[str, object]:
        """What goes to ``rpe.json``."""
        return {
            "delta": self.step.delta,
            "unit": self.step.unit,
            "all_pairs": self.step.all_pairs,
            "pairs": self.pairs,
            "alignment": self.alignment,
            "translation": {name: self.translation[name] for name in STATISTICS},
            "rotation_deg": {name: self.rotation[name] for name in STATISTICS},
        }


def measure_drift(truth: Trajectory, estimate: Trajectory, comparison: Comparison, step: Step) -> Drift:
    """Compare each step of the estimate, aligned as a whole, with the same step of the truth.

    The same as ``evo_rpe tum TRUTH ESTIMATE --delta … --delta_unit …``, once with ``-r trans_part`` and once
    with ``-r angle_deg``.

    Raises:
        InputError: the trajectories do not match, allow no alignment, or are too short for one step.
    """
    from evo import EvoException

    try:
        reference, aligned, _ = match(truth, estimate, comparison)
        pairs = _find_pairs(aligned, step)
        lengths, angles = _measure(reference, aligned, pairs)
    except EvoException as error:
        raise InputError(f"no relative error over {step}: {error}") from error
    return Drift(
        step=step,
        alignment=comparison.alignment,
        pairs=len(pairs),
        translation=_statistics(lengths),
        rotation=_statistics(angles),
        places=np.array(pairs, np.int64).reshape(-1, 2),
        lengths=lengths,
        angles=angles,
    )


def _find_pairs(poses: PoseTrajectory3D, step: Step) -> list[tuple[int, int]]:
    """The places of the first and the last pose of each step."""
    from evo.core.metrics import id_pairs_from_delta
    from evo.core.units import Unit

    if step.unit == "seconds":
        return _pair_by_time(np.asarray(poses.timestamps), step)
    unit = getattr(Unit, step.unit)
    return list(id_pairs_from_delta(poses.poses_se3, step.delta, unit, TOLERANCE, step.all_pairs))


def _pair_by_time(times: Floats, step: Step) -> list[tuple[int, int]]:
    """For each place in ``times`` [n] the one that is nearest to ``delta`` later, if it is near enough."""
    pairs: list[tuple[int, int]] = []
    place = 0
    # A microsecond for the rounding of timestamps; the way to the end is no whole step.
    while place < len(times) - 1 and times[place] + step.delta <= times[-1] + 1e-6:
        last = place + 1 + int(np.argmin(np.abs(times[place + 1 :] - times[place] - step.delta)))
        fits = abs(times[last] - times[place] - step.delta) <= TOLERANCE * step.delta
        if fits:
            pairs.append((place, last))
        place = last if fits and not step.all_pairs else place + 1
    if not pairs:
        raise InputError(f"no two poses are {step} apart; choose a smaller --rpe-delta")
    return pairs


def _measure(
    reference: PoseTrajectory3D, aligned: PoseTrajectory3D, pairs: list[tuple[int, int]]
) -> tuple[Floats, Floats]:
    """The errors of all steps: lengths [n] and angles [n] in degrees."""
    from evo.core import lie_algebra
    from evo.core.metrics import RPE

    true, found = reference.poses_se3, aligned.poses_se3
    errors = [RPE.rpe_base(true[first], true[last], found[first], found[last]) for first, last in pairs]
    lengths = [np.linalg.norm(error[:3, 3]) for error in errors]
    angles = [abs(lie_algebra.so3_log_angle(error[:3, :3], True)) for error in errors]
    return np.array(lengths), np.array(angles)


def _statistics(errors: Floats) -> dict[str, float]:
    from evo.core.metrics import RPE

    measure = RPE()
    measure.error = errors
    return {name: float(value) for name, value in measure.get_all_statistics().items()}
