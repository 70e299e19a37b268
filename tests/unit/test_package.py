"""What is installed: the wheel has what git tracks and nothing else, and comes out the same each time."""

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest

import slipway

ROOT = Path(__file__).parents[2]
SHARED = ("docker", "singularity", "cluster", "env")
# What a user's checkout has besides, by its own rules or by mistake.
OWN = (
    "cluster/hpc.yaml",
    "env/.env.local",
    "env/.env.mine",
    "docker/payload/slam/__pycache__/task.cpython-311.pyc",
    "slipway/__pycache__/demo.cpython-311.pyc",
    "results/run/trajectory.tum",
)


def tracked() -> dict[str, bool]:
    """The files of the working tree that git tracks, and whether each is a program."""
    done = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "-z"], capture_output=True, text=True, check=True
    )
    files = [name for name in done.stdout.split("\0") if name and (ROOT / name).is_file()]
    return {name: bool((ROOT / name).stat().st_mode & 0o100) for name in files}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The working tree of a user who has files of their own in it."""
    folder = tmp_path_factory.mktemp("source")
    for name in tracked():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    for name in OWN:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("of the user's own")
    return folder


@pytest.fixture(scope="module")
def built(source: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The wheel and the sdist."""
    return build(source, tmp_path_factory.mktemp("built"))


def build(source: Path, out: Path) -> tuple[Path, Path]:
    """The wheel and the sdist of a source tree, each made from it and not one from the other."""
    argv = [sys.executable, "-m", "build", "--no-isolation", "--wheel", "--sdist"]
    settings = {"SETUPTOOLS_SCM_PRETEND_VERSION": "1.2.3", "SOURCE_DATE_EPOCH": "1700000000"}
    done = subprocess.run(
        [*argv, "--outdir", str(out), str(source)],
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return out / "slipway-1.2.3-py3-none-any.whl", out / "slipway-1.2.3.tar.gz"


def test_the_wheel_has_what_git_tracks_and_nothing_else(built: tuple[Path, Path]) -> None:
    files = {}
    for name, is_program in tracked().items():
        top = name.split("/")[0]
        if top == "slipway" or top in SHARED:
            files[f"slipway/share/{name}" if top in SHARED else name] = is_program
    with zipfile.ZipFile(built[0]) as wheel:
        found = {
            one.filename: bool(one.external_attr >> 16 & 0o100)
            for one in wheel.infolist()
            if ".dist-info/" not in one.filename
        }
    # pyproject.toml names what comes of env/ and cluster/: a new file there is missing until it does.
    assert found == files
    assert {"slipway/py.typed", "slipway/share/docker/.dockerignore"} <= set(found)
    assert found["slipway/share/cluster/box/sbin/box-entrypoint"]


def test_what_it_says_of_itself(built: tuple[Path, Path]) -> None:
    with zipfile.ZipFile(built[0]) as wheel:
        about = wheel.read("slipway-1.2.3.dist-info/METADATA").decode()
        commands = wheel.read("slipway-1.2.3.dist-info/entry_points.txt").decode()
    lines = about.split("\n\n")[0].splitlines()
    assert {"Version: 1.2.3", "License-Expression: MIT", "Requires-Python: >=3.10"} <= set(lines)
    extras = {line.removeprefix("Provides-Extra: ") for line in lines if line.startswith("Provides-Extra: ")}
    assert {"slam", "dask", "dev"} <= extras
    assert "slipway = slipway.__main__:main" in commands


def test_it_comes_out_the_same_each_time_and_from_the_sdist(
    built: tuple[Path, Path], source: Path, tmp_path: Path
) -> None:
    for file in (source / "slipway").rglob("*.py"):
        os.utime(file, (1, 1))
    again = build(source, tmp_path / "again")
    with tarfile.open(built[1]) as archive:
        archive.extractall(tmp_path, filter="data")
    from_sdist = build(tmp_path / "slipway-1.2.3", tmp_path / "from-sdist")
    wheels = [hashlib.sha256(one[0].read_bytes()).hexdigest() for one in (built, again, from_sdist)]
    sdists = [hashlib.sha256(one[1].read_bytes()).hexdigest() for one in (built, again, from_sdist)]
    assert (len(set(wheels)), len(set(sdists))) == (1, 1)


def test_the_version_is_that_of_what_is_installed() -> None:
    assert slipway.__version__ == version("slipway")
    with pytest.raises(AttributeError, match="no_such_name"):
        getattr(slipway, "no_such_name")  # noqa: B009 - mypy knows that there is none
