"""The workflows of CI: what their own linters say, and what they have to agree with."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
BIN = Path(sys.executable).parent


def jobs(name: str) -> dict[str, Any]:
    content = yaml.safe_load((ROOT / ".github" / "workflows" / name).read_text())
    found: dict[str, Any] = content["jobs"]
    return found


def test_zizmor_finds_nothing() -> None:
    argv = [str(BIN / "zizmor"), "--offline", "--persona=pedantic", "--quiet", "--no-progress"]
    done = subprocess.run([*argv, *map(str, WORKFLOWS)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_they_have_the_form_of_workflows() -> None:
    argv = [str(BIN / "check-jsonschema"), "--builtin-schema", "vendor.github-workflows"]
    done = subprocess.run([*argv, *map(str, WORKFLOWS)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.name)
def test_actions_are_pinned_by_hash(file: Path) -> None:
    for line in file.read_text().splitlines():
        if "uses:" in line:
            assert re.search(r"uses: [\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$", line), line


def test_a_release_has_all_profiles() -> None:
    # `devel` is a base image to build with, where NVIDIA's cannot be had; `droid-slam` is `base`.
    profiles = {file.name.removeprefix(".env.") for file in (ROOT / "env").glob(".env.*")}
    for job in ("image", "attest"):
        assert set(jobs("release.yml")[job]["strategy"]["matrix"]["profile"]) == profiles - {
            "devel",
            "droid-slam",
            "example",
            "local",
        }


def test_who_builds_signs_nothing() -> None:
    may = {name: set(job["permissions"]) for name, job in jobs("release.yml").items()}
    assert may == {
        "image": {"contents", "packages"},
        "attest": {"id-token", "attestations"},
        "release": {"contents"},
    }
    assert jobs("release.yml")["image"]["permissions"]["contents"] == "read"
    # No program of this repository runs beside a right to sign or to write to the repository.
    assert [name for name, job in jobs("release.yml").items() if "actions/checkout@" in str(job)] == ["image"]


@pytest.mark.parametrize("tag", ["v1.0+cuda", "v1/2", "-v1", "v" * 125, ""])
def test_a_tag_that_no_image_can_have_is_refused_first(tag: str, tmp_path: Path) -> None:
    argv = [str(ROOT / ".ci" / "release"), "cpu", "h.example/me", tag, str(tmp_path / "out")]
    environment = {"PATH": "/usr/bin:/bin", "SLIPWAY": "false"}
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (64, "")
    assert "cannot be an image's tag" in done.stderr
    assert not (tmp_path / "out").exists()


def test_scripts_pass_shellcheck(tmp_path: Path) -> None:
    scripts = [ROOT / ".ci" / "run", ROOT / ".ci" / "release"]
    for file in WORKFLOWS:
        for job in jobs(file.name).values():
            for step in job["steps"]:
                script = tmp_path / f"{len(scripts)}"
                script.write_text(f"#!/bin/bash\n{step.get('run', '')}\n")
                scripts.append(script)
    done = subprocess.run(
        [str(BIN / "shellcheck"), *map(str, scripts)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    assert len(scripts) > 8
