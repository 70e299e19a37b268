import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from slipway import share
from slipway.code import listing
from slipway.code.checkout import find_revision
from slipway.code.listing import list_folder, show
from slipway.errors import DataError, HostError

# A name is bytes without a slash or a zero.
ODD = ("new\nline", "carriage\rreturn", "'single' \"double\"", " spaces ", "-dash", ":(top)x", "back\\slash",
       "$HOME *?[a]", "ünï", "? x", "H 100644 0 0\tx",
       "tab\tx", os.fsdecode(b"\xff\xfe"), "\x1b[31m")  # fmt: skip


@pytest.fixture(autouse=True)
def _own_git(monkeypatch: pytest.MonkeyPatch) -> None:
    """No settings of this machine's."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")


def git(folder: Path, *words: str) -> None:
    names = ("-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "init.defaultBranch=main")
    allowed = ("-c", "protocol.file.allow=always")
    subprocess.run(["git", *names, *allowed, *words], cwd=folder, check=True, capture_output=True)


def write(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir() if name.endswith("/") else path.write_text("x")
    return folder


def checkout(folder: Path, *names: str) -> Path:
    write(folder, *names)
    git(folder, "init")
    git(folder, "add", "--force", ".")
    git(folder, "commit", "--allow-empty", "--message", "x")
    return folder


def names(folder: Path) -> list[str]:
    return list(list_folder(folder).names)


def test_a_folder_that_is_no_checkout_is_sent_as_it_is(tmp_path: Path) -> None:
    write(tmp_path, ".gitignore", "a/b/c", "a/empty/", ".hidden", "z/")
    (tmp_path / "a" / "up").symlink_to("..")
    (tmp_path / "gone").symlink_to("nowhere")
    assert names(tmp_path) == [".gitignore", ".hidden", "a/b/c", "a/empty", "a/up", "gone", "z"]


@pytest.mark.parametrize("tracked", [False, True])
def test_odd_names_are_kept_and_come_in_the_order_of_their_bytes(tmp_path: Path, tracked: bool) -> None:
    write(tmp_path, *ODD, *(f"{name}.d/{name}" for name in ODD), *(f"{name}.empty/" for name in ODD))
    if tracked:
        git(tmp_path, "init")
        git(tmp_path, "add", ".")
    expected = [*ODD, *(f"{name}.d/{name}" for name in ODD), *(f"{name}.empty" for name in ODD)]
    assert names(tmp_path) == sorted(expected, key=os.fsencode)


def test_git_is_asked_once_for_a_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each question has git read its index, and look at files, once more."""
    checkout(tmp_path, "a/b", "c")
    write(tmp_path, "untracked", "a/untracked")
    asked: list[tuple[str, ...]] = []
    real = listing.read_git
    monkeypatch.setattr(listing, "read_git", lambda *words: asked.append(words) or real(*words))
    assert names(tmp_path) == ["a/b", "a/untracked", "c", "untracked"]
    assert len(asked) == 1


