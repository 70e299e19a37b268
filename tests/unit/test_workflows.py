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


def test_the_settings_of_dependabot_are_in_order() -> None:
    zizmor = ["zizmor", "--offline", "--persona=pedantic", "--quiet", "--no-progress"]
    for program, *words in (zizmor, ["check-jsonschema", "--builtin-schema", "vendor.dependabot"]):
        argv = [str(BIN / program), *words, str(ROOT / ".github" / "dependabot.yml")]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
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
    release = jobs("release.yml")
    may = {name: set(job["permissions"]) for name, job in release.items()}
    assert may == {
        "package": {"contents"},
        "image": {"contents", "packages"},
        "attest-package": {"id-token", "attestations"},
        "attest": {"id-token", "attestations"},
        "release": {"contents"},
        "pypi": {"id-token"},
    }
    builds = {"package", "image"}
    assert {release[name]["permissions"]["contents"] for name in builds} == {"read"}
    # No program of this repository runs beside a right to sign or to write to the repository.
    assert {name for name, job in release.items() if "actions/checkout@" in str(job)} == builds


def test_what_cannot_be_taken_back_comes_last() -> None:
    release = jobs("release.yml")
    # The tag and CHANGELOG.md are checked there, before anything is built.
    assert "needs" not in release["package"]
    assert release["image"]["needs"] == "package"
    assert set(release["release"]["needs"]) == set(release) - {"release", "pypi"}
    assert (release["pypi"]["needs"], release["pypi"]["environment"]) == ("release", "pypi")
    # A fork, and we before the project on PyPI is ours, publish nothing there.
    assert release["pypi"]["if"] == "vars.PUBLISH_TO_PYPI == 'true'"


@pytest.mark.parametrize("tag", ["v1.0+cuda", "v1/2", "-v1", "v" * 125, ""])
def test_a_tag_that_no_image_can_have_is_refused_first(tag: str, tmp_path: Path) -> None:
    argv = [str(ROOT / ".ci" / "release"), "cpu", "h.example/me", tag, str(tmp_path / "out")]
    environment = {"PATH": "/usr/bin:/bin", "SLIPWAY": "false"}
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (64, "")
    assert "cannot be an image's tag" in done.stderr
    assert not (tmp_path / "out").exists()


def test_scripts_pass_shellcheck(tmp_path: Path) -> None:
    scripts = [ROOT / ".ci" / name for name in ("lock", "package", "release", "run")]
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
