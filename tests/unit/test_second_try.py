"""The second try of tests that failed, on folders of toy tests that write down each of their runs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.second_try import MOST

ROOT = Path(__file__).parents[2]
TOYS = """
import os
from pathlib import Path
import pytest

def ran(name):
    with (Path(__file__).parent / f"{name}.ran").open("a") as file:
        file.write(os.environ.get("PYTEST_XDIST_WORKER", "alone") + chr(10))
    return len((Path(__file__).parent / f"{name}.ran").read_text().split())

def test_good():
    assert ran("good")

@pytest.fixture
def daemon():
    assert ran("daemon") > 1, "no daemon yet"

def test_needs_a_daemon(daemon):
    pass

def test_once():
    assert ran("once") > 1, "not the first time"
"""
ALWAYS = """
def test_always():
    assert ran("always") < 0, "never"
"""
MANY = f"""
@pytest.mark.parametrize("number", range({MOST}))
def test_many(number):
    assert ran(f"many{{number}}") > 1
"""
RACES = "Failed beside others and passed alone"


def run(folder: Path, text: str) -> "subprocess.CompletedProcess[str]":
    (folder / "test_toys.py").write_text(text)
    argv = [sys.executable, "-m", "tests.second_try", "-n", "1", "--dist", "loadfile", str(folder)]
    # These tests may be in a worker themselves.
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    return subprocess.run(argv, cwd=ROOT, env=env, capture_output=True, text=True, check=False)


def runs(folder: Path) -> dict[str, list[str]]:
    """Where each toy ran, in order."""
    return {
        file.stem: ["alone" if line == "alone" else "beside" for line in file.read_text().split()]
        for file in folder.glob("*.ran")
    }


def told(done: "subprocess.CompletedProcess[str]", title: str) -> list[str]:
    """The tests that are named below a title."""
    _, _, below = done.stdout.partition(f"\n{title}")
    named = below.partition("\n\n")[0].splitlines()[1:]
    return [line.rpartition("::")[2] for line in named]


def test_a_race_passes_alone_and_is_named(tmp_path: Path) -> None:
    done = run(tmp_path, TOYS)
    assert done.returncode == 0, done.stdout
    assert runs(tmp_path) == {
        "good": ["beside"],
        "daemon": ["beside", "alone"],
        "once": ["beside", "alone"],
    }
    assert told(done, RACES) == ["test_needs_a_daemon", "test_once"]
    assert "Failed twice" not in done.stdout
    # The first failure is shown whole.
    assert "AssertionError: not the first time" in done.stdout


def test_what_fails_twice_fails(tmp_path: Path) -> None:
    done = run(tmp_path, TOYS + ALWAYS)
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout
    assert runs(tmp_path)["always"] == ["beside", "alone"]
    assert told(done, RACES) == ["test_needs_a_daemon", "test_once"]
    assert told(done, "Failed twice") == ["test_always"]


@pytest.mark.long
def test_many_failures_are_no_race(tmp_path: Path) -> None:
    done = run(tmp_path, TOYS + MANY)
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout
    assert all(where == ["beside"] for where in runs(tmp_path).values())
    assert "Second try" not in done.stdout


@pytest.mark.long
def test_what_cannot_be_collected_fails(tmp_path: Path) -> None:
    done = run(tmp_path, "import no_such_module\n")
    assert done.returncode != pytest.ExitCode.OK, done.stdout
    assert RACES not in done.stdout
