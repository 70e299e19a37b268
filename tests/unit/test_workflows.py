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
    # `devel` is a base image to build with, where NVIDIA's cannot be had; it is not for publishing.
    profiles = {file.name.removeprefix(".env.") for file in (ROOT / "env").glob(".env.*")}
    assert set(jobs("release.yml")["image"]["strategy"]["matrix"]["profile"]) == profiles - {
        "devel",
        "example",
        "local",
    }


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
