import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from slipway.code import snapshot as module
from slipway.code.listing import Listing
from slipway.code.size_limit import Bulk
from slipway.code.snapshot import Snapshot, take_snapshot
from slipway.code.tree import Tree
from slipway.errors import DataError

ROOT = Path(__file__).parents[2]


@pytest.fixture
def calm(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if all files had been written a minute ago: nobody can set the time of an inode back."""
    now = time.time_ns
    monkeypatch.setattr("slipway.hash_cache.time.time_ns", lambda: now() + 60 * 10**9)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "code"
    (folder / "pkg").mkdir(parents=True)
    (folder / "main.py").write_text("print(1)\n")
    (folder / "pkg" / "run.sh").write_text("#!/bin/sh\n")
    (folder / "pkg" / "run.sh").chmod(0o755)
    (folder / "link").symlink_to("main.py")
    return folder


def tree(source: Path, state: Path, base: Tree | None = None) -> str:
    with take_snapshot(source, state, base=base) as snapshot:
        return snapshot.tree.name


def unpack(snapshot: Snapshot, folder: Path) -> None:
    """Put what is in a snapshot's package into a folder, by the real tar."""
    folder.mkdir(exist_ok=True)
    argv = ["tar", "-xf", "-", "-C", str(folder)]
    subprocess.run(argv, input=snapshot.package.archive.read(), check=True)


def test_a_package_is_a_copy_that_leaves_nothing_behind(source: Path, tmp_path: Path) -> None:
    (source / "pkg" / "run.sh").chmod(0o4711)
    (source / "main.py").chmod(0o640)
    (source / "empty").mkdir()
    (source / "out").symlink_to("./..//elsewhere/")
    os.utime(source / "main.py", ns=(1, 1_234_567_891_234_567_891))
    with take_snapshot(source, tmp_path / "w") as snapshot:
        assert (len(snapshot.tree.entries), snapshot.package.files, snapshot.size_bytes) == (5, 5, 9 + 10)
        (source / "main.py").write_text("edited later\n")
        unpack(snapshot, tmp_path / "copy")
    copy = tmp_path / "copy"
    assert (copy / "main.py").read_text() == "print(1)\n"
    assert (copy / "pkg" / "run.sh").stat().st_mode & 0o7777 == 0o755
    assert (copy / "main.py").stat().st_mode & 0o7777 == 0o644
    assert (copy / "main.py").stat().st_mtime == 1_234_567_891
    assert os.readlink(copy / "out") == "./..//elsewhere/"  # noqa: PTH115 - not tidied up
    assert list((copy / "empty").iterdir()) == []
    copied = {str(path.relative_to(copy)) for path in copy.rglob("*")}
    assert copied == {"main.py", "link", "out", "pkg", "pkg/run.sh", "empty"}
    assert list((tmp_path / "w" / "tmp").iterdir()) == []


def test_a_large_package_is_a_file_that_goes_away(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("slipway.code.package._IN_MEMORY_BYTES", 10)
    content = os.urandom(200_000)
    (source / "large").write_bytes(content)
    with take_snapshot(source, tmp_path / "w") as snapshot:
        unpack(snapshot, tmp_path / "copy")
    assert (tmp_path / "copy" / "large").read_bytes() == content
    assert list((tmp_path / "w" / "tmp").iterdir()) == []


@pytest.mark.usefixtures("calm")
def test_what_looks_the_same_is_not_read_again(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[Path] = []
    real = module._read_file
    monkeypatch.setattr(module, "_read_file", lambda path, use: reads.append(Path(path)) or real(path, use))
    with take_snapshot(source, tmp_path / "w") as snapshot:
        base = snapshot.tree
    reads.clear()
    assert tree(source, tmp_path / "w", base) == base.name
    assert reads == []
    status = (source / "main.py").stat()
    (source / "main.py").write_text("print(2)\n")
    os.utime(source / "main.py", ns=(status.st_atime_ns, status.st_mtime_ns))
    with take_snapshot(source, tmp_path / "w", base=base) as snapshot:
        assert snapshot.tree.name != base.name
        assert (snapshot.package.files, snapshot.package.gone) == (1, ("main.py",))
    assert set(reads) == {source / "main.py"}


def test_what_was_written_seconds_ago_is_read_again(source: Path, tmp_path: Path) -> None:
    """A clock that ticks slowly: the second content has the size and the times of the first."""
    before = tree(source, tmp_path / "w")
    assert not any(json.loads(file.read_text()) for file in (tmp_path / "w" / "code").glob("*.json"))
    (source / "main.py").write_text("print(2)\n")
    assert tree(source, tmp_path / "w") != before


def test_the_tree_changes_with_the_content_and_with_nothing_else(source: Path, tmp_path: Path) -> None:
    first = tree(source, tmp_path / "w")
    (source / "main.py").touch()
    (source / "main.py").chmod(0o600)
    (source / "pkg").chmod(0o700)
    shutil.copytree(source, tmp_path / "another name", symlinks=True)
    assert {tree(source, tmp_path / "w"), tree(tmp_path / "another name", tmp_path / "w")} == {first}
    seen = [first]
    for change in (
        lambda: (source / "main.py").write_text("print(2)\n"),
        lambda: (source / "main.py").chmod(0o755),
        lambda: (source / "main.py").rename(source / "other.py"),
        lambda: (source / "link").unlink(),
        lambda: (source / "link").symlink_to("other.py"),
        lambda: (source / "empty").mkdir(),
        lambda: (source / "empty" / "file").touch(),
    ):
        change()
        seen.append(tree(source, tmp_path / "w"))
    assert len(set(seen)) == 8


def test_the_tree_is_hashed_as_it_is_documented(tmp_path: Path) -> None:
    source = tmp_path / "code"
    (source / "Z").mkdir(parents=True)
    for name, content in ((b"a\n", b"1"), (b"\xff", b"2"), (b"b-c", b"3"), ("ü".encode(), b"4")):
        (source / os.fsdecode(name)).write_bytes(content)
    (source / "b-c").chmod(0o755)
    (source / "b").mkdir()
    (source / "b" / "to").symlink_to(os.fsdecode(b"\xfe"))
    digests = [hashlib.sha256(content).hexdigest().encode() for content in (b"1", b"2", b"3", b"4")]
    expected = b"folder\0Z\0\0" + b"file\0a\n\0" + digests[0] + b"\0"
    expected += b"program\0b-c\0" + digests[2] + b"\0" + b"link\0b/to\0\xfe\0"
    expected += b"file\0\xc3\xbc\0" + digests[3] + b"\0" + b"file\0\xff\0" + digests[1] + b"\0"
    assert tree(source, tmp_path / "w") == hashlib.sha256(expected).hexdigest()[:32]


def test_the_state_in_the_code_folder_is_no_part_of_it(source: Path) -> None:
    first = tree(source, source / ".state")
    with take_snapshot(source, source / ".state") as snapshot:
        assert snapshot.tree.name == first
        assert tree(source, source / ".state") == first


def test_a_folder_that_is_missing_or_empty_is_refused(tmp_path: Path) -> None:
    with (
        pytest.raises(DataError, match="no, which is not a folder; name"),
        take_snapshot(tmp_path / "no", tmp_path),
    ):
        pass
    (tmp_path / "empty").mkdir()
    with (
        pytest.raises(DataError, match="which has no files; name"),
        take_snapshot(tmp_path / "empty", tmp_path / "w"),
    ):
        pass
    subprocess.run(["git", "init", "-q"], cwd=tmp_path / "empty", check=True)
    with (
        pytest.raises(DataError, match="no files that git does not ignore"),
        take_snapshot(tmp_path / "empty", tmp_path / "w"),
    ):
        pass


def test_a_huge_folder_is_refused_with_what_is_large_in_it(source: Path, tmp_path: Path) -> None:
    (source / "data").mkdir()
    (source / "data" / "big.bin").write_bytes(b"x" * 5000)
    limit = Bulk(files=10_000, size_bytes=1000)
    with pytest.raises(DataError) as caught, take_snapshot(source, tmp_path / "w", limit=limit):
        pass
    assert str(caught.value) == (
        f"CODE_DIR is {source}, which has 5.0 kB in 4 files; CODE_LIMIT allows 1.0 kB in 10,000 files. "
        "Most of it is\n"
        "  data/big.bin: 5.0 kB\n"
        "  pkg/run.sh: 10 B\n"
        "  main.py: 9 B\n"
        "  link: 0 B\n"
        f"Leave out with {source}/.dockerignore what the program does not need, bring data to the cluster "
        "with `invoke stage`, or raise CODE_LIMIT in the profile"
    )
    subprocess.run(["git", "init", "-q"], cwd=source, check=True)
    with (
        pytest.raises(DataError, match=r"Leave out with a \.gitignore or "),
        take_snapshot(source, tmp_path / "w", limit=limit),
    ):
        pass
    (source / ".gitignore").write_text("data/\n")
    with take_snapshot(source, tmp_path / "w", limit=limit) as snapshot:
        assert len(snapshot.tree.entries) == 4


def disturb(monkeypatch: pytest.MonkeyPatch, path: Path, times: int) -> None:
    """Have a file grow while it is read, for the first so many times; only the moment is arranged."""
    read, left = module._read, [times]

    def grow_and_read(reader, source):  # type: ignore[no-untyped-def]
        chunk = read(reader, source)
        if Path(source) == path and left[0] and chunk.startswith(b"print"):
            left[0] -= 1
            with path.open("a") as file:
                file.write("more\n")
        return chunk

    monkeypatch.setattr(module, "_read", grow_and_read)


def test_a_file_that_changes_while_it_is_read_is_read_again(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disturb(monkeypatch, source / "main.py", 1)
    with take_snapshot(source, tmp_path / "w") as snapshot:
        unpack(snapshot, tmp_path / "copy")
        assert (tmp_path / "copy" / "main.py").read_text() == "print(1)\nmore\n"
        seen = snapshot.tree.name
    assert tree(source, tmp_path / "w") == seen


def test_a_file_that_keeps_changing_is_named(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disturb(monkeypatch, source / "main.py", 2)
    with pytest.raises(DataError, match=r"and did so again: .*/main\.py changed\. Submit again"):
        tree(source, tmp_path / "w")
    assert list((tmp_path / "w").glob("tmp/*")) == []


@pytest.mark.parametrize("becomes", ["nothing", "a pipe", "a link", "in a file"])
def test_what_is_something_else_by_the_time_it_is_read_is_looked_for_again(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, becomes: str
) -> None:
    listed = module.list_folder
    before = Listing(names=("main.py", "pkg/run.sh"), notes=())
    lists = [before]

    def list_before(source: Path, **words: Path) -> Listing:
        return lists.pop() if lists else listed(source, **words)

    monkeypatch.setattr(module, "list_folder", list_before)
    path = source / "pkg" / "run.sh"
    path.unlink()
    if becomes == "a pipe":
        os.mkfifo(path)
    elif becomes == "a link":
        path.symlink_to("x")
    elif becomes == "in a file":
        path.parent.rmdir()
        path.parent.write_text("")
    with take_snapshot(source, tmp_path / "w") as snapshot:
        unpack(snapshot, tmp_path / "copy")
    seen = {str(path.relative_to(tmp_path / "copy")) for path in (tmp_path / "copy").rglob("*")}
    now = {"nothing": {"pkg"}, "a pipe": set(), "a link": {"pkg", "pkg/run.sh"}, "in a file": {"pkg"}}
    # A link stands for itself, wherever it is found; so the first listing, without "link", could be kept.
    assert seen == {"main.py"} | now[becomes] | (set() if becomes == "a link" else {"link"})


def test_a_file_that_cannot_be_read_is_named(open_folder: Path) -> None:
    (open_folder / "key").write_text("")
    (open_folder / "key").chmod(0)
    (open_folder / "w").mkdir()
    (open_folder / "w").chmod(0o777)
    was = os.geteuid()
    if was == 0:
        os.seteuid(65534)  # root may read everything
    try:
        with pytest.raises(DataError, match=r"/key in CODE_DIR cannot be read: Permission denied; make it"):
            tree(open_folder, open_folder / "w")
    finally:
        os.seteuid(was)


def test_a_full_disk_is_told(source: Path, tmp_path: Path) -> None:
    """In a mount namespace of its own, with a disk of 64 kB."""
    space = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
    if shutil.which("unshare") is None or subprocess.run([*space, "exit 0"], check=False).returncode:
        pytest.skip("this machine lets nobody mount a disk of their own")
    (source / "large").write_bytes(b"x" * 200_000)
    (tmp_path / "w").mkdir()
    code = (
        "import pathlib, sys\n"
        "from slipway.errors import SpaceError\n"
        "from slipway.code.snapshot import take_snapshot\n"
        "from slipway.code import package\n"
        "package._IN_MEMORY_BYTES = 10\n"
        "try:\n"
        "    with take_snapshot(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])): pass\n"
        "except SpaceError as error: print(error, list(pathlib.Path(sys.argv[2], 'tmp').iterdir()))"
    )
    script = 'mount -t tmpfs -o size=64k none "$3" && exec "$0" -c "$1" "$2" "$3"'
    argv = [*space, script, sys.executable, code, source, tmp_path / "w"]
    done = subprocess.run(
        argv, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("there is no room for a copy of the code at ")
    assert done.stdout.endswith("No space left on device; make some []\n")
