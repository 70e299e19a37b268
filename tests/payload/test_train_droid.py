"""Training with DROID-SLAM's own sources (``DROID_ROOT``) on the CPU, on a small made recording."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from slam.train.covisibility import measure_flow
from tests.payload.footage import camera, look, make_footage, poses

pytest.importorskip("torch", reason="PyTorch is not installed here")
pytest.importorskip("lietorch", reason="lietorch is not installed here")
ROOT = os.environ.get("DROID_ROOT", "")
if not ROOT:
    pytest.skip("DROID_ROOT does not name a checkout of DROID-SLAM", allow_module_level=True)

TINY = (
    "--device", "cpu", "--crop", 128, 128, "--n_frames", 3, "--fmin", 1, "--edges", 6, "--iters", 2,
    "--workers", 0, "--log-every", 1,
)  # fmt: skip

Train = Callable[..., Path]


@pytest.fixture(scope="module")
def train(tmp_path_factory: pytest.TempPathFactory) -> Train:
    """Run a tiny training, and give its output folder."""
    folder = tmp_path_factory.mktemp("droid")
    make_footage(folder / "data" / "wall", width=160, height=128)
    payload = Path(__file__).parents[2] / "docker" / "payload"
    environment = {**os.environ, "PYTHONPATH": str(payload), "OMP_NUM_THREADS": "1"}

    def run(name: str, *arguments: object) -> Path:
        words = ("--datapath", folder / "data", "--out", folder / name, *TINY, *arguments)
        command = [sys.executable, "-m", "slam", "--task", "train", *map(str, words)]
        done = subprocess.run(
            command, capture_output=True, text=True, env=environment, timeout=900, check=False
        )
        assert done.returncode == 0, done.stderr
        return folder / name

    return run


@pytest.fixture(scope="module")
def whole(train: Train) -> Path:
    return train("whole", "--steps", 6, "--save-every", 3)


def test_losses_after_a_resume_are_those_of_the_unbroken_training(whole: Path, train: Train) -> None:
    resumed = train("resumed", "--steps", 6, "--resume", whole / "checkpoints" / "droid_000003.ckpt")
    assert (resumed / "losses.csv").read_text() == (whole / "losses.csv").read_text()
    assert (resumed / "weights.pth").read_bytes() == (whole / "weights.pth").read_bytes()


def test_two_processes_train_together(train: Train) -> None:
    out = train("two", "--gpus", 2, "--steps", 3)
    rows = np.genfromtxt(out / "losses.csv", delimiter=",", names=True)
    assert np.isfinite(rows["loss"]).all()
    assert len(rows) == 3


def test_weights_are_as_upstreams_own(whole: Path) -> None:
    """Upstream takes ``module.`` away, and cuts the first two outputs of these layers."""
    import torch

    weights = torch.load(whole / "weights.pth", weights_only=True)
    assert all(name.startswith("module.") for name in weights)
    for name in ("weight", "delta"):
        assert len(weights[f"module.update.{name}.2.weight"]) == 2
    from slam.engine.droid.upstream import upstream

    with upstream(Path(ROOT), "cpu"):
        from droid_net import DroidNet

        plain = {name.removeprefix("module."): value for name, value in weights.items()}
        DroidNet().load_state_dict(plain)


def test_distances_of_frames_are_upstreams() -> None:
    import warnings

    from slam.engine.droid.upstream import upstream

    width, height, grid = 192, 144, 16
    track = poses(8, 0.3)
    track[7] = [0, 0, 0, 0, 1, 0, 0]  # turned around
    depths = np.stack([look(pose, width, height)[0] for pose in track])
    disparities = (1 / depths[:, grid // 2 :: grid, grid // 2 :: grid]).astype(np.float32)
    intrinsics = np.array(camera(width, height))
    ours = measure_flow(track, disparities, intrinsics)
    with upstream(Path(ROOT), "cpu"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from data_readers.rgbd_utils import compute_distance_matrix_flow

        cameras = np.tile(intrinsics / grid, (len(track), 1))
        theirs = grid * compute_distance_matrix_flow(track, disparities, cameras)
    apart = ~np.eye(len(track), dtype=bool)
    assert np.isfinite(theirs[apart]).any()
    assert np.isinf(theirs[apart]).any()
    np.testing.assert_allclose(ours[apart], theirs[apart], rtol=1e-3)
