"""A repository of a user's own: from an empty folder to results, and images for what its code needs."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from pip._internal.models.index import PyPI

from slipway.image.engine import engine
from tests.integration.task_runner import ROOT
from tests.waiting import PATIENCE_S

HELLO = """\
import os, pathlib
pathlib.Path(os.environ["SLIPWAY_OUT"], "hello.txt").write_text("hello")
"""
PYPROJECT = """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "mine"
version = "0"
requires-python = ">=3.10"
dependencies = ["iniconfig==2.1.0"]
"""
# As `uv lock` writes it. The project itself is in it, and cannot be built: its code is not there.
LOCK = f"""\
version = 1
revision = 3
requires-python = ">=3.10"

[[package]]
name = "iniconfig"
version = "2.1.0"
source = {{ registry = "{PyPI.simple_url}" }}
wheels = [
    {{ url = "https://{PyPI.file_storage_domain}/packages/2c/e1/e6716421ea10d38022b952c159d5161ca1193197fb744506875fbb87ea7b/iniconfig-2.1.0-py3-none-any.whl", hash = "sha256:9deba5723312380e77435581c6bf4935c94cbfab9b1ed33ef8d238ea168eb760", size = 6050 }},
]

[[package]]
name = "mine"
version = "0"
source = {{ editable = "." }}
dependencies = [
    {{ name = "iniconfig" }},
]

[package.metadata]
requires-dist = [{{ name = "iniconfig", specifier = "==2.1.0" }}]
"""  # noqa: E501
VARIANTS = {
    "requirements": {"requirements.txt": "-e .\n-r more/in.txt\n", "more/in.txt": "iniconfig==2.1.0\n"},
    "pyproject": {"pyproject.toml": PYPROJECT},
    "uv": {"pyproject.toml": PYPROJECT, "uv.lock": LOCK},
}


@dataclass(frozen=True)
class Repository:
    """A folder in which somebody runs the command `slipway`."""

    folder: Path

    def slipway(self, *words: str, place: str = ".", timeout_s: float = PATIENCE_S) -> str:
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        environment.pop("SLIPWAY_STATE", None)
        environment.pop("SLIPWAY_RESULTS", None)
        done = subprocess.run(
            [sys.executable, "-m", "slipway", *words],
            cwd=self.folder / place,
            env=environment,
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # without a terminal, wherever the tests run
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        assert done.returncode == 0, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout


@contextmanager
def repository(folder: Path, image: str) -> Iterator[Repository]:
    folder.mkdir()
    try:
        yield Repository(folder)
    finally:
        if engine().images.list(image):
            engine().images.remove(image, force=True)


@pytest.mark.long
def test_from_an_empty_folder_to_results(tmp_path: Path) -> None:
    with repository(tmp_path / "slipway test ünit", "slipway-test-unit") as mine:
        (mine.folder / "hello.py").write_text(HELLO)
        (mine.folder / "deep" / "er").mkdir(parents=True)
        begun = mine.slipway("init")
        commands = [line.split() for line in begun.partition("Next:\n")[2].splitlines()]
        assert [command[0] for command in commands] == ["slipway"] * 3
        try:
            for _, *words in commands:
                mine.slipway(*words)
            # An edit of the code is no other image, and the folder that one stands in does not matter.
            (mine.folder / "hello.py").write_text(HELLO.replace('"hello"', '"again"'))
            assert "unchanged, nothing built" in mine.slipway("build", place="deep")
            job = ("job", "--push", "--wait", "--site", "box", "--", "python", "hello.py")
            mine.slipway(*job, place="deep/er")
            mine.slipway("pull", place="deep/er")
            newest, oldest = json.loads(mine.slipway("status", "--json", place="deep"))
        finally:
            mine.slipway("box.down")
        assert (newest["args"], newest["state"]) == (["python", "hello.py"], "COMPLETED")
        results = mine.folder / "results"
        assert [run.name for run in results.iterdir()] == [newest["run_id"]]
        assert (results / newest["run_id"] / "out" / "hello.txt").read_text() == "again"
        assert oldest["args"] == ["python3", "hello.py"]
        kept = {path.name for path in mine.folder.iterdir()} - {"results", ".slipway", "deep", "hello.py"}
        assert kept == {
            ".dockerignore",
            ".gitignore",
            "Dockerfile",
            "env",
            "tasks.py",
        }


@pytest.mark.long
@pytest.mark.parametrize("name", VARIANTS)
def test_the_image_has_what_the_repository_names(name: str, tmp_path: Path) -> None:
    image = f"slipway-test-{name}"
    with repository(tmp_path / image, image) as mine:
        for file, text in VARIANTS[name].items():
            (mine.folder / file).parent.mkdir(exist_ok=True)
            (mine.folder / file).write_text(text)
        mine.slipway("init")
        mine.slipway("build")
        # A job runs as the cluster's user, whom the image does not know.
        shown = engine().containers.run(
            image,
            ["python", "-c", "import iniconfig, sys; print(iniconfig.__file__, sys.path[1])"],
            remove=True,
            user="12345",
        )
        place, modules = shown.decode().split()
        assert place.startswith("/opt/env/")
        assert modules == "/code"
        found = engine().containers.run(image, ["find", "/", "-xdev", "-name", "ca-bundle.crt"], remove=True)
        assert found == b""


@pytest.mark.long
def test_docker_builds_it_without_slipway(tmp_path: Path) -> None:
    image = "slipway-test-by-hand"
    with repository(tmp_path / image, image) as mine:
        (mine.folder / "requirements.txt").touch()  # for more, networks that open TLS want their certificates
        mine.slipway("init")
        engine().images.build(path=str(mine.folder), tag=image, rm=True)
        assert engine().containers.run(image, ["python", "-c", "print(1)"], remove=True) == b"1\n"