def test_git_says_what_it_ignores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / "own"
    own.write_text("[core]\n excludesFile = ~/ignored\n")
    (tmp_path / "ignored").write_text("*.swp\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(own))
    monkeypatch.setenv("HOME", str(tmp_path))
    folder = checkout(tmp_path / "code", "main.py", "logs/old.log", "build/forced")
    write(
        folder,
        "a.swp",
        "a.log",
        "logs/new.log",
        "logs/keep/x.log",
        "build/x",
        "build/e/",
        "mine",
        "sub/mine",
        "n",
    )
    (folder / ".gitignore").write_text("*.log\nbuild/\n/mine\n")
    (folder / "logs" / "keep" / ".gitignore").write_text("!*.log\n")
    (folder / ".git" / "info" / "exclude").write_text("/n\n")
    assert names(folder) == [
        ".gitignore",
        "build/forced",
        "logs/keep/.gitignore",
        "logs/keep/x.log",
        "logs/old.log",
        "main.py",
        "sub/mine",
    ]


def test_rules_from_above_the_code_folder_count(tmp_path: Path) -> None:
    top = checkout(tmp_path, "code/main.py", "other.py")
    (top / ".gitignore").write_text("*.log\n/code/data/\n")
    write(top, "code/a.log", "code/data/x", "code/pkg/data/x")
    assert names(top / "code") == ["main.py", "pkg/data/x"]


def test_a_checkout_around_an_installed_slipway_has_no_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = tmp_path / ".venv" / "lib" / "slipway" / "share"
    write(installed / "docker" / "payload", "slam/task.py")
    (tmp_path / ".gitignore").write_text(".venv/\n")
    git(tmp_path, "init")
    monkeypatch.setattr(share, "PACKED", installed)
    assert names(installed / "docker" / "payload") == ["slam/task.py"]
    assert find_revision(installed / "docker" / "payload").commit is None
    assert names(tmp_path) == [".gitignore"]


def test_empty_folders_are_kept_unless_they_are_ignored(tmp_path: Path) -> None:
    folder = checkout(tmp_path, "pkg/a.py")
    (folder / ".gitignore").write_text("cache/\n*.pyc\n")
    write(folder, "pkg/empty/", "new/empty/", "cache/empty/", "pkg/__pycache__/a.pyc", "pkg/cache/")
    assert names(folder) == [".gitignore", "new/empty", "pkg/a.py", "pkg/empty"]


def test_what_was_tracked_and_is_something_else_now(tmp_path: Path) -> None:
    folder = checkout(tmp_path, "gone", "file-to-folder", "folder/a", "folder-to-link/a", "kept/a")
    for name in ("gone", "file-to-folder", "folder/a", "folder-to-link/a"):
        (folder / name).unlink()
    (folder / "folder").rmdir()
    (folder / "folder").write_text("x")
    write(folder, "file-to-folder/b")
    (folder / "folder-to-link").rmdir()
    (folder / "folder-to-link").symlink_to("kept")
    assert names(folder) == ["file-to-folder/b", "folder", "folder-to-link", "kept/a"]


def test_a_checkout_in_the_folder_goes_by_its_own_rules(tmp_path: Path) -> None:
    for outer in (checkout(tmp_path / "tracked", "main.py"), write(tmp_path / "plain", "main.py")):
        inner = checkout(outer / "libs" / "inner", "a.py", "empty/")
        (inner / ".gitignore").write_text("*.log\n")
        write(inner, "a.log", "a.tmp", "d/e/")
        git(write(outer / "unborn", "u.py"), "init")
        (outer / ".gitignore").write_text("*.tmp\n")
        expected = [".gitignore", "libs/inner/.gitignore", "libs/inner/a.py", "libs/inner/a.tmp"]
        empty = ["libs/inner/d/e", "libs/inner/empty"]
        assert names(outer) == [*expected, *empty, "main.py", "unborn/u.py"]
        (outer / ".gitignore").write_text("libs/\n")
    assert names(tmp_path / "tracked") == [".gitignore", "main.py", "unborn/u.py"]


def test_submodules_are_sent_where_they_are_checked_out(tmp_path: Path) -> None:
    lower = checkout(tmp_path / "lower", "low.py")
    library = checkout(tmp_path / "library", "lib.py")
    git(library, "submodule", "add", str(lower), "deep/lower")
    git(library, "commit", "--message", "y")
    folder = checkout(tmp_path / "code", "main.py")
    git(folder, "submodule", "add", str(library), "vendor/library")
    write(folder, "vendor/library/untracked.py")
    assert names(folder) == [
        ".gitmodules",
        "main.py",
        "vendor/library/.gitmodules",
        "vendor/library/deep/lower",
        "vendor/library/lib.py",
        "vendor/library/untracked.py",
    ]
    (note,) = list_folder(folder).notes
    assert note.startswith(f"{folder}/vendor/library/deep/lower is a submodule that is not checked out")
    git(folder, "submodule", "update", "--init", "--recursive")
    assert "vendor/library/deep/lower/low.py" in names(folder)
    assert list_folder(folder).notes == ()
    git(folder, "submodule", "deinit", "--force", "--all")
    write(folder, "vendor/library/by hand")
    assert names(folder) == [".gitmodules", "main.py", "vendor/library/by hand"]


@pytest.mark.parametrize("tracked", [False, True])
def test_both_git_and_docker_may_leave_something_out(tmp_path: Path, tracked: bool) -> None:
    write(tmp_path, "a.py", "data/1", "data/keep", "e/", "both/x", "a.log", "sub/.dockerignore", "sub/y")
    (tmp_path / ".dockerignore").write_text("data\n!data/keep\n!a.log\ne\nboth/*\n")
    (tmp_path / ".gitignore").write_text("*.log\n")
    (tmp_path / "sub" / ".dockerignore").write_text("y\n")
    if tracked:
        git(tmp_path, "init")
    logs = [] if tracked else ["a.log"]
    rest = ["a.py", "data/keep", "sub/.dockerignore", "sub/y"]
    assert names(tmp_path) == [".dockerignore", ".gitignore", *logs, *rest]


@pytest.mark.parametrize("tracked", [False, True])
def test_pipes_and_sockets_are_not_sent_and_named(tmp_path: Path, tracked: bool) -> None:
    write(tmp_path, "a.py", "ignored")
    if tracked:
        git(tmp_path, "init")
        (tmp_path / ".git" / "info" / "exclude").write_text("*.fifo\n")
        os.mkfifo(tmp_path / "b.fifo")
    os.mkfifo(tmp_path / "pipe\n")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(tmp_path / "socket"))
        listing = list_folder(tmp_path)
    assert listing.names == ("a.py", "ignored")
    assert sorted(listing.notes) == [
        f"'{tmp_path}/pipe\\n' is no file, and is not sent",
        f"{tmp_path}/socket is no file, and is not sent",
    ]


