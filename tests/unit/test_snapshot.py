import subprocess
from pathlib import Path

import pytest

from slipway.errors import DataError
from slipway.snapshot import find_revision, list_files, take_snapshot


def git(folder: Path, *words: str) -> None:
    names = ("-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "init.defaultBranch=main")
    subprocess.run(["git", *names, *words], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "code"
    (folder / "pkg").mkdir(parents=True)
    (folder / "main.py").write_text("print(1)\n")
    (folder / "pkg" / "run.sh").write_text("#!/bin/sh\n")
    (folder / "pkg" / "run.sh").chmod(0o755)
    (folder / "link").symlink_to("main.py")
    return folder


def tree(source: Path, workspace: Path) -> str:
    with take_snapshot(source, workspace) as snapshot:
        return snapshot.tree


def test_a_snapshot_is_a_copy_that_goes_away(source: Path, tmp_path: Path) -> None:
    with take_snapshot(source, tmp_path / "w") as snapshot:
        assert (snapshot.files, snapshot.size_bytes) == (3, 9 + 10)
        assert (snapshot.folder / "pkg" / "run.sh").stat().st_mode & 0o777 == 0o755
        assert (snapshot.folder / "link").readlink() == Path("main.py")
    assert list((tmp_path / "w").iterdir()) == []


def test_the_tree_changes_with_the_content_and_with_nothing_else(source: Path, tmp_path: Path) -> None:
    first = tree(source, tmp_path / "w")
    (source / "main.py").touch()
    (source / "main.py").chmod(0o600)
    assert tree(source, tmp_path / "w") == first
    (source / "main.py").write_text("print(2)\n")
    second = tree(source, tmp_path / "w")
    (source / "main.py").chmod(0o755)
    third = tree(source, tmp_path / "w")
    (source / "main.py").rename(source / "other.py")
    fourth = tree(source, tmp_path / "w")
    (source / "link").unlink()
    assert len({first, second, third, fourth, tree(source, tmp_path / "w")}) == 5


def test_what_git_ignores_and_what_was_deleted_is_left_out(source: Path) -> None:
    git(source, "init")
    git(source, "add", ".")
    git(source, "commit", "-m", "x")
    (source / ".gitignore").write_text("*.log\n")
    (source / "a.log").write_text("")
    (source / "new file\n.py").write_text("")
    (source / "main.py").unlink()
    names = [".gitignore", "link", "new file\n.py", "pkg/run.sh"]
    assert [str(path) for path in list_files(source)] == names


def test_the_revision_names_the_commit_and_the_difference(source: Path) -> None:
    assert find_revision(source).commit is None
    git(source, "init")
    git(source, "add", ".")
    git(source, "commit", "-m", "x")
    clean = find_revision(source)
    assert clean.commit is not None
    assert len(clean.commit) == 40
    assert (clean.dirty, clean.diff) == (False, None)
    (source / "new.py").write_text("")
    assert (find_revision(source).dirty, find_revision(source).diff) == (True, None)
    (source / "main.py").write_text("print(2)\n")
    assert "+print(2)" in (find_revision(source).diff or "")


def test_a_folder_that_is_missing_or_empty_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is not a folder"), take_snapshot(tmp_path / "no", tmp_path):
        pass
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="has no files"), take_snapshot(tmp_path / "empty", tmp_path / "w"):
        pass
