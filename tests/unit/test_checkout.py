import subprocess
from pathlib import Path

import pytest

from slipway.code.checkout import DIFF_LIMIT_BYTES, Revision, find_revision
from slipway.errors import DataError


@pytest.fixture(autouse=True)
def _own_git(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Settings that change what git prints, as users have them."""
    config = tmp_path / "gitconfig"
    config.write_text(
        "[user]\n name = t\n email = t@example.org\n"
        "[color]\n ui = always\n[diff]\n noprefix = true\n external = false\n relative = true\n"
        "[status]\n showUntrackedFiles = no\n"
    )
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")


def git(folder: Path, *words: str, stdin: bytes | None = None) -> None:
    subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True, input=stdin)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A code folder within a checkout."""
    folder = tmp_path / "top" / "code"
    folder.mkdir(parents=True)
    (folder / "main.py").write_bytes(b"print(1)\r\nprint(2)\r\n\xff\n")
    (folder.parent / "other.txt").write_text("1")
    git(folder.parent, "init", "-b", "main")
    git(folder.parent, "add", ".")
    git(folder.parent, "commit", "-m", "x")
    return folder


def test_a_folder_that_is_no_checkout_has_no_revision(tmp_path: Path) -> None:
    assert find_revision(tmp_path) == Revision(commit=None, dirty=False, diff=None)


def test_a_checkout_without_a_commit(tmp_path: Path) -> None:
    git(tmp_path, "init")
    assert find_revision(tmp_path) == Revision(commit=None, dirty=True, diff=None)


def test_the_revision_is_the_commit(source: Path) -> None:
    (source.parent / "other.txt").write_text("elsewhere, so no matter")
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=source, capture_output=True, text=True, check=True
    )
    assert find_revision(source) == Revision(commit=head.stdout.strip(), dirty=False, diff=None)


def test_a_new_file_makes_it_dirty_and_is_not_in_the_difference(source: Path) -> None:
    (source / "new.py").write_text("")
    assert (find_revision(source).dirty, find_revision(source).diff) == (True, None)


def test_the_difference_can_be_applied(source: Path, tmp_path: Path) -> None:
    changed = {"main.py": b"print(1)\r\nprint(3)\r\n\xfe\n", "image.bin": bytes(range(256)) * 4}
    for name, content in changed.items():
        (source / name).write_bytes(content)
    git(source, "add", ".")
    diff = find_revision(source).diff
    assert diff is not None
    git(source, "reset", "--hard")
    git(source.parent, "apply", stdin=diff.encode("utf-8", errors="surrogateescape"))
    assert {name: (source / name).read_bytes() for name in changed} == changed


def test_of_a_huge_difference_a_summary_is_kept(source: Path) -> None:
    (source / "main.py").write_text("".join(f"{number}\n" for number in range(DIFF_LIMIT_BYTES // 6)))
    diff = find_revision(source).diff
    assert diff is not None
    first, second, *_ = diff.splitlines()
    assert first.startswith("# The difference has 6.6 MB and is not kept; this is a summary.")
    assert second.startswith(" code/main.py | 833336 +")
    assert len(diff) < 500


def test_a_checkout_that_git_cannot_read_is_named(source: Path) -> None:
    (source.parent / ".git" / "HEAD").unlink()
    with pytest.raises(DataError, match=f"{source.parent} is a git checkout that git cannot read"):
        find_revision(source)