def test_a_folder_is_left_out_when_it_is_told_to(tmp_path: Path) -> None:
    write(tmp_path, "a.py", ".state/tmp/code-1/a.py", ".state/tmp2/b")
    assert list(list_folder(tmp_path, without=tmp_path / ".state" / "tmp").names) == [".state/tmp2/b", "a.py"]


def test_gits_own_variables_do_not_lead_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = checkout(tmp_path / "other", "not this")
    folder = checkout(tmp_path / "code", "main.py")
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other / ".git" / "index"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other))
    assert names(folder) == ["main.py"]


def test_a_checkout_without_git_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkout(tmp_path / "code", "main.py")
    write(tmp_path / "plain", "main.py")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(HostError, match=r"code is a git checkout, and git is not installed here"):
        names(tmp_path / "code")
    assert names(tmp_path / "plain") == ["main.py"]


def test_a_checkout_that_git_cannot_read_is_refused(tmp_path: Path) -> None:
    folder = checkout(tmp_path, "main.py")
    (folder / ".git" / "HEAD").unlink()
    with pytest.raises(DataError, match=r"is a git checkout that git cannot read: .*or remove .*/\.git"):
        names(folder)
    shutil.rmtree(folder / ".git")
    (folder / ".git").write_text("gitdir: /nowhere\n")
    with pytest.raises(DataError, match=r"cannot read: fatal: not a git repository: /nowhere"):
        names(folder)


def test_somebody_elses_checkout_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a folder to somebody else")
    folder = checkout(tmp_path / "their's", "main.py")
    os.chown(folder, 65534, 65534)
    with pytest.raises(DataError, match="is another user's git checkout") as caught:
        names(folder)
    remedy = str(caught.value).partition("`")[2].partition("`")[0]
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "config"))
    subprocess.run(remedy, shell=True, check=True)  # noqa: S602 - as a user pastes it
    assert names(folder) == ["main.py"]


@contextmanager
def as_nobody() -> Iterator[None]:
    """Root may read everything."""
    was = os.geteuid()
    if was == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(was)


@pytest.mark.parametrize("tracked", [False, True])
def test_a_folder_that_cannot_be_read_is_named(open_folder: Path, tracked: bool) -> None:
    write(open_folder, "a.py", "secret/b.py")
    if tracked:
        git(open_folder, "init")
    for path in (open_folder, *open_folder.rglob("*")):
        os.chown(path, 65534, 65534) if os.geteuid() == 0 else None
    (open_folder / "secret").chmod(0)
    with (
        as_nobody(),
        pytest.raises(DataError, match=r"/secret in CODE_DIR cannot be read: Permission denied"),
    ):
        names(open_folder)
    (open_folder / ".dockerignore").write_text("secret\n")
    with as_nobody():
        assert names(open_folder) == [".dockerignore", "a.py"]


def test_a_name_is_shown_so_that_it_does_no_harm() -> None:
    assert [show(name) for name in ("ü x", "a\nb", "\x1b[2J", "\udcff")] == [
        "ü x",
        r"'a\nb'",
        r"'\x1b[2J'",
        r"'\udcff'",
    ]
