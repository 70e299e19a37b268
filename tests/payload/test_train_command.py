"""The command line of a training; nothing here needs PyTorch."""

from __future__ import annotations

from pathlib import Path

import pytest

from slam.errors import UsageError
from slam.train.command import is_training, read_options
from slam.train.options import Options
from tests.payload.conftest import Slam

# As upstream's train.py prints them with --help, at 2dfd39f.
UPSTREAM = {
    "batch": 1, "iters": 15, "steps": 250000, "lr": 0.00025, "clip": 2.5, "n_frames": 7,
    "w1": 10.0, "w2": 0.01, "w3": 0.05, "fmin": 8.0, "fmax": 96.0, "edges": 24, "restart_prob": 0.2,
}  # fmt: skip


def read(*words: str) -> Options:
    return read_options(["--task", "train", *words], {})


def test_upstreams_options_have_its_defaults() -> None:
    options = read("--dataset", "hall", "--out", "out")
    assert {name: getattr(options, name) for name in UPSTREAM} == UPSTREAM
    assert (options.data, options.device, options.crop) == (Path("/data/hall"), "cuda", (384, 512))


def test_options_are_read() -> None:
    words = "--n_frames 5 --restart-prob 0 --crop 128 160 --freeze fnet cnet --gpus 2 --ckpt w"
    options = read("--datapath", "d", "--out", "o", *words.split())
    assert (options.n_frames, options.restart_prob, options.crop) == (5, 0, (128, 160))
    assert (options.freeze, options.gpus, options.ckpt) == (("fnet", "cnet"), 2, Path("w"))


def test_upstreams_idle_options_are_taken(capsys: pytest.CaptureFixture[str]) -> None:
    read("--datapath", "d", "--out", "o", "--noise", "--scale")
    said = capsys.readouterr().out
    assert "--noise has no effect" in said
    assert "--scale has no effect" in said


@pytest.mark.parametrize(
    "argv", [["--task", "train"], ["--task=train"], ["--stride", "2", "--task", "train"]]
)
def test_a_training_is_known_by_its_task(argv: list[str]) -> None:
    assert is_training(argv)


@pytest.mark.parametrize("argv", [[], ["--task", "infer"], ["train"], ["--task"]])
def test_nothing_else_is_a_training(argv: list[str]) -> None:
    assert not is_training(argv)


PLACES = ["--datapath", "d", "--out", "o"]
REFUSED = {
    "needs a dataset": ["--out", "o"],
    "no output folder": ["--datapath", "d"],
    "'130' is not a multiple of 8": [*PLACES, "--crop", "130", "160"],
    "'64' is not a multiple of 8 from 128 on": [*PLACES, "--crop", "64", "160"],
    "'1' is not a number from 0 on and less than 1": [*PLACES, "--restart_prob", "1"],
    "'nan' is not a number": [*PLACES, "--lr", "nan"],
    "'2' is not a whole number from 3": [*PLACES, "--steps", "2"],
    r"there is no option '--bacth' \(did you mean --batch": [*PLACES, "--bacth", "2"],
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_cannot_be_done_is_refused(message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read(*REFUSED[message])


def test_without_upstream_it_says_so(slam: Slam, tmp_path: Path) -> None:
    words = ("--datapath", tmp_path, "--out", tmp_path / "out", "--device", "cpu")
    done = slam("--task", "train", *words, DROID_ROOT=str(tmp_path))
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "there is no DROID-SLAM in" in done.stderr
