"""What of a code folder is sent and what is made of it there, by the real sh, cp, tar and sha256sum."""

import os
import random
import shutil
import subprocess
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import cast

import pytest

from slipway.code.snapshot import take_snapshot
from slipway.code.tree import Entry, Tree
from slipway.code.upload import explain_unpacked, recall_sent, remember_sent, send_code
from slipway.errors import RemoteError, RemoteSpaceError
from slipway.host.host import Host
from slipway.host.scratch import Scratch
from slipway.progress import NullProgress
from slipway.shell import Result


class HereHost:
    """In the place of a connection to a cluster: runs programs on this machine. Counts what it is given."""

    target = "here"

    def __init__(self) -> None:
        self.fed_bytes = 0
        self.most_bytes: int | None = None

    def run_in_login_shell(
        self, argv: Sequence[str], *, stdin: Iterable[bytes], stdin_bytes: int, timeout_s: None
    ) -> Result:
        content = b"".join(stdin)
        self.fed_bytes = len(content)
        assert stdin_bytes == self.fed_bytes
        done = subprocess.run(list(argv), input=content[: self.most_bytes], capture_output=True, check=False)
        said = done.stderr.decode(errors="replace")
        return Result(argv=tuple(argv), exit_code=done.returncode, stderr=said)


class Cluster:
    """A code folder here, and a folder of trees there."""

    def __init__(self, folder: Path) -> None:
        self.source, self.state = folder / "code", folder / "state"
        self.scratch = Scratch(root=PurePosixPath(folder / "slipway"))
        self.there = Path(self.scratch.code)
        self.there.mkdir(parents=True)
        self.source.mkdir()
        self.host = HereHost()

    def send(self, base: Tree | None = None) -> Tree | None:
        """Send the code; ``None`` where the base did not serve. What is there is what is here."""
        with take_snapshot(self.source, self.state, base=base) as snapshot:
            if not send_code(cast(Host, self.host), self.scratch, snapshot, NullProgress()):
                return None
            tree = snapshot.tree
        with take_snapshot(self.there / tree.name, self.state / "there") as there:
            assert there.tree == tree
        assert [path.name for path in self.there.iterdir() if path.name.startswith(".")] == []
        return tree


@pytest.fixture
def cluster(tmp_path: Path) -> Cluster:
    cluster = Cluster(tmp_path)
    for name in (
        "main.py",
        "pkg/a.py",
        "pkg/deep/b.py",
        "old/only.py",
        "-x",
        "a\nb",
        "c\\d",
        "\udcff",
        "e f",
    ):
        path = cluster.source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(ascii(name))
    (cluster.source / "pkg" / "a.py").chmod(0o755)
    (cluster.source / "link").symlink_to("main\n.py")
    (cluster.source / "empty").mkdir()
    return cluster


def test_only_what_changed_is_sent(cluster: Cluster) -> None:
    (cluster.source / "large").write_bytes(os.urandom(1_000_000))
    base = cluster.send()
    assert base is not None
    assert cluster.host.fed_bytes > 1_000_000
    (cluster.source / "main.py").write_text("changed")
    tree = cluster.send(base)
    assert tree is not None
    assert cluster.host.fed_bytes < 20_000
    # Each tree is whole, and the old one is what it was.
    assert (cluster.there / base.name / "main.py").read_text() == "'main.py'"
    assert (cluster.there / tree.name / "large").samefile(cluster.there / base.name / "large")


@pytest.mark.parametrize(("length", "batch"), [(20, 256), (230, 214)])
def test_many_files_are_hashed_in_batches_that_a_command_line_has_room_for(
    cluster: Cluster, length: int, batch: int
) -> None:
    names = [f"{number % 7}/{'d' * length}/{number:x<{length}}" for number in range(600)]
    for name in names:
        path = cluster.source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    base = cluster.send()
    assert base is not None
    assert base.batch == batch
    (cluster.source / names[7]).write_text("changed")
    assert cluster.send(base) is not None
    # Two of one batch that were exchanged, and two of different ones, are not what was sent.
    for one, other in ((0, 14), (0, 6)):
        (cluster.source / "main.py").write_text(f"changed {other}")
        base = cluster.send()
        assert base is not None
        first, second = (cluster.there / base.name / names[number] for number in (one, other))
        first.write_text(names[other])
        second.write_text(names[one])
        (cluster.source / "main.py").write_text(f"changed again {other}")
        assert cluster.send(base) is None


def swap(source: Path) -> None:
    shutil.rmtree(source / "old")
    (source / "old").write_text("a file by now")
    (source / "main.py").unlink()
    (source / "main.py").mkdir()
    (source / "main.py" / "inner").write_text("in a folder by now")


CHANGES: dict[str, Callable[[Path], object]] = {
    "a folder is gone": lambda source: shutil.rmtree(source / "pkg"),
    "the last file of a folder": lambda source: (
        (source / "old" / "only.py").unlink() or (source / "old").rmdir()
    ),
    "a folder is empty by now": lambda source: (source / "old" / "only.py").unlink(),
    "a folder is no longer empty": lambda source: (source / "empty" / "x").write_text("x"),
    "file and folder": swap,
    "a program": lambda source: (source / "main.py").chmod(0o755),
    "no program": lambda source: (source / "pkg" / "a.py").chmod(0o644),
    "a link": lambda source: (source / "link").unlink() or (source / "link").symlink_to("elsewhere"),
    "a link to a file": lambda source: (source / "link").unlink() or (source / "link").write_text("x"),
    "a file to a link": lambda source: (source / "e f").unlink() or (source / "e f").symlink_to("pkg"),
    "hostile names": lambda source: [(source / name).unlink() for name in ("-x", "a\nb", "c\\d", "\udcff")],
    "nothing": lambda source: None,
}


