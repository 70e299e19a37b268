"""The script ``run``: which tasks it wants a Docker engine for, and what it says without one."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# All that the script itself calls. There is no apt-get, so it changes nothing on this machine.
PROGRAMS = ("cmp", "dirname", "id", "sh")

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A checkout that is set up, in which Invoke only says what it was asked; its engine is not there."""
    (tmp_path / "programs").mkdir()
    for name in PROGRAMS:
        (tmp_path / "programs" / name).symlink_to(str(shutil.which(name)))
    shutil.copy(ROOT / "run", tmp_path)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    programs = tmp_path / ".venv" / "bin"
    programs.mkdir(parents=True)
    shutil.copy(ROOT / "pyproject.toml", tmp_path / ".venv" / ".installed")
    write(programs / "python", f'PYTHONPATH={ROOT} exec {sys.executable} "$@"')
    write(programs / "invoke", 'echo "invoke $*"')

    def call(*words: str, engine: str = "unix:///nowhere/docker.sock") -> "subprocess.CompletedProcess[str]":
        environment = {"PATH": str(tmp_path / "programs"), "DOCKER_HOST": engine}
        return subprocess.run(
            [str(tmp_path / "run"), *words], env=environment, capture_output=True, text=True, check=False
        )

    return call


def write(path: Path, line: str) -> None:
    path.write_text(f"#!/bin/sh\n{line}\n")
    path.chmod(0o755)


def test_what_setting_up_prints_is_in_a_file_which_a_failure_names(run: Run, tmp_path: Path) -> None:
    python = tmp_path / ".venv" / "bin" / "python"
    for name in ("date", "mkdir", "tail", "cp"):
        (tmp_path / "programs" / name).symlink_to(str(shutil.which(name)))
    (tmp_path / ".venv" / ".installed").unlink()
    write(python, "echo 'WARNING: noise'")
    done = run("status")
    assert (done.returncode, done.stdout.endswith(" status\n")) == (0, True)
    assert re.fullmatch(r"Installing Slipway into \.venv … \d s\n", done.stderr)
    log = tmp_path / ".slipway" / "logs" / "setup.log"
    assert log.read_text() == "==> Installing Slipway into .venv\nWARNING: noise\n"
    (tmp_path / ".venv" / ".installed").unlink()
    write(python, "echo 'no such package'; exit 1")
    done = run("status")
    assert done.returncode == 66
    assert "no such package" in done.stderr
    assert done.stderr.endswith(
        f"run: Installing Slipway into .venv: this failed. Its last lines are above, "
        f"and all of them in {log}\n"
    )


def test_the_tests_run_with_the_versions_of_the_lock(run: Run, tmp_path: Path) -> None:
    for name in ("date", "mkdir", "tail", "cp"):
        (tmp_path / "programs" / name).symlink_to(str(shutil.which(name)))
    (tmp_path / "lock").mkdir()
    lock, venv = tmp_path / "lock" / "dev.txt", tmp_path / ".venv"
    lock.write_text("a==1 --hash=sha256:1\n")
    write(venv / "bin" / "python", 'case $* in *pip*) echo "python $*" ;; *) exit 1 ;; esac')
    pip = "python -m pip install --disable-pip-version-check"
    locked = f"{pip} --no-compile --require-hashes --requirement {lock}"
    checkout = f"{pip} --editable {tmp_path}[dev]"
    log = tmp_path / ".slipway" / "logs" / "setup.log"

    def installs() -> list[str]:
        assert run("test").returncode == 66  # there is no engine
        lines = [line for line in log.read_text().splitlines() if line.startswith("python")]
        log.write_text("")
        return lines

    assert installs() == [locked, checkout]
    assert installs() == []
    lock.write_text("a==2 --hash=sha256:2\n")
    assert installs() == [locked]
    (tmp_path / "pyproject.toml").write_text("")
    assert installs() == [checkout]


@pytest.mark.parametrize("words", [("build",), ("publish", "--registry=h.io/me"), ("push", "--site", "box")])
def test_without_an_engine_it_says_what_is_missing(run: Run, words: tuple[str, ...]) -> None:
    done = run(*words)
    assert done.returncode == 66
    assert done.stderr.startswith("run: the Docker engine at DOCKER_HOST=unix:///nowhere/docker.sock")
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


@pytest.mark.parametrize(
    "words",
    [
        ("push", "--site", "hpc", "--from-registry", "h.io/me/a:1"),
        ("push", "--from-registry=h.io/me/a:1"),
        ("weights",),
        ("status",),
    ],
)
def test_what_needs_no_engine_asks_for_none(run: Run, words: tuple[str, ...]) -> None:
    done = run(*words)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith(f" {' '.join(words)}\n")


@pytest.mark.skipif(not Path("/var/run/docker.sock").exists(), reason="no engine at its usual place")
@pytest.mark.skipif("DOCKER_HOST" in os.environ, reason="the engine of this machine is elsewhere")
def test_an_engine_that_is_there_is_found(run: Run) -> None:
    done = run("build", engine="unix:///var/run/docker.sock")
    assert (done.returncode, done.stderr) == (0, "")


def test_the_site_is_made_with_the_versions_of_its_lock(run: Run, tmp_path: Path) -> None:
    python = tmp_path / ".venv" / "bin" / "python"
    for name in ("date", "mkdir", "cp"):
        (tmp_path / "programs" / name).symlink_to(str(shutil.which(name)))
    (tmp_path / "lock").mkdir()
    (tmp_path / "lock" / "docs.txt").write_text("a==1 --hash=sha256:1\n")
    write(python, 'echo "python $*"')
    assert run("docs").stdout == f"invoke --search-root {tmp_path} docs\n"
    log = (tmp_path / ".slipway" / "logs" / "setup.log").read_text()
    pip = "python -m pip install --disable-pip-version-check"
    assert [line for line in log.splitlines() if line.startswith("python")] == [
        f"{pip} --no-compile --require-hashes --requirement {tmp_path / 'lock' / 'docs.txt'}",
        f"{pip} --editable {tmp_path}[docs]",
    ]
