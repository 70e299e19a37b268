"""`invoke status` where sites cannot be asked: runs are shown all the same, and the exit code says why."""

import json
import os
import shutil
import socket
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path

import pytest

from slipway.job.run import Run, Status
from slipway.job.store import RunStore
from slipway.scheduler.base import State
from tests.waiting import PATIENCE_S

ROOT = Path(__file__).parents[2]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with two sites: at `closed` nothing listens, and the file of `wrong` is broken."""
    for name in ("cluster", "env", "home"):
        (tmp_path / name).mkdir()
    shutil.copy(ROOT / "tasks.py", tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    (tmp_path / "env" / ".env.base").touch()
    (tmp_path / "cluster" / "closed.yaml").write_text(
        f"login: {{host: 127.0.0.1, port: {port}}}\npaths: {{scratch: /scratch}}\n"
    )
    (tmp_path / "cluster" / "wrong.yaml").write_text("login: {}\n")
    return tmp_path


def keep_run(checkout: Path, site: str, state: State = State.RUNNING) -> None:
    store = RunStore(checkout / "state" / "runs")
    run = Run(
        run_id=f"{site}-{state.value}",
        site=site,
        profile="cpu",
        submitted=datetime(2026, 1, 31, tzinfo=timezone.utc),
        program=("true",),
        args=(),
        commit=None,
        dirty=False,
        image_id="sha256:1",
        sif="/s/images/a-1.sif",
        sif_sha256="1",
        code="c0de",
        resources={},
        profile_values={},
        site_values={},
        run_dir=f"/s/runs/{site}-{state.value}",
        status=Status(state=state),
    )
    store.save(run)


def ask(checkout: Path) -> tuple[int, dict[str, str], str]:
    """The exit code, the state of each site's run, and what was said of errors."""
    own = {"HOME": str(checkout / "home"), "SLIPWAY_STATE": str(checkout / "state"), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-m", "invoke", "status", "--json"],
        cwd=checkout,
        env={**os.environ, **own},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert "Traceback" not in done.stderr
    listed = json.loads(done.stdout)
    return done.returncode, {run["site"]: run["state"] for run in listed}, done.stderr


def test_one_site_keeps_its_code(checkout: Path) -> None:
    keep_run(checkout, "closed")
    # A run that is over asks nobody.
    keep_run(checkout, "elsewhere", State.COMPLETED)
    code, states, said = ask(checkout)
    assert (code, states) == (78, {"closed": "UNKNOWN", "elsewhere": "COMPLETED"})
    assert "error: closed: " in said
    assert "nothing listens on port" in said
    (checkout / "cluster" / "closed.yaml").write_text("login: {}\n")
    assert ask(checkout)[0] == 65


def test_several_sites_share_one(checkout: Path) -> None:
    for site in ("closed", "wrong"):
        keep_run(checkout, site)
    code, states, said = ask(checkout)
    assert (code, states) == (68, {"closed": "UNKNOWN", "wrong": "UNKNOWN"})
    assert said.count("error:") == 1
    assert "closed: " in said
    assert "\nwrong: " in said


def test_no_trouble_is_no_error(checkout: Path) -> None:
    keep_run(checkout, "elsewhere", State.COMPLETED)
    assert ask(checkout) == (0, {"elsewhere": "COMPLETED"}, "")