@pytest.mark.parametrize("change", CHANGES)
def test_the_new_tree_is_made_of_the_old_one(cluster: Cluster, change: str) -> None:
    base = cluster.send()
    CHANGES[change](cluster.source)
    assert cluster.send(base) is not None


def test_any_tree_is_made_of_any_other(cluster: Cluster) -> None:
    chance = random.Random(1)  # noqa: S311 - a test's
    base = None
    for _ in range(12):
        shutil.rmtree(cluster.source)
        for _ in range(12):
            path = cluster.source.joinpath(*(chance.choice("abc") for _ in range(chance.randint(1, 3))))
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                kind = chance.choice(("file", "file", "link", "folder"))
                if kind == "file":
                    path.write_text(chance.choice("xyz"))
                    path.chmod(chance.choice((0o644, 0o755)))
                elif kind == "link":
                    path.symlink_to(chance.choice("xyz"))
                else:
                    path.mkdir()
            except OSError:
                continue  # something else has the name
        base = cluster.send(base)
        assert base is not None


@pytest.mark.parametrize("harm", ["gone", "a file is gone", "a file is edited", "a file is more"])
def test_a_base_that_is_not_what_it_was_does_not_serve(cluster: Cluster, harm: str) -> None:
    base = cluster.send()
    assert base is not None
    there = cluster.there / base.name
    if harm == "gone":
        shutil.rmtree(there)
    elif harm == "a file is gone":
        (there / "pkg" / "deep" / "b.py").unlink()
    elif harm == "a file is edited":
        (there / "pkg" / "deep" / "b.py").write_text("'pkg/deep/x.py'")
    else:
        (there / "pkg" / "more").touch()
    (cluster.source / "main.py").write_text("changed")
    assert cluster.send(base) is None
    assert [path.name for path in cluster.there.iterdir() if path.name != base.name] == []
    assert cluster.send() is not None


@pytest.mark.parametrize("openssl", ["as it is", "none", "with other lines", "that fails"])
def test_the_hash_is_by_openssl_or_else_by_sha256sum(
    cluster: Cluster, openssl: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """By one call of the first that says what is right."""
    for program in ("openssl", "sha256sum"):
        real = shutil.which(program)
        if real is None:
            pytest.skip(f"{program} is not installed")
        says = {"none": "exit 127", "with other lines": "echo x", "that fails": "exit 1"}.get(openssl, "")
        line = says if program == "openssl" and says else f'exec {real} "$@"'
        path = tmp_path / "bin" / program
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n[ $# -lt 3 ] || echo {program} >>{tmp_path}/called\n{line}\n")
        path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    assert cluster.send() is not None
    called = (tmp_path / "called").read_text().split()
    assert called == (["openssl"] if openssl == "as it is" else ["openssl", "sha256sum"])


def test_what_is_cut_short_is_not_taken_for_a_tree(cluster: Cluster) -> None:
    cluster.host.most_bytes = 2048
    with pytest.raises(
        RemoteError, match=r"code: the code cannot be put there \(exit code 1\):\n.*another hash"
    ):
        cluster.send()
    assert list(cluster.there.iterdir()) == []


def test_a_tree_that_another_has_made_meanwhile_serves(cluster: Cluster) -> None:
    tree = cluster.send()
    assert cluster.send() == tree


def test_what_was_sent_last_is_remembered_for_each_site_and_folder(tmp_path: Path) -> None:
    tree = Tree(
        entries={"a": Entry(kind="file", value="0" * 64), "\udcff": Entry(kind="link", value="\udcfe")}
    )
    remember_sent(tmp_path, "hpc", tmp_path / "code", tree)
    assert recall_sent(tmp_path, "hpc", tmp_path / "code") == tree
    assert recall_sent(tmp_path, "box", tmp_path / "code") is None
    assert recall_sent(tmp_path, "hpc", tmp_path / "other") is None
    (file,) = (tmp_path / "code").glob("sent-*.tree")
    content = file.read_bytes()
    file.write_bytes(content[:-1])
    assert recall_sent(tmp_path, "hpc", tmp_path / "code") is None
    # A digit that has changed makes it a tree that is not there.
    file.write_bytes(content.replace(b"\x000", b"\x001"))
    other = recall_sent(tmp_path, "hpc", tmp_path / "code")
    assert other is not None
    assert other.name != tree.name


@pytest.mark.parametrize("size", [3072, 0])
def test_tar_on_a_disk_with_room_for_a_part_of_a_file(size: int) -> None:
    """What tar 1.35 says of a full disk depends on whether the write that failed had begun."""
    said = f"tar: job.sh: Wrote only {size} of 10240 bytes\ntar: Exiting with failure status"
    error = explain_unpacked("the run", Result(argv=("tar",), exit_code=2, stderr=said))
    assert isinstance(error, RemoteSpaceError)
    assert "the disk is full" in str(error)
