"""What a version tag does for the Python package: the script that the workflow calls, in a tagged clone."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.waiting import PATIENCE_S

ROOT = Path(__file__).parents[2]
CHANGELOG = "# Changelog\n\n## [Unreleased]\n\n## [9.8.7] - 2026-01-31\n\n- All is new.\n"


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """The working tree as a commit with the tag v9.8.7, and nothing else behind it."""
    folder = tmp_path / "clone"
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in listed.stdout.split("\0"):
        if name and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    (folder / "CHANGELOG.md").write_text(CHANGELOG)
    git(folder, "init", "--quiet")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message", "x")
    git(folder, "tag", "v9.8.7")
    return folder


def git(folder: Path, *words: str) -> None:
    names = ("-c", "user.name=t", "-c", "user.email=t@example.org")
    subprocess.run(["git", *names, *words], cwd=folder, check=True)


def package(clone: Path, tag: str, out: Path) -> "subprocess.CompletedProcess[str]":
    # With the tools of these tests, which are those of lock/release.txt.
    environment = {**os.environ, "TOOLS": str(Path(sys.prefix))}
    argv = [str(clone / ".ci" / "package"), tag, str(out)]
    return subprocess.run(
        argv, env=environment, capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )


@pytest.mark.long
def test_what_a_version_tag_makes(clone: Path, tmp_path: Path) -> None:
    done = package(clone, "v9.8.7", tmp_path / "out")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Slipway 9.8.7" in done.stdout
    out = tmp_path / "out"
    dist = ["slipway-9.8.7-py3-none-any.whl", "slipway-9.8.7.tar.gz"]
    assert sorted(file.name for file in out.iterdir()) == ["dist", "notes.md", "slipway-9.8.7.cdx.json"]
    assert sorted(file.name for file in (out / "dist").iterdir()) == dist
    assert (out / "notes.md").read_text() == "- All is new.\n"
    bom = json.loads((out / "slipway-9.8.7.cdx.json").read_text())
    ours = bom["metadata"]["component"]
    assert (bom["bomFormat"], ours["name"], ours["version"]) == ("CycloneDX", "slipway", "9.8.7")
    parts = {part["name"].lower(): part["version"] for part in bom["components"]}
    locked = (clone / "lock" / "slipway.txt").read_text()
    assert all(f"\n{name.replace('_', '-')}=={version} " in locked for name, version in parts.items())
    assert {"docker", "invoke", "paramiko", "pydantic", "cryptography"} <= set(parts)
    assert not {"pip", "slipway", "pytest"} & set(parts)
    assert str(tmp_path) not in json.dumps(bom)


def test_a_changelog_that_is_not_ready_builds_nothing(clone: Path, tmp_path: Path) -> None:
    done = package(clone, "v9.8.8", tmp_path / "out")
    assert done.returncode == 65
    assert "there is no section for 9.8.8" in done.stderr
    assert not list((tmp_path / "out" / "dist").iterdir())


def test_a_tag_that_is_elsewhere_is_refused(clone: Path, tmp_path: Path) -> None:
    git(clone, "commit", "--quiet", "--allow-empty", "--message", "later")
    done = package(clone, "v9.8.7", tmp_path / "out")
    assert done.returncode == 65
    assert "the tag says 9.8.7, and what was built is ./slipway-9.8.8.dev1+" in done.stderr
    assert "the tag is not at this commit" in done.stderr
