"""What .ci/changelog.py demands of CHANGELOG.md before a version is released."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / ".ci" / "changelog.py"
HEAD = "# Changelog\n\nSome words.\n\n## [Unreleased]\n\n"
MOVE = "move the entries of Unreleased to a section `## [0.2.0] - YYYY-MM-DD` below it"


def check(folder: Path, text: str, tag: str = "v0.2.0") -> "subprocess.CompletedProcess[str]":
    file = folder / "CHANGELOG.md"
    file.write_text(text)
    argv = [sys.executable, str(SCRIPT), tag]
    return subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False)


def test_it_prints_what_is_said_of_the_version(tmp_path: Path) -> None:
    older = "## [0.1.0] - 2026-01-31\n\n- Old.\n"
    done = check(tmp_path, f"{HEAD}## [0.2.0] - 2026-02-28\n\n### Added\n\n- New,\n  and long.\n\n{older}")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "### Added\n\n- New,\n  and long.\n"


@pytest.mark.parametrize("tag", ["v1.0.0rc1", "v10.20.30"])
def test_versions(tag: str, tmp_path: Path) -> None:
    assert check(tmp_path, f"{HEAD}## [{tag[1:]}] - 2026-02-28\n\n- New.\n", tag).stdout == "- New.\n"


@pytest.mark.parametrize("tag", ["0.2.0", "v0.2", "v0.2.0-rc1", "v0.2.0+cuda", "v0.2.0.post1", "vnew", ""])
def test_a_tag_that_is_no_version_is_refused(tag: str, tmp_path: Path) -> None:
    done = check(tmp_path, HEAD, tag)
    assert (done.returncode, done.stdout) == (64, "")
    assert done.stderr == f"changelog: the tag {tag!r} is no version such as v0.2.0 or v1.0.0rc1\n"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (f"{HEAD}- New.\n", f"there is no section for 0.2.0; {MOVE}"),
        (f"{HEAD}- New.\n\n## [0.2.0] - 2026-02-28\n\n- A.\n", f"Unreleased still has entries; {MOVE}"),
        (f"{HEAD}## [0.2.0]\n\n- A.\n", "the section of 0.2.0 has no date such as 2026-01-31 behind it"),
        (f"{HEAD}## [0.2.0] - 2026-02-30\n\n- A.\n", "the section of 0.2.0 has no date such as 2026-01-31"),
        (f"{HEAD}## [0.2.0] - 2026-02-28\n\n### Added\n", "the section of 0.2.0 is empty"),
        (
            f"{HEAD}## [0.3.0] - 2026-03-01\n\n- B.\n\n## [0.2.0] - 2026-02-28\n\n- A.\n",
            "the newest version in it is 0.3.0, and not 0.2.0",
        ),
        ("## [0.2.0] - 2026-02-28\n\n- A.\n", "its first section is not `## [Unreleased]`; keep one there"),
        (f"{HEAD}## 0.2.0 (today)\n", "the heading '## 0.2.0 (today)' has another form than"),
    ],
)
def test_a_changelog_that_is_not_ready_is_refused(text: str, problem: str, tmp_path: Path) -> None:
    done = check(tmp_path, text)
    assert (done.returncode, done.stdout) == (65, "")
    assert done.stderr.startswith(f"changelog: CHANGELOG.md is not ready for the tag v0.2.0: {problem}")
    assert done.stderr.endswith(". Then commit, and tag that commit\n")
