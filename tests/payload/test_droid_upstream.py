"""The engine over a real checkout of DROID-SLAM, on the CPU and with an untrained network.

``DROID_ROOT`` names the checkout; PyTorch and lietorch have to be there. Each run takes a minute or two.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from slam.dataset.layout import open_sequence
from slam.dataset.sequence import Choice, Picture, Sequence
from slam.demo.scene import make_scene
from slam.engine.droid import engine
from slam.engine.estimate import Settings
from tests.payload.datasets import frames_at
from tests.result_files import DROID_WITH_PTH

torch = pytest.importorskip("torch", reason="PyTorch is not installed here; the CUDA image has it")
pytest.importorskip("lietorch", reason="lietorch is not installed here; the CUDA image has it")
pytestmark = pytest.mark.skipif(
    not os.environ.get("DROID_ROOT"), reason="DROID_ROOT does not name a checkout of DROID-SLAM"
)


@contextlib.contextmanager
def upstream_modules(precision: torch.dtype = torch.float64) -> Iterator[None]:
    from slam.engine.droid.upstream import upstream

    known = set(sys.modules)
    # Its own solver loses digits in single precision.
    torch.set_default_dtype(precision)
    with upstream(Path(os.environ["DROID_ROOT"]), "cpu"):
        yield
    torch.set_default_dtype(torch.float32)
    for name in set(sys.modules) - known:
        if (getattr(sys.modules[name], "__file__", None) or "").startswith(os.environ["DROID_ROOT"]):
            del sys.modules[name]


def test_a_bundle_adjustment_is_that_of_upstreams_python() -> None:
    """Which has no kernel's peculiarities: depths that are not tied to the window's first pose agree."""
    from slam.engine.droid import kernels

    torch.manual_seed(0)
    with upstream_modules():
        from geom import ba as reference
        from geom import projective_ops
        from lietorch import SE3

        # It damps before depths are eliminated, the kernel afterwards: that part is left out.
        reference.schur_solve = functools.partial(reference.schur_solve, lm=0.0)

        count, height, width = 6, 12, 16
        intrinsics = torch.tensor([14.0, 15.0, 7.5, 5.5])
        truth = SE3.exp(0.1 * torch.randn(count, 6))
        disps = 0.3 + 0.4 * torch.rand(count, height, width)
        ii, jj = (side.reshape(-1) for side in torch.meshgrid(*[torch.arange(count)] * 2, indexing="ij"))
        near = ((ii - jj).abs() <= 2) & (ii != jj)
        ii, jj = ii[near], jj[near]
        every = intrinsics.expand(1, count, 4)
        target, valid = projective_ops.projective_transform(SE3(truth.data[None]), disps[None], every, ii, jj)
        weight = torch.rand_like(target) * valid
        start = (SE3.exp(0.02 * torch.randn(count, 6)) * truth).data
        guess = disps * (1 + 0.05 * torch.randn_like(disps))
        eta = 0.02 * torch.rand(count, height, width) + 1e-3
        poses, depths = reference.BA(
            target,
            weight,
            (eta - 1e-7)[None],
            SE3(start[None].clone()),
            guess[None].clone(),
            every,
            ii,
            jj,
            1,
        )
    mine, found = start.clone(), guess.clone()
    flat = [one[0].permute(0, 3, 1, 2).contiguous() for one in (target, weight)]
    sensed = torch.zeros_like(found)
    kernels.ba(mine, found, intrinsics, sensed, *flat, eta, ii, jj, 1, count, 1, 0.0, 0.1, False)
    assert (start - poses.data[0]).abs().max() > 1e-3
    torch.testing.assert_close(mine, poses.data[0], atol=1e-6, rtol=1e-6)
    # Keyframes 0 to 3 have edges with pose 1, and the kernel forgets its step.
    torch.testing.assert_close(found[4:], depths[0, 4:], atol=1e-6, rtol=1e-6)
    assert (found[:4] - depths[0, :4]).abs().max() > 1e-4


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    make_scene(root / "room", frames=24, width=320)
    return root


@pytest.fixture
def command(job_environment: dict[str, str], data: Path, tmp_path: Path):
    """The argv of a small run, and its environment."""
    argv = [
        sys.executable, "-m", "slam", "--task", "infer", "--engine", "droid", "--device", "cpu",
        "--random-weights", "--data-root", str(data), "--dataset", "room", "--max-frames", "10",
        "--max-image-size", "176", "--threads", "1", "--out", str(tmp_path / "out"),
    ]  # fmt: skip
    return argv, {**job_environment, "DROID_ROOT": os.environ["DROID_ROOT"]}


def run(command, *options: str) -> subprocess.CompletedProcess[str]:
    argv, environment = command
    return subprocess.run(
        [*argv, *options], env=environment, capture_output=True, text=True, timeout=1500, check=False
    )


def test_a_sequence_goes_through_on_the_cpu(command, data: Path, tmp_path: Path) -> None:
    """An untrained network finds nothing; what is shown is that all of it runs, and what form comes out."""
    done = run(command, "--pth", "--buffer", "21", "--disable_vis", "--save_headless")
    assert (done.returncode, done.stderr) == (0, "")
    out = tmp_path / "out"
    assert {path.name for path in out.iterdir()} == DROID_WITH_PTH
    for line in ("note       without a GPU", "buffer     27 keyframes, 21 were too few", "filling in 10/10"):
        assert line in done.stdout
    stamps = [line.split()[0] for line in (data / "room" / "rgb.txt").read_text().splitlines()[1:]]
    for name in ("trajectory.tum", "keyframes.tum"):
        rows = [line.split() for line in (out / name).read_text().splitlines()[1:]]
        assert [row[0] for row in rows] == stamps[:10]
        assert np.isfinite(np.array(rows, dtype=float)).all()
    summary = json.loads((out / "summary.json").read_text())
    assert (summary["frames"], summary["keyframes"], summary["mode"]) == (10, 10, "mono")
    assert (summary["weights_sha256"], summary["image_size"]) == ("random", [176, 128])
    assert summary["engine_settings"]["frontend_thresh"] == 16
    assert summary["caveat"] == engine.UNTRAINED
    values = torch.load(out / "reconstruction.pth", weights_only=True)
    with np.load(out / "reconstruction.npz") as archive:
        for name, value in values.items():
            np.testing.assert_array_equal(archive[name], value.numpy())
        assert archive["images"].shape == (10, 3, 128, 176)
        assert archive["images"].std() > 10


def test_keyframes_that_are_taken_back_leave_the_others_their_own(
    command, data: Path, tmp_path: Path
) -> None:
    """Images, places and timestamps of those that stay belong together, and each frame has its pose."""
    done = run(command, "--max-frames", "8", "--warmup", "5", "--keyframe_thresh", "1e9", "--buffer", "21")
    assert (done.returncode, done.stderr) == (0, "")
    out = tmp_path / "out"
    frames = list(open_sequence(data / "room", Choice(max_frames=8, max_image_size=176)).frames)
    with np.load(out / "reconstruction.npz") as archive:
        places = archive["tstamps"].astype(int).tolist()
        assert places == [0, 1, 2, 6, 7]
        assert archive["stamps"].tolist() == [frames[place].stamp for place in places]
        np.testing.assert_array_equal(archive["images"], [frames[place].image for place in places])
    assert len((out / "trajectory.tum").read_text().splitlines()) == 1 + 8


@dataclass(frozen=True, kw_only=True)
class Made:
    """Nine frames of a wall that moves to the left, as a pair of cameras or one with depth sees it."""

    mode: str

    def __iter__(self) -> Iterator[Picture]:
        wall = np.random.default_rng(0).integers(0, 255, (3, 32, 96), np.uint8).repeat(5, 1).repeat(5, 2)
        for place in range(9):
            left, right = (wall[:, :128, start : start + 160].copy() for start in (6 * place, 6 * place + 4))
            yield Picture(
                index=place,
                image=left,
                intrinsics=np.array([144.0, 144, 80, 64]),
                right=right if self.mode == "stereo" else None,
                depth=np.full((128, 160), 2, np.float32) if self.mode == "rgbd" else None,
            )


@pytest.mark.parametrize(("mode", "scale"), [("stereo", 2.0), ("rgbd", 1.0)])
def test_pairs_and_depth_go_through(
    mode: str, scale: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In this process, because the made frames cannot be pickled to another."""
    stamps = tuple(f"{place}.5" for place in range(9))
    stream = Sequence(
        name="made",
        frames=frames_at(*stamps),
        pictures=Made(mode=mode),
        height=128,
        width=160,
        mode=mode,
        baseline_m=0.2,
    )
    settings = Settings(threads=1, options={"device": "cpu", "random_weights": True})
    with upstream_modules(torch.float32):
        found = engine.estimate(stream, settings, tmp_path)
    assert (found.facts["mode"], found.facts["keyframes"], found.trajectory.stamps) == (mode, 9, stamps)
    with np.load(found.files["reconstruction.npz"]) as archive:
        assert archive["scale"] == scale
        assert np.isfinite(archive["poses"]).all()
    assert np.isfinite(found.trajectory.positions).all()


