"""DROID-SLAM's compiled module ``droid_backends`` in plain PyTorch: the same functions, slow, on any device.

Shapes and numbers are those of ``src/*.cu`` at commit 2dfd39f. ``standin/cpu/droid_backends.py`` is what
makes upstream's ``import droid_backends`` find this.
"""

from slam.engine.droid.bundle import ba
from slam.engine.droid.correlation import (
    altcorr_backward,
    altcorr_forward,
    corr_index_backward,
    corr_index_forward,
)
from slam.engine.droid.projection import depth_filter, frame_distance, iproj, projmap

__all__ = [
    "altcorr_backward",
    "altcorr_forward",
    "ba",
    "corr_index_backward",
    "corr_index_forward",
    "depth_filter",
    "frame_distance",
    "iproj",
    "projmap",
]
