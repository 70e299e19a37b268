"""The CUDA image, compiled from sources that this machine has; it takes minutes to hours the first time.

``DROID_SLAM_SOURCE`` and ``LIETORCH_SOURCE`` in the environment name the folders, ``BASE_IMAGE`` an image
with nvcc (default: the profile `devel`'s, which is made here), ``RUNTIME_IMAGE`` the final one's. Other words
of the environment that are keys of a profile count, too: ``TORCH_CUDA_ARCH_LIST``, ``MAX_JOBS``.
"""

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from slipway.image.base import ensure_base
from slipway.image.build import build_image
from slipway.image.engine import Image, engine, run_container
from slipway.image.recipe import profile_recipe
from slipway.profile import Profile, load_profile
from slipway.progress import NullProgress
from tests.integration.task_runner import TaskRunner
from tests.payload.footage import make_footage
from tests.result_files import DROID_WITH_PTH

ROOT = Path(__file__).parents[2]
KEYS = (
    "DROID_SLAM_SOURCE",
    "LIETORCH_SOURCE",
    "TORCH_CUDA_ARCH_LIST",
    "MAX_JOBS",
    "BASE_IMAGE",
    "RUNTIME_IMAGE",
)

pytestmark = pytest.mark.skipif(
    not os.environ.get("DROID_SLAM_SOURCE"),
    reason="DROID_SLAM_SOURCE names no checkout of DROID-SLAM to compile",
)


@pytest.fixture(scope="module")
def client() -> Any:
    return engine()


@pytest.fixture(scope="module")
def profile(client: Any) -> Profile:
    devel = load_profile(ROOT / "env", "devel")
    ensure_base(client, devel.base_image, devel.debian_mirror, NullProgress())
    words = {"BASE_IMAGE": devel.image, "RUNTIME_IMAGE": devel.base_image}
    words |= {key: os.environ[key] for key in KEYS if os.environ.get(key)}
    if words["BASE_IMAGE"] == devel.image:
        build_image(client, profile_recipe(devel), NullProgress())
    return load_profile(ROOT / "env", "base", [f"{key}={value}" for key, value in words.items()])


@pytest.fixture(scope="module")
def image(client: Any, profile: Profile) -> Image:
    return build_image(client, profile_recipe(profile), NullProgress())[0]


def run(client: Any, image: Image, *argv: str) -> tuple[int, str]:
    said: list[str] = []
    code = run_container(client, image, argv, mounts={}, listen=said.append)
    return code, "".join(said)


def test_it_checks_itself_and_says_what_could_not_be_checked(client: Any, image: Image) -> None:
    code, said = run(client, image, "python3", "-m", "slam", "--self-test", "--json")
    assert code == 0, said
    states = {check["name"]: check["state"] for check in json.loads(said)["checks"]}
    assert {state for name, state in states.items() if name.startswith("import ")} == {"ok"}
    assert states["lietorch on the CPU"] == "ok"
    code, said = run(client, image, "python3", "-m", "slam", "--self-test", "--require-gpu")
    assert code == 8
    assert "slam: self-test: GPU: there is none: " in said


# The compiled kernels, given tensors of the CPU: they cannot run, and none of them says so.
IDLE = """
from importlib import import_module
import torch
from slam.selftest import known, selftest
kernels = import_module("droid_backends")
for name, case in known.cases():
    if not name.startswith("ba "):  # which asks for the GPU by name, and is told
        print(selftest._check(name, lambda: case(kernels, "cpu")).state)
"""


def test_kernels_that_cannot_run_are_noticed(client: Any, image: Image) -> None:
    code, said = run(client, image, "python3", "-c", IDLE)
    assert (code, said.split()) == (0, ["failed"] * 8)


