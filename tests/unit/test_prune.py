import json
import subprocess
from datetime import datetime, timezone
from pathlib import Path, PurePosixPath
from typing import cast

import pytest

from slipway.errors import RemoteError
from slipway.host.host import Host
from slipway.job.record import format_run
from slipway.job.run import Run
from slipway.push.prune import _FILES, _RECORDS, _YOUNG, Uses, _move, describe, parse_images, parse_records

ONE, TWO = "cpu-0123456789abcdef.sif", "cpu-fedcba9876543210.sif"


def record(run_id: str, sif: str, *args: str) -> str:
    run = Run(
        run_id=run_id,
        site="hpc",
        profile="cpu",
        submitted=datetime(2026, 1, 31, tzinfo=timezone.utc),
        program=(),
        args=args,
        commit=None,
        dirty=False,
        image_id="sha256:0",
        sif=f"/scratch/slipway/images/{sif}",
        sif_sha256="0",
        code="0",
        resources={"sif": TWO},
        profile_values={},
        site_values={},
        run_dir=f"/scratch/slipway/runs/{run_id}",
    )
    return format_run(run)


def run_script(script: str, *words: object) -> subprocess.CompletedProcess[str]:
    argv = ["sh", "-c", script, "slipway", *map(str, words)]
    return subprocess.run(argv, capture_output=True, text=True, check=False)


def test_runs_by_their_image(tmp_path: Path) -> None:
    hostile = f'\n "sif": "/x/{TWO}"\n'
    for run_id, text in {
        "a": record("a", ONE),
        "b": record("b", TWO, hostile, json.dumps({"sif": TWO})),
        "c": record("c", ONE),
        "d": "{}",
    }.items():
        (tmp_path / run_id).mkdir()
        (tmp_path / run_id / "run.json").write_text(text)
    found = run_script(_RECORDS, tmp_path)
    assert found.returncode == 0
    assert {name: sorted(runs) for name, runs in parse_records(found.stdout).items()} == {
        ONE: ["a", "c"],
        TWO: ["b"],
    }


def test_no_runs_at_all(tmp_path: Path) -> None:
    found = run_script(_RECORDS, tmp_path)
    assert (found.returncode, parse_records(found.stdout)) == (0, {})


def test_runs_that_cannot_be_asked(tmp_path: Path) -> None:
    assert run_script(_RECORDS, tmp_path / "none").returncode != 0
    (tmp_path / "a" / "run.json").mkdir(parents=True)  # grep cannot read it
    assert run_script(_RECORDS, tmp_path).returncode != 0


def test_runs_that_may_be_under_way(tmp_path: Path) -> None:
    for run_id in ("new", "ended", "older"):
        (tmp_path / run_id / "attempt-1").mkdir(parents=True)
        (tmp_path / run_id / "run.json").touch()
    (tmp_path / "ended" / "attempt-1" / "result.json").touch()
    subprocess.run(["touch", "-d", "1 hour ago", str(tmp_path / "older" / "run.json")], check=True)
    assert run_script(_YOUNG, tmp_path, 15).stdout.split() == ["new"]


def test_images_of_one_name_only(tmp_path: Path) -> None:
    for name in (ONE, f".{TWO}.gone", "cpu-two-0123456789abcdef.sif", "cpu-new.sif"):
        (tmp_path / name).write_bytes(b"123")
    (tmp_path / "cpu.sif").symlink_to(ONE)
    found = run_script(_FILES, tmp_path, "cpu")
    assert parse_images(found.stdout, "cpu") == {ONE: 3, TWO: 3}  # what was hidden is back


def test_why_an_image_stays() -> None:
    uses = Uses(newest={ONE}, runs={TWO: "k3f9"})
    assert uses.why(ONE) == "is the newest"
    assert uses.why(TWO) == "is used by k3f9"
    assert uses.why("cpu-1.sif") is None


def test_what_is_told() -> None:
    assert describe({ONE: 1_000_000, TWO: 2_500_000}, [TWO], {ONE: "is the newest"}) == (
        f"1 older image removed, 2.5 MB freed\n  {ONE} is the newest"
    )
    assert describe({ONE: 1}, [], {}) == "No older image removed"


def test_what_was_hidden_and_pushed_anew_is_removed(tmp_path: Path) -> None:
    other = "cpu-two-0123456789abcdef.sif"
    for name in (ONE, f".{ONE}.gone", f".{other}.gone"):
        (tmp_path / name).write_bytes(b"123")
    found = run_script(_FILES, tmp_path, "cpu")
    assert (found.returncode, parse_images(found.stdout, "cpu")) == (0, {ONE: 3})
    # Somebody may be removing an image of another name just now.
    assert {path.name for path in tmp_path.iterdir()} == {ONE, f".{other}.gone"}


class HereLink:
    """This machine in the place of the cluster, where somebody else removes an image at the same time."""

    def __init__(self, faster: str) -> None:
        self.faster = faster

    def move(self, old: PurePosixPath, new: PurePosixPath) -> None:
        if old.name == self.faster:
            Path(old).unlink()
        try:
            Path(old).rename(new)
        except OSError as error:
            raise RemoteError(str(error)) from error

    def size(self, path: PurePosixPath) -> int | None:
        return Path(path).stat().st_size if Path(path).exists() else None


def test_an_image_that_somebody_else_removes_is_no_error(tmp_path: Path) -> None:
    for name in (ONE, TWO):
        (tmp_path / name).write_bytes(b"123")
    remote, there = cast(Host, HereLink(ONE)), PurePosixPath(tmp_path)
    assert not _move(remote, there / ONE, there / f".{ONE}.gone")
    assert _move(remote, there / TWO, there / f".{TWO}.gone")
    with pytest.raises(RemoteError):
        _move(remote, there / f".{TWO}.gone", there / "none" / TWO)
