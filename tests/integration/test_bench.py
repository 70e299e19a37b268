"""The suite of benches, in its short form: it measures, checks what each way has done, and leaves nothing."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench.suite.place import ROOT
from slipway.image.base import ensure_base
from slipway.image.engine import engine
from slipway.progress import NullProgress

DEBIAN = "debian:trixie-slim"


@pytest.mark.long
def test_rows_are_measured_and_nothing_is_left(tmp_path: Path) -> None:
    ensure_base(engine(), DEBIAN, None, NullProgress())
    file, folder = tmp_path / "figures.json", ROOT / ".slipway"
    before = {one.name for one in folder.glob("bench-*")}
    argv = [sys.executable, "-m", "bench.suite", "--short", "--base", DEBIAN, "--json", str(file)]
    argv += ["--only", "push-unchanged", "pull"]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows = {row["name"]: row for row in json.loads(file.read_text())["rows"]}
    assert list(rows) == ["push-unchanged", "pull"]
    for row in rows.values():
        assert all(goal["is_met"] is not None for goal in row["goals"])
        assert {figure["way"] for figure in row["figures"]} > {"Slipway"}
        assert all(taken["sent_bytes"] > 0 for figure in row["figures"] for taken in figure["taken"])
        assert f"## {row['title']}" in done.stdout
    # The line has counted: ten files of 20 kB came, after fifty.
    received = {one["case"]: one["taken"][0]["received_bytes"] for one in rows["pull"]["figures"]}
    assert received["25 ms, all"] > 50 * 20_000 > received["25 ms, 10 new"] > 10 * 20_000
    assert {one.name for one in folder.glob("bench-*")} == before
    images = subprocess.run(["docker", "images", "-q", "slipway-bench*"], capture_output=True, text=True)
    assert images.stdout == ""