def test_it_says_what_it_is_made_of(client: Any, image: Image, profile: Profile) -> None:
    code, said = run(client, image, "cat", "/opt/slam/versions.json")
    assert code == 0
    versions = json.loads(said)
    assert versions["torch"].startswith("2.7.1")
    assert versions["architectures"] == profile.torch_cuda_arch_list
    assert versions["packages"]["torch"] == "2.7.1"
    assert len(versions["payload"]) == 16
    for name in ("droid-slam", "lietorch"):
        commit = versions[name.replace("-", "_")]["commit"] or "unknown"
        assert image.labels[f"slipway.{name}"].removesuffix("-dirty") == commit
    assert image.labels["slipway.torch"] == "2.7.1"
    assert image.labels["slipway.architectures"] == profile.torch_cuda_arch_list


def test_it_has_no_compiler_and_nothing_of_the_building_machine(client: Any, image: Image) -> None:
    script = "for x in gcc g++ gcc-13 nvcc ld make pip ninja git; do command -v $x; done; ls -d /src /build; "
    script += "find / -xdev -name ca-bundle.crt -not -path '/proc/*'"
    assert run(client, image, "bash", "-c", f"{{ {script}; }} 2>/dev/null") == (0, "")


SMALL = ("--device", "cpu", "--max-image-size", "176", "--max-frames", "10")


def test_a_job_tracks_the_demo_without_a_gpu(
    image: Image, line: TaskRunner, tell: Callable[[str], None]
) -> None:
    """The whole pipeline with the profile that is the default: `push`, `job -- --task infer`, `pull`."""
    tell(line.invoke("push", "--site", "box", timeout_s=1800).stdout.strip())
    job = ("job", "--site", "box", "--gpus", "0", "--cpus", "2", "--mem", "6000M", "--wait", "--")
    infer = ("--task", "infer", "--dataset", "room", *SMALL, "--random-weights", "--pth")
    line.invoke(*job, *infer, timeout_s=1200)
    run = line.status()[0]
    assert (run["state"], run["reason"], run["exit_code"]) == ("COMPLETED", "ok", 0)
    line.invoke("pull")
    out = line.results / run["run_id"] / "out"
    assert {file.name for file in out.iterdir()} == DROID_WITH_PTH
    summary = json.loads((out / "summary.json").read_text())
    assert (summary["frames"], summary["frames_registered"], summary["keyframes"]) == (10, 10, 10)
    assert summary["caveat"].startswith("the network is untrained")
    assert summary["image"]["torch"].startswith("2.7.1")
    tell(f"10 frames of {summary['image_size']} on the CPU: {summary['seconds']:.0f} s")
    rows = [row.split() for row in (out / "trajectory.tum").read_text().splitlines() if row[0] != "#"]
    assert [row[0] for row in rows] == [f"1700000000.{place}00000" for place in range(10)]


def test_a_job_trains_and_another_uses_its_weights(
    image: Image, line: TaskRunner, tmp_path: Path, tell: Callable[[str], None]
) -> None:
    line.invoke("push", "--site", "box", timeout_s=1800)
    line.invoke("stage", str(make_footage(tmp_path / "wall")), "--site", "box")
    job = ("job", "--site", "box", "--gpus", "0", "--cpus", "2", "--mem", "6000M", "--wait", "--")
    small = ("--crop", "128", "128", "--n_frames", "3", "--fmin", "1", "--edges", "6", "--iters", "2")
    line.invoke(
        *job,
        "--task",
        "train",
        "--dataset",
        "wall",
        "--device",
        "cpu",
        *small,
        "--steps",
        "3",
        timeout_s=1200,
    )
    line.invoke("pull")
    trained = line.results / line.status()[0]["run_id"] / "out"
    rows = (trained / "losses.csv").read_text().splitlines()
    assert len(rows) == 4
    line.invoke("weights", "--name", "mine.pth", "--file", str(trained / "weights.pth"), "--site", "box")
    infer = ("--task", "infer", "--dataset", "room", *SMALL, "--weights", "/weights/mine.pth")
    line.invoke(*job, *infer, "--filter_thresh", "0", "--keyframe_thresh", "0", timeout_s=1200)
    line.invoke("pull")
    summary = json.loads((line.results / line.status()[0]["run_id"] / "out" / "summary.json").read_text())
    assert summary["weights_sha256"] == hashlib.sha256((trained / "weights.pth").read_bytes()).hexdigest()
    assert "caveat" not in summary
