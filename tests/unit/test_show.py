"""`invoke show` as one types it: which page is written, what is said, and when a browser is started."""

import os
import shutil
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest

from slipway.job.store import RunStore
from tests.page_runs import bring_home, make_run, slam_files
from tests.waiting import PATIENCE_S

ROOT = Path(__file__).parents[2]
FIRST = make_run("aaaa-cpu-20260101-000000")
SECOND = make_run("bbbb-cpu-20260102-000000", name="better", submitted=FIRST.submitted + timedelta(days=1))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "env").mkdir()
    (tmp_path / "env" / ".env.base").touch()
    shutil.copy(ROOT / "tasks.py", tmp_path)
    store = RunStore(tmp_path / ".slipway" / "runs")
    for run in (FIRST, SECOND):
        store.save(run)
    bring_home(tmp_path / "results", FIRST, slam_files())
    return tmp_path


def show(project: Path, *words: str, code: int = 0, **variables: str) -> tuple[str, str]:
    """What is printed to both outputs."""
    hidden = ("DISPLAY", "WAYLAND_DISPLAY", "SSH_CONNECTION", "SSH_TTY", "SLIPWAY_STATE", "SLIPWAY_RESULTS")
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    done = subprocess.run(
        [sys.executable, "-m", "invoke", "show", *words],
        cwd=project,
        env={**environment, "PYTHONPATH": str(ROOT), **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout, done.stderr


def test_a_run_by_its_place(project: Path) -> None:
    out, said = show(project, "aa")
    assert out == f"results/{FIRST.run_id}/index.html\n"
    assert "There is no display here; open the file with a browser" in said
    assert "0.0123" in (project / "results" / FIRST.run_id / "index.html").read_text()


def test_the_newest_is_named_and_may_be_away(project: Path) -> None:
    out, said = show(project, "--no-open")
    assert out == f"results/{SECOND.run_id}/index.html\n"
    assert f"{SECOND.run_id} (better), the newest run" in said
    assert f"`invoke show {SECOND.run_id} --pull` brings them" in said
    assert "display" not in said


def test_several_give_one_page(project: Path) -> None:
    out, _ = show(project, "aa", "better", "--no-open")
    assert out == "results/compare-aaaa-bbbb.html\n"
    assert "2 runs, side by side" in (project / "results" / "compare-aaaa-bbbb.html").read_text()


def test_a_run_that_there_is_not(project: Path) -> None:
    out, said = show(project, "zz", code=64)
    assert out == ""
    assert "error: " in said
    assert "zz" in said


def test_a_browser_is_started_where_there_is_a_display(project: Path) -> None:
    browser = project / "browser"
    browser.write_text('#!/bin/sh\nprintf "%s" "$1" >"$0.part"\nmv "$0.part" "$0.seen"\n')
    browser.chmod(0o755)
    _, said = show(project, "aa", DISPLAY=":0", BROWSER=f"{browser} %s")
    assert "display" not in said
    deadline = time.monotonic() + PATIENCE_S
    while not (seen := project / "browser.seen").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert seen.read_text() == (project / "results" / FIRST.run_id / "index.html").as_uri()
