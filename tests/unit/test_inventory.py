"""The scripts that change folders on a cluster, under the shells of this machine."""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import cast

import pytest

from slipway.errors import ConnectionLostError, ParseError, RemoteError
from slipway.host.host import Host
from slipway.host.inventory import (
    Entry,
    Kind,
    make_folders,
    parse_find,
    place,
    read_text,
    remove,
    remove_folders,
    take_inventory,
    write_text,
)
from slipway.shell import LocalShell, Result

ODD = [
    "#x",
    "a b",
    "a\nb",
    "\\",
    "-c",
    "*",
    " ",
    "é",
    "\udcff",
    "'",
    '"',
    "$HOME",
    "deep/-n",
    "deep/deeper/x",
]


class HereLink(LocalShell):
    """This machine in the place of the cluster."""

    target = "here"
    runs_commands = True

    def check(self, argv: Sequence[str], *, stdin: str | None = None, timeout_s: float = 60) -> Result:
        result = self.run(argv, stdin=stdin, timeout_s=timeout_s)
        if not result.ok:
            raise RemoteError(result.explain())
        return result


@pytest.fixture
def remote() -> Host:
    return cast(Host, HereLink())


@pytest.fixture
def there(tmp_path: Path) -> PurePosixPath:
    (tmp_path / "data").mkdir()
    return PurePosixPath(tmp_path / "data")


def names_in(folder: PurePosixPath | Path) -> list[str]:
    return sorted(path.name for path in Path(folder).iterdir())


def fill(folder: PurePosixPath, names: Sequence[str], content: str = "") -> None:
    for name in names:
        Path(folder / name).parent.mkdir(parents=True, exist_ok=True)
        Path(folder / name).write_text(content or name, errors="surrogateescape")


def test_an_inventory(remote: Host, there: PurePosixPath) -> None:
    fill(there, ODD)
    os.utime(there / "#x", (1e9, 1e9 + 0.5))
    Path(there / "a b").chmod(0o755)
    Path(there / "link").symlink_to("x\n/y")
    os.mkfifo(there / "pipe")
    found = take_inventory(remote, there)
    assert found is not None
    assert set(found) == {*ODD, "deep", "deep/deeper", "link", "pipe"}
    assert found["#x"] == Entry(kind=Kind.FILE, size_bytes=2, mtime_s=10**9, executable=False)
    assert found["a b"].executable
    assert (found["link"].kind, found["link"].target) == (Kind.LINK, "x\n/y")
    assert (found["deep"].kind, found["pipe"].kind) == (Kind.FOLDER, Kind.OTHER)
    assert take_inventory(remote, there / "no") is None
    for odd in ("link", "pipe"):
        with pytest.raises(RemoteError, match="changes nothing through a link"):
            take_inventory(remote, there / odd)


@pytest.mark.parametrize("text", ["x", "f\t1\t1\0a\0\0", "f\tx\t1.0\t644\0a\0\0", "f\t1\t1.0\t644\0a\0"])
def test_what_find_never_prints(text: str) -> None:
    with pytest.raises(ParseError):
        parse_find(text)


def test_any_names_are_moved_and_removed(remote: Host, there: PurePosixPath, tmp_path: Path) -> None:
    part = PurePosixPath(tmp_path / "part")
    fill(part, ODD, "new")
    fill(there, ["#x", "a b"], "old")
    Path(part / "link").symlink_to("nowhere")
    Path(there / "link").symlink_to(tmp_path)
    make_folders(remote, there, ["deep", "deep/deeper"])
    place(remote, part, there, [*ODD, "link"])
    assert {Path(there / name).read_text() for name in ODD} == {"new"}
    assert Path(there / "link").readlink() == Path("nowhere")
    remove(remote, there, [*ODD[1:], "link", "not there"])
    remove_folders(remote, there, ["deep", "deep/deeper"])
    assert names_in(there) == ["#x"]
    remove_folders(remote, part, ["deep"])
    remove(remote, there, [])


def test_so_many_names_that_one_command_cannot_take_them(
    remote: Host, there: PurePosixPath, tmp_path: Path
) -> None:
    names = [f"{number % 7}/{number:0200d}" for number in range(15000)]
    fill(there, names[:1])
    make_folders(remote, there, [str(number) for number in range(7)])
    for name in names:
        Path(there / name).touch()
    remove(remote, there, names[:-1])
    assert [name for name in take_inventory(remote, there) or {} if len(name) > 9] == [names[-1]]


def test_nothing_goes_through_a_link(remote: Host, there: PurePosixPath, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    (outside / "sub").mkdir(parents=True)
    (outside / "file").write_text("kept")
    part = PurePosixPath(tmp_path / "part")
    fill(part, ["l/file", "top"])
    Path(there / "l").symlink_to(outside)
    for change in (
        lambda: place(remote, part, there, ["l/file"]),
        lambda: remove(remote, there, ["l/file"]),
        lambda: remove_folders(remote, there, ["l/sub"]),
        lambda: make_folders(remote, there, ["l/new"]),
    ):
        with pytest.raises(RemoteError, match="is behind a link"):
            change()
    assert names_in(outside) == ["file", "sub"]
    assert (outside / "file").read_text() == "kept"


def test_texts(remote: Host, there: PurePosixPath) -> None:
    assert read_text(remote, there / "x") is None
    write_text(remote, there / "x", "a\nb")
    write_text(remote, there / "x", "b\n" * 50000)
    assert read_text(remote, there / "x") == "b\n" * 50000
    assert names_in(there) == ["x"]
    with pytest.raises(RemoteError):
        write_text(remote, there / "no" / "x", "a")


class CutLine(LocalShell):
    """This machine, over a line that is cut: a program there has some of its input, and then its end."""

    target = "here"
    runs_commands = True

    def check(self, argv: Sequence[str], *, stdin: str | None = None, timeout_s: float = 60) -> Result:
        subprocess.run(argv, input=(stdin or "").encode()[: self.passed_bytes], check=False)
        raise ConnectionLostError("cut")

    passed_bytes = 0


@pytest.mark.parametrize("passed_bytes", [0, 1, 5, 7])
def test_a_text_that_is_cut_on_its_way_gets_no_name(tmp_path: Path, passed_bytes: int) -> None:
    (tmp_path / "x").write_text("old")
    line = CutLine()
    line.passed_bytes = passed_bytes
    with pytest.raises(ConnectionLostError):
        write_text(cast(Host, line), PurePosixPath(tmp_path / "x"), "a\nb\nc\né")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("x", "old")]
