"""All of DROID-SLAM but the network: with perfect flow, the path that comes out has to be the true one."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from slam.dataset.sequence import Sequence
from slam.engine.droid import engine
from slam.engine.estimate import Estimate, Settings
from slam.evaluate.absolute import Comparison, compare
from slam.trajectory import Trajectory
from tests.payload.datasets import frames_at
from tests.payload.footage import FLOOR_M, WALL_M

if TYPE_CHECKING:
    from tests.payload.oracle import Recording

torch = pytest.importorskip("torch", reason="PyTorch is not installed here; the CUDA image has it")
pytest.importorskip("lietorch", reason="lietorch is not installed here; the CUDA image has it")
pytestmark = pytest.mark.skipif(
    not os.environ.get("DROID_ROOT"), reason="DROID_ROOT does not name a checkout of DROID-SLAM"
)


def reconstruct(
    recording: Recording,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    tracked_every: int = 1,
    **options: object,
) -> Estimate:
    """What the engine makes of a recording, with the network that knows."""
    from slam.engine.droid.upstream import upstream
    from tests.payload.oracle import HEIGHT, WIDTH, Oracle

    oracle = Oracle(recording, tracked_every)
    stream = Sequence(
        name="wall",
        frames=frames_at(*recording.stamps),
        pictures=recording,
        height=HEIGHT,
        width=WIDTH,
        mode=recording.mode,
        tracked_every=tracked_every,
        baseline_m=recording.baseline_m if recording.mode == "stereo" else None,
    )
    chosen = {
        "device": "cpu",
        "random_weights": True,
        "filter_thresh": 0.9,
        "warmup": 6,
        "keyframe_thresh": 0.3,
        **options,
    }
    with upstream(Path(os.environ["DROID_ROOT"]), "cpu"):
        import depth_video
        import droid

        make_video = depth_video.DepthVideo.__init__

        def keep_video(self: Any, *args: Any, **words: Any) -> None:
            make_video(self, *args, **words)
            oracle.video = self

        monkeypatch.setattr(depth_video.DepthVideo, "__init__", keep_video)
        monkeypatch.setattr(droid.Droid, "load_weights", lambda self, weights: setattr(self, "net", oracle))
        return engine.estimate(stream, Settings(threads=1, options=chosen), folder)


def path_of(recording: Recording) -> Trajectory:
    path = recording.path
    stamps = tuple(frame.stamp for frame in recording)
    return Trajectory(stamps=stamps, positions=path[:, :3], quaternions=path[:, 3:])


@pytest.mark.parametrize(
    ("mode", "tracked_every", "filter_thresh", "tolerance_m"),
    [("mono", 1, 1.5, 0.004), ("stereo", 2, 0.9, 0.003), ("rgbd", 1, 1.5, 0.0001)],
)
def test_perfect_flow_gives_the_true_path(
    mode: str,
    tracked_every: int,
    filter_thresh: float,
    tolerance_m: float,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    tell: Callable[[str], None],
) -> None:
    """Half of the frames are keyframes; the others are filled in. A pair and depth give metres."""
    from tests.payload.oracle import Recording

    recording = Recording(mode=mode, frames=20, step_m=0.12, baseline_m=0.25)
    found = reconstruct(
        recording, tmp_path, monkeypatch, tracked_every=tracked_every, filter_thresh=filter_thresh
    )
    assert found.facts["keyframes"] == 10
    truth = path_of(recording)
    free = compare(truth, found.trajectory, Comparison(alignment="sim3"))
    tell(f"{mode}: perfect flow, {free.statistics['rmse'] * 1000:.4f} mm over {free.path_length:.2f} m")
    assert free.path_length > 2
    assert free.statistics["rmse"] < tolerance_m
    if mode != "mono":
        rigid = compare(truth, found.trajectory, Comparison(alignment="se3"))
        assert rigid.statistics["rmse"] < tolerance_m
    # The world is the first camera's, so that rotations need no alignment.
    cosines = np.abs((truth.quaternions * found.trajectory.quaternions).sum(1))
    assert 2 * np.arccos(np.minimum(cosines, 1)).max() < 0.002
    points = free.align(found.cloud.points)
    away = np.minimum(np.abs(points[:, 2] - WALL_M), np.abs(points[:, 1] - FLOOR_M))
    assert len(points) > 10_000
    # Inverse depths are known for cells of 8x8 pixels, and are spread over them without a network's help.
    assert np.quantile(away, 0.5) < 0.01
    assert np.quantile(away, 0.99) < 0.04
