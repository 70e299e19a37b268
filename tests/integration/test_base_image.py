"""The CUDA image, compiled from sources that this machine has; it takes minutes to hours the first time.

``DROID_SLAM_SOURCE`` and ``LIETORCH_SOURCE`` in the environment name the folders, ``BASE_IMAGE`` an image
with nvcc (default: the profile `devel`'s, which is made here), ``RUNTIME_IMAGE`` the final one's. Other words
of the environment that are keys of a profile count, too: ``TORCH_CUDA_ARCH_LIST``, ``MAX_JOBS``.
"""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from slipway.image.base import ensure_base
from slipway.image.engine import Image, build_image, engine, run_container
from slipway.image.recipe import profile_recipe
from slipway.profile import Profile, load_profile
from slipway.progress import Silence

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
    ensure_base(client, devel.base_image, devel.debian_mirror, Silence())
    words = {"BASE_IMAGE": devel.image, "RUNTIME_IMAGE": devel.base_image}
    words |= {key: os.environ[key] for key in KEYS if os.environ.get(key)}
    if words["BASE_IMAGE"] == devel.image:
        build_image(client, profile_recipe(devel, ROOT), Silence())
    return load_profile(ROOT / "env", "base", [f"{key}={value}" for key, value in words.items()])


@pytest.fixture(scope="module")
def image(client: Any, profile: Profile) -> Image:
    return build_image(client, profile_recipe(profile, ROOT), Silence())[0]


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
from slam import known, selftest
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