def test_a_camera_that_does_not_move_is_told(command, tmp_path: Path) -> None:
    done = run(command, "--filter_thresh", "1e9")
    assert done.returncode == 3
    assert re.fullmatch(r"slam: the camera does not move in any of 10 frames: .*\n", done.stderr)
    assert list((tmp_path / "out").iterdir()) == []


def test_too_few_frames_are_told(command) -> None:
    done = run(command, "--warmup", "11")
    assert done.returncode == 3
    assert "10 of 10 frames became keyframes, and 11 (--warmup) are needed" in done.stderr


def children(pid: int) -> list[int]:
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [one for child in map(int, listed) for one in (child, *children(child))]


def find_backend(pid: int, limit_s: float = 300) -> int:
    """Upstream's second process below ours; multiprocessing's own has another name."""
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        for child in children(pid):
            with contextlib.suppress(OSError):
                if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes():
                    return child
        time.sleep(0.2)
    raise AssertionError("there is no second process")


def test_a_second_process_that_dies_ends_the_run(command, tmp_path: Path) -> None:
    argv, environment = command
    with subprocess.Popen(
        [*argv, "--asynchronous"], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        # As a crash in a compiled library would end it; signals that ask are for the program itself.
        os.kill(find_backend(process.pid), signal.SIGABRT)
        _, said = process.communicate(timeout=600)
    assert process.returncode == 7
    assert "DROID-SLAM's backend process ended with SIGABRT before its work was done" in said
    assert list((tmp_path / "out").iterdir()) == []


def test_the_second_process_ends_with_the_program(command) -> None:
    argv, environment = command
    with subprocess.Popen(
        [*argv, "--asynchronous"], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as process:
        backend = find_backend(process.pid)
        process.terminate()
        process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    end = time.monotonic() + 20
    while Path(f"/proc/{backend}").exists() and time.monotonic() < end:
        time.sleep(0.1)
    assert not Path(f"/proc/{backend}").exists()
