"""The examples, each copied to a folder of its own and used on the box as their READMEs say."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from slipway.job.run import Run
from slipway.project import Project
from slipway.steps.session import Session
from tests.conftest import Tell
from tests.integration.small_image import SmallImageBox
from tests.integration.task_runner import ROOT
from tests.payload.films import PORTRAIT, film
from tests.waiting import PATIENCE_S, wait_until

FRAMES = 24
SLIPWAY = [sys.executable, "-m", "slipway"]


@dataclass(frozen=True)
class Example:
    """One example's folder, and Slipway in it; all examples share a box."""

    folder: Path
    state: Path

    def command(self, *words: str) -> subprocess.Popen[str]:
        results = str(self.folder / "results")
        return subprocess.Popen(
            [*SLIPWAY, *words],
            cwd=self.folder,
            env={**os.environ, "SLIPWAY_STATE": str(self.state), "SLIPWAY_RESULTS": results},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def slipway(self, *words: str, code: int = 0, timeout_s: float = 2 * PATIENCE_S) -> str:
        """What a task prints."""
        with self.command(*words) as process:
            try:
                printed, errors = process.communicate(timeout=timeout_s)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
        assert process.returncode == code, f"{words}: {process.returncode}\n{printed}\n{errors}"
        return printed

    def submit(self, *words: str) -> str:
        """Submit a job; returns the run's id."""
        return str(re.findall(r"run (\S+)", self.slipway("job", "--", *words))[0])

    def status(self, run: str) -> dict[str, Any]:
        listed: dict[str, Any] = json.loads(self.slipway("status", run, "--json"))[0]
        return listed

    def pull(self, run: str) -> Path:
        """A run's output, brought home."""
        self.slipway("pull", run)
        return self.folder / "results" / run / "out"

    def cluster(self) -> SmallImageBox:
        """The box, as its owner sees it."""
        session = Session(project=Project.find(self.folder))
        return SmallImageBox(session=session, choice=session.choose("base", "box"))

    def find(self, run: str) -> Run:
        return self.cluster().look(run)


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A state folder with a box that is up."""
    folder = tmp_path_factory.mktemp("examples")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLIPWAY_STATE", str(folder / "state"))
        one = Example(folder=copy("dask", folder), state=folder / "state")
        try:
            one.slipway("box.up")
            yield folder / "state"
        finally:
            one.slipway("box.down")


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's room, along a path that is known."""
    folder = tmp_path_factory.mktemp("room") / "room"
    words = [sys.executable, "-m", "slam.demo.scene", "--frames", str(FRAMES), str(folder)]
    path = {**os.environ, "PYTHONPATH": str(ROOT / "docker" / "payload")}
    subprocess.run(words, check=True, env=path, timeout=PATIENCE_S)
    return folder


def copy(name: str, to: Path) -> Path:
    """An example as a user has it: its files in a folder that no checkout of Slipway is above."""
    made = to / name
    shutil.copytree(
        ROOT / "examples" / name, made, ignore=shutil.ignore_patterns(".slipway", "results", "__pycache__")
    )
    return made


def wait_for_lines(example: Example, run: Run, file: str, count: int) -> None:
    """Wait until a file of a run has so many lines."""
    box, path = example.cluster(), f"{run.run_dir}/{file}"
    wait_until(
        lambda: box.is_so(f'[ "$(cat {path} 2>/dev/null | wc -l)" -ge {count} ]'),
        lambda: f"{count} lines in {file} of {box.situation(run)}",
    )


@pytest.mark.long
def test_a_training_goes_on_as_if_it_had_never_stopped(state: Path, tmp_path: Path, tell: Tell) -> None:
    """It is requeued, then warned of its time limit, and a later run goes on from what was brought home."""
    example = Example(folder=copy("train-pytorch", tmp_path), state=state)
    began = time.monotonic()
    example.slipway("build")
    built = time.monotonic()
    example.slipway("push")
    pushed = time.monotonic()
    # Long enough to be stopped in its midst on a fast machine, too.
    train = ("python3", "train.py")
    stopped = example.submit(*train)
    run, box = example.find(stopped), example.cluster()
    wait_for_lines(example, run, "attempt-1/out/metrics.jsonl", 30)
    box.as_root("scontrol", "requeue", str(run.job_id))
    # Meanwhile another one makes all steps at once.
    whole = example.submit(*train)
    attempt = box.begin_again(run)
    wait_for_lines(example, run, f"attempt-{attempt}/out/metrics.jsonl", 150)
    # As SLURM warns the script before the limit.
    box.as_root("scancel", "--signal=USR1", "--batch", str(run.job_id))
    example.slipway("logs", stopped, "--follow", code=138)
    ended = example.status(stopped)
    assert (ended["reason"], ended["exit_code"]) == ("time-limit", 138)
    log = example.slipway("logs", stopped)
    assert "SIGTERM: stopped and saved" in box.as_root("cat", f"{run.run_dir}/attempt-1/log")
    assert "going on from /previous/checkpoint.pt" in log
    assert "SIGUSR1: stopped and saved" in log

    left = example.pull(stopped)
    example.slipway("stage", str(left), "--name", "digits")
    printed = example.slipway("job", "--wait", "--", *train, "--resume", "/data/digits")
    assert "going on from /data/digits/checkpoint.pt" in printed
    resumed = example.pull(str(re.findall(r"run (\S+)", printed)[0]))
    example.slipway("logs", whole, "--follow")
    at_once = example.pull(whole)
    lines = (at_once / "metrics.jsonl").read_text()
    assert (resumed / "metrics.jsonl").read_text() == lines
    steps = [json.loads(line) for line in lines.splitlines()]
    assert [line["step"] for line in steps] == list(range(1, 30 * 22 + 1))
    assert steps[-1]["accuracy"] > 0.97
    assert json.loads((resumed / "summary.json").read_text())["accuracy"] == steps[-1]["accuracy"]
    tell(f"build {built - began:.0f} s, push {pushed - built:.0f} s, jobs {time.monotonic() - pushed:.0f} s")


@contextmanager
def tunnel(state: Path, command: str) -> Iterator[str]:
    """The dashboard's address at home, by the ssh command that the job has printed."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    words = command.replace("8787", str(port)).replace("LOGIN_NODE", "box").split()
    config = ["-F", str(state / "box" / "ssh_config"), "-o", "ExitOnForwardFailure=yes"]
    with subprocess.Popen([words[0], *config, *words[1:]], stdin=subprocess.DEVNULL) as process:
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def fetch(address: str) -> str:
    def ask() -> str:
        try:
            with urllib.request.urlopen(address, timeout=PATIENCE_S) as answer:  # noqa: S310
                return str(answer.read().decode())
        except OSError:
            return ""

    return wait_until(ask, address)


@pytest.mark.long
def test_pairs_are_matched_by_a_cluster_of_dask_that_loses_a_worker(
    state: Path, tmp_path: Path, room: Path, tell: Tell
) -> None:
    example = Example(folder=copy("dask", tmp_path), state=state)
    began = time.monotonic()
    example.slipway("build")
    built = time.monotonic()
    example.slipway("push")
    pushed = time.monotonic()
    photos = tmp_path / "photos"
    photos.mkdir()
    for image in sorted((room / "rgb").iterdir())[:14]:
        shutil.copy(image, photos)
    example.slipway("stage", str(photos))
    run = example.find(example.submit("python3", "launch.py", "python3", "match.py", "/data/photos"))
    wait_for_lines(example, run, "attempt-1/out/pairs.jsonl", 1)
    box = example.cluster()
    # The processes that nannies start.
    worker = box.as_root("pgrep", "-f", "multiprocessing.spawn").split()[0]
    log = box.as_root("cat", f"{run.run_dir}/attempt-1/log")
    with tunnel(state, str(re.findall(r"ssh -N.*", log)[0])) as address:
        page = fetch(f"{address}/status")
    # The dashboard itself, and not the page that says what it needs.
    assert "<title>Dask" in page
    assert "static/js/bokeh" in page, page
    box.as_root("kill", "-9", worker)
    log = example.slipway("logs", run.run_id, "--follow")
    assert "Restarting worker" in log
    assert log.splitlines()[-1] == f"run {run.run_id}  COMPLETED  ok  exit code 0"

    out = example.pull(run.run_id)
    lines = [json.loads(line) for line in (out / "pairs.jsonl").read_text().splitlines()]
    assert len({tuple(line["pair"]) for line in lines}) == len(lines) == 14 * 13 / 2
    summary = json.loads((out / "summary.json").read_text())
    assert (summary["images"], summary["pairs"], summary["groups"]) == (14, 91, 1)
    # The workers of both other nodes had a part in it; the first node has none.
    assert sorted(name[-2:] for name in summary["pairs_by_worker"]) == ["-1", "-2"]
    order = {image.name: place for place, image in enumerate(sorted(photos.iterdir()))}
    near = [line for line in lines if order[line["pair"][1]] - order[line["pair"][0]] == 1]
    far = [line for line in lines if order[line["pair"][1]] - order[line["pair"][0]] > 10]
    assert min(line["inliers"] for line in near) > max(line["inliers"] for line in far)
    assert min(line["inliers"] for line in near) > 500

    # The job ends as its program does.
    failing = ("python3", "launch.py", "python3", "-c", "raise SystemExit(7)")
    example.slipway("job", "--wait", "--", *failing, code=7)
    tell(f"build {built - began:.0f} s, push {pushed - built:.0f} s, jobs {time.monotonic() - pushed:.0f} s")


@pytest.mark.long
def test_a_camera_is_followed_through_a_video(state: Path, tmp_path: Path, room: Path, tell: Tell) -> None:
    """The README's path with COLMAP, from a phone that is held upright to a page; DROID-SLAM needs a GPU."""
    example = Example(folder=copy("own-video", tmp_path), state=state)
    frames = [np.asarray(Image.open(path)) for path in sorted((room / "rgb").iterdir())]
    # The sensor's rows are the columns that a person sees.
    video = film(example.folder / "desk.mp4", [np.rot90(frame) for frame in frames], matrix=PORTRAIT)
    began = time.monotonic()
    example.slipway("build", "--profile", "cpu")
    built = time.monotonic()
    example.slipway("push", "--profile", "cpu", "--site", "box")
    pushed = time.monotonic()
    assert "for jobs: /data/desk" in example.slipway("stage", "desk.mp4")
    # The path is known: the job compares with it.
    (example.folder / "desk").mkdir()
    video.rename(example.folder / "desk" / "desk.mp4")
    rows = (room / "groundtruth.txt").read_text().splitlines()
    poses = [row.split()[1:] for row in rows if not row.startswith("#")]
    truth = "".join(f"{place / 30:.6f} {' '.join(pose)}\n" for place, pose in enumerate(poses))
    (example.folder / "desk" / "groundtruth.txt").write_text(truth)
    assert "2 files, 1 there already" in example.slipway("stage", "desk")
    infer = ("--task", "infer", "--dataset", "desk", "--stride", "2", "--colmap-text")
    printed = example.slipway("job", "--profile", "cpu", "--site", "box", "--wait", "--", *infer)
    run = str(re.findall(r"run (\S+)", printed)[0])
    out = example.pull(run)
    summary = json.loads((out / "summary.json").read_text())
    assert (summary["frames_registered"], summary["image_size"]) == (FRAMES // 2, [640, 480])
    assert summary["camera"]["parameters"][0] == pytest.approx(525, rel=0.05)  # that of the room's camera
    assert summary["camera"]["model"] in (out / "sparse" / "0" / "cameras.txt").read_text()
    ate = json.loads((out / "ate.json").read_text())
    assert ate["rmse"] < 0.02 * ate["path_length"], ate
    page = example.folder / example.slipway("show", run, "--no-open").split()[-1]
    text = page.read_text()
    assert f"ATE rmse {ate['rmse']:.4g}" in text
    assert f"{FRAMES // 2} of {FRAMES // 2}" in text
    tell(f"build {built - began:.0f} s, push {pushed - built:.0f} s, job {time.monotonic() - pushed:.0f} s")
