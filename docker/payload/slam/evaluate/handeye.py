"""Whether one turn between the axes of estimate and truth explains the rotations' error."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from slam.dataset.groundtruth import Mount
from slam.trajectory import Floats

if TYPE_CHECKING:
    from scipy.spatial.transform import Rotation

# It explains most of the error where that becomes less than half without it. A turn that is smaller than this
# is the calibration's uncertainty.
_SMALLEST_DEG = 0.1
# How near a found turn has to be to a known one to be taken for it.
_NEAR_DEG = 5.0


@dataclass(frozen=True, kw_only=True)
class Turn:
    """The rotation [3, 3] from the estimate's axes to the truth's; the rmse without and with it, degrees."""

    rotation: Floats
    degrees: float
    rmse_before: float
    rmse_after: float

    @property
    def explains_most(self) -> bool:
        """Whether the two are more likely of different frames than wrong."""
        return self.degrees > _SMALLEST_DEG and self.rmse_after < self.rmse_before / 2


def find_turn(truth: Floats, estimate: Floats, steps: npt.NDArray[np.int64]) -> Turn:
    """Solve the rotation of the hand-eye problem, A X = X B, over the steps of two trajectories.

    A step's axis and angle as a vector, a = X b, so that X is the rotation that brings one set of vectors
    onto the other. The world that each trajectory is in does not matter.

    Park and Martin, "Robot sensor calibration: solving AX = XB on the Euclidean group", IEEE T-RA 10(5),
    1994.

    Args:
        truth: quaternions [n, 4], ``x y z w``.
        estimate: those of the same moments.
        steps: [m, 2] places of the first and last pose of each step.
    """
    from scipy.spatial.transform import Rotation

    first, last = steps.T
    true, found = (
        Rotation.from_quat(one[first]).inv() * Rotation.from_quat(one[last]) for one in (truth, estimate)
    )
    with warnings.catch_warnings():
        # All about one axis, as a car turns: then any turn about it is as good.
        warnings.simplefilter("ignore", UserWarning)
        turn, _ = Rotation.align_vectors(true.as_rotvec(), found.as_rotvec())
    return Turn(
        rotation=np.asarray(turn.as_matrix()),
        degrees=float(np.degrees(turn.magnitude())),
        rmse_before=_rmse(true, found),
        rmse_after=_rmse(true, turn * found * turn.inv()),
    )


def _rmse(true: Rotation, found: Rotation) -> float:
    return float(np.degrees(np.sqrt(np.mean((true.inv() * found).magnitude() ** 2))))


def describe_turn(turn: Turn, frame: str | None, mount: Mount | None) -> str:
    """What was found, with its size, and which option to try.

    ``frame`` is that of the truth as it was compared, and ``mount`` how others lie in its body.
    """
    words = (
        f"the estimate's axes are turned by {turn.degrees:.1f} degrees from the truth's at all times; but "
        f"for that, steps' rotations are {turn.rmse_after:.3g} and not {turn.rmse_before:.3g} degrees off: "
        "the two are of different frames, and positions may be of different places, too; "
    )
    if mount is None or frame not in mount.frames:
        return f"{words}give a ground truth of what the estimate is of"
    in_body = mount.rotation(frame) @ turn.rotation
    apart = {name: _angle_deg(in_body, mount.rotation(name)) for name in mount.frames}
    nearest = min(apart, key=lambda name: apart[name])
    if apart[nearest] > _NEAR_DEG or nearest == frame:
        return f"{words}no --frame fits, so give a ground truth of what the estimate is of"
    return f"{words}try --frame {nearest}"


def _angle_deg(one: Floats, other: Floats) -> float:
    from scipy.spatial.transform import Rotation

    return float(np.degrees(Rotation.from_matrix(one.T @ other).magnitude()))
