"""What the payload's tests share: the program as a process, small datasets, the real data where it lies."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from PIL import Image

from slam.demo.room import build_room
from slam.demo.scene import make_scene

REPOSITORY = Path(__file__).parents[2]

Slam = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def job_environment() -> dict[str, str]:
    """A job's environment: no more than it needs, so that nothing of this machine's helps."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return {**kept, "PYTHONPATH": str(REPOSITORY / "docker" / "payload"), "PYTHONWARNINGS": "error"}


@pytest.fixture
def slam(slam_once: Slam) -> Slam:
    """Run ``python3 -m slam`` with these arguments, and with these variables set."""
    return slam_once


@pytest.fixture(scope="session")
def slam_once(job_environment: dict[str, str]) -> Slam:
    """The same, for what several tests look at."""

    def run(*arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-m", "slam", *map(str, arguments)]
        environment = {**job_environment, **variables}
        return subprocess.run(
            argv,
            capture_output=True,
            encoding="utf-8",
            errors="surrogateescape",
            env=environment,
            timeout=300,
            check=False,
        )

    return run


@pytest.fixture(scope="session", autouse=True)
def _one_room() -> Iterator[None]:
    """The demo's room is lit once, which takes many seconds, and not for each film of it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("slam.demo.scene.build_room", functools.cache(build_room))
        yield


@pytest.fixture(scope="session")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few frames of the demo's room, as a folder in a data root of its own."""
    folder = tmp_path_factory.mktemp("data") / "room"
    common = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        common = common.parent
    # All processes of a test run have it from the first that needs it.
    with FileLock(common / "room.lock"):
        if not (common / "room").exists():
            make_scene(common / "room", frames=8, width=320)
    shutil.copytree(common / "room", folder)
    return folder


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A dataset of four small images, in name order, with a camera and a ground truth."""
    folder = tmp_path / "root" / "photos"
    folder.mkdir(parents=True)
    for name in ("b.png", "a.jpg", "d.png", "c.JPG"):
        pixels = np.random.default_rng(ord(name[0])).integers(0, 255, (30, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / name)
    (folder / "calib.txt").write_text("50 51 20 15\n")
    (folder / "groundtruth.txt").write_text("".join(f"{i} {i} {i * i} 0 0 0 0 1\n" for i in range(4)))
    return folder


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data, which is not part of the repository."""
    folder = Path(os.environ.get("SLIPWAY_SHARED_DATA") or REPOSITORY.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}; name its folder in SLIPWAY_SHARED_DATA")
    return folder
