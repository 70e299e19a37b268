"""Whether the images agree with the focal length of a calibration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from slam.engine.colmap.attempt import Placed
from slam.engine.colmap.project import Project
from slam.progress import attend, say

if TYPE_CHECKING:
    import pycolmap

# Another focus changes it by a few percent, and short paths do not say it any better.
NOTABLE_CHANGE = 0.05
# A wrong focal length bends the world, and all points are off.
NOTABLE_ERROR = 0.8
MOST_ITERATIONS = 50


@dataclass(frozen=True, kw_only=True)
class FocalLength:
    """What a calibration says and what the images say, in pixels, and the mean error of points with each.

    ``given_error_px`` is ``None`` where no model has the calibration's.
    """

    given_px: float
    found_px: float
    found_error_px: float
    given_error_px: float | None = None

    @property
    def is_used(self) -> bool:
        """Whether the model has what the images say."""
        return self.given_error_px is None

    @property
    def is_doubtful(self) -> bool:
        """Whether the images do not fit the calibration."""
        if abs(self.found_px / self.given_px - 1) <= NOTABLE_CHANGE:
            return False
        return self.given_error_px is None or self.found_error_px < NOTABLE_ERROR * self.given_error_px

    def describe(self) -> str:
        """What a person should know and do."""
        found = (
            f"the calibration's focal length is {self.given_px:.1f} px, the images say {self.found_px:.1f} px"
        )
        if self.given_error_px is None:
            return f"{found}, which was used: look whether the calibration is for this camera and image size"
        return (
            f"{found} (points are off by {self.found_error_px:.2f} px on average in place of "
            f"{self.given_error_px:.2f} px): look whether the calibration is for this camera and image size, "
            "or add --refine-camera"
        )

    def summarize(self) -> dict[str, object]:
        """Its values, for the summary."""
        return {**vars(self), "is_used": self.is_used, "is_doubtful": self.is_doubtful}


def compare_focal_length(project: Project, placed: Placed) -> FocalLength | None:
    """What the images say of a calibration's focal length; ``None`` without a calibration."""
    intrinsics, model = project.sequence.intrinsics, placed.models[0]
    if intrinsics is None:
        return None
    given_px = float(np.mean([intrinsics.fx, intrinsics.fy]))
    error_px = model.compute_mean_reprojection_error()
    if placed.attempt.refines_camera:
        found = FocalLength(given_px=given_px, found_px=read_focal_length(model), found_error_px=error_px)
    else:
        freed = free_focal_length(project, model)
        found = FocalLength(
            given_px=given_px,
            found_px=read_focal_length(freed),
            found_error_px=freed.compute_mean_reprojection_error(),
            given_error_px=error_px,
        )
    if found.is_doubtful:
        say(f"note       {found.describe()}")
    return found


def free_focal_length(project: Project, model: pycolmap.Reconstruction) -> pycolmap.Reconstruction:
    """A copy of a model with its focal length adjusted as well."""
    import pycolmap

    freed = pycolmap.Reconstruction(model)
    options = pycolmap.BundleAdjustmentOptions()
    options.refine_extra_params = False
    options.print_summary = False
    options.ceres.solver_options.max_num_iterations = MOST_ITERATIONS
    options.ceres.solver_options.num_threads = project.settings.threads
    attend(lambda: pycolmap.bundle_adjustment(freed, options), lambda: "mapping    checking the focal length")
    return freed


def read_focal_length(model: pycolmap.Reconstruction) -> float:
    """That of the one camera of a model, in pixels."""
    (camera,) = model.cameras.values()
    return float(camera.mean_focal_length())
