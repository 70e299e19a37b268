"""Packed datasets as far as they can be shown on this machine."""

import hashlib
import os
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import pytest

from slipway.dataset.manifest import File, Manifest
from slipway.dataset.packed import choose_packed
from slipway.dataset.packing import (
    Packer,
    check_packed_name,
    content_hash,
    dataset_of,
    has_mksquashfs,
    packed_name,
)
from slipway.dataset.stage import look_here
from slipway.errors import DataError, SpaceError
from slipway.image.recipe import Recipe
from slipway.progress import NullProgress

ROOT = Path(__file__).parents[2]
DIGEST = "0123456789abcdef"
# It keeps the archive that it is given as it is.
MKSQUASHFS = """#!/bin/sh
[ "$1" != -version ] || { echo "mksquashfs version VERSION (2022/03/17)"; exit 1; }
echo "$@" >"$0.argv"
FAIL
exec cat >"$2"
"""


def file(content: str, *, executable: bool = False, mtime_s: int = 0) -> File:
    digest = hashlib.sha256(content.encode()).hexdigest()
    return File(sha256=digest, size_bytes=len(content), mtime_s=mtime_s, executable=executable)


def install(folder: Path, monkeypatch: pytest.MonkeyPatch, version: str = "4.5.1", fail: str = "") -> Path:
    program = folder / "bin" / "mksquashfs"
    program.parent.mkdir(exist_ok=True)
    program.write_text(MKSQUASHFS.replace("VERSION", version).replace("FAIL", fail))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    return program


def packer(state: Path) -> Packer:
    tools = cast(Recipe, None)
    script = ROOT / "singularity" / "pack.py"
    return Packer(state=state, script=script, tools=tools, progress=NullProgress())


def look(source: Path, state: Path) -> Manifest:
    return look_here(source, state / "digests", NullProgress()).here


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    (folder / "sub" / "deep").mkdir(parents=True)
    (folder / "empty").mkdir()
    (folder / "b").write_text("two")
    (folder / "a").write_text("one")
    (folder / "sub" / "run").write_text("#!/bin/sh\n")
    (folder / "sub" / "run").chmod(0o700)
    (folder / "sub" / "deep" / "\udcff").write_text("odd")
    (folder / "link").symlink_to("sub/run")
    return folder


def test_the_name_is_that_of_the_content() -> None:
    here = Manifest(files={"a": file("x"), "b/c": file("y")}, links={"l": "a"}, folders=["e"])
    other_times = Manifest(
        files={"b/c": file("y", mtime_s=9), "a": file("x")}, links={"l": "a"}, folders=["e"]
    )
    assert content_hash(here) == content_hash(other_times)
    different = [
        Manifest(files={"a": file("x", executable=True), "b/c": file("y")}, links={"l": "a"}, folders=["e"]),
        Manifest(files={"a": file("z"), "b/c": file("y")}, links={"l": "a"}, folders=["e"]),
        Manifest(files={"a": file("x"), "b/d": file("y")}, links={"l": "a"}, folders=["e"]),
        Manifest(files={"a": file("x"), "b/c": file("y")}, links={"l": "b"}, folders=["e"]),
        Manifest(files={"a": file("x"), "b/c": file("y")}, links={"l": "a"}),
    ]
    assert len({content_hash(one) for one in (here, *different)}) == 6


def test_names_of_files() -> None:
    assert packed_name("room", DIGEST * 4) == f"room-{DIGEST}.sqsh"
    assert dataset_of(f"a-b.c-{DIGEST}.sqsh") == "a-b.c"
    others = ["room.sqsh", f"room-{DIGEST}.json", f"-{DIGEST}.sqsh", ".room.client.part"]
    assert [dataset_of(name) for name in others] == [None] * 4
    check_packed_name("room-0123")
    with pytest.raises(DataError, match="a name may not end with `-` and 16 hexadecimal digits"):
        check_packed_name(f"room-{DIGEST}")


def test_what_mksquashfs_is_given(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = install(tmp_path, monkeypatch)
    made, changed = packer(tmp_path / "state").pack(
        look(source, tmp_path / "state"), source, f"room-{DIGEST}.sqsh"
    )
    assert made is not None
    assert not changed
    with tarfile.open(made.path, encoding="utf-8", errors="surrogateescape") as tar:
        entries = [(member.name, oct(member.mode), member.mtime, member.uid) for member in tar.getmembers()]
        assert tar.extractfile("a").read() == b"one"  # type: ignore[union-attr]
    names = ["a", "b", "empty", "link", "sub", "sub/deep", "sub/deep/\udcff", "sub/run"]
    assert [name for name, *_ in entries] == names
    assert {mode for name, mode, *_ in entries if name in ("a", "b")} == {"0o644"}
    assert entries[-1][1] == "0o755"
    assert {(mtime, owner) for *_, mtime, owner in entries} == {(946_684_800, 0)}
    argv = Path(f"{program}.argv").read_text().split()
    assert {"-no-fragments", "-no-xattrs", "-all-root", "-noappend", "zstd"} <= {*argv}
    assert made.sha256 == hashlib.sha256(made.path.read_bytes()).hexdigest()


def test_the_same_content_makes_the_same_file(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, monkeypatch)
    hashes = set()
    for number in range(2):
        state = tmp_path / f"state{number}"
        made, _ = packer(state).pack(look(source, state), source, f"room-{DIGEST}.sqsh")
        assert made is not None
        hashes.add(made.sha256)
        os.utime(source / "a", (number, number))
        (source / "b").chmod(0o600)
    assert len(hashes) == 1


def test_what_was_packed_and_not_sent_is_kept(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, monkeypatch)
    one = packer(tmp_path / "state")
    here, name = look(source, tmp_path / "state"), f"room-{DIGEST}.sqsh"
    assert one.find(name) is None
    made, _ = one.pack(here, source, name)
    assert one.find(name) == made
    # An older version that was never sent goes.
    newer = f"room-{DIGEST[::-1]}.sqsh"
    one.pack(here, source, newer)
    assert one.find(name) is None
    kept = one.find(newer)
    assert kept is not None
    kept.path.write_bytes(b"cut")
    assert one.find(newer) is None
    one.forget(kept)
    assert not [*(tmp_path / "state" / "packed").iterdir()]
    assert not [*(tmp_path / "state" / "tmp").iterdir()]


@pytest.mark.parametrize("change", ["longer", "shorter", "other", "gone", "link"])
def test_what_changes_meanwhile_is_noticed(
    change: str, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, monkeypatch)
    here = look(source, tmp_path / "state")
    if change in ("gone", "link"):
        (source / "a").unlink()
    if change == "link":
        (source / "a").symlink_to("b")
    if change in ("longer", "shorter", "other"):
        (source / "a").write_text({"longer": "ones", "shorter": "on", "other": "eno"}[change])
    made, changed = packer(tmp_path / "state").pack(here, source, f"room-{DIGEST}.sqsh")
    assert (made, changed) == (None, ["a"])


@pytest.mark.parametrize(
    ("fail", "kind", "said"),
    [
        (
            "echo wrong >&2; exit 3",
            DataError,
            r"mksquashfs on this machine could not pack .*code 3.*\n  wrong",
        ),
        ("echo No space left on device; exit 1", SpaceError, "make room, or set SLIPWAY_STATE"),
    ],
)
def test_why_it_could_not_be_packed(
    fail: str, kind: type[Exception], said: str, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, monkeypatch, fail=fail)
    with pytest.raises(kind, match=said):
        packer(tmp_path / "state").pack(look(source, tmp_path / "state"), source, f"room-{DIGEST}.sqsh")
    assert not [*(tmp_path / "state" / "tmp").iterdir()]


@pytest.mark.parametrize(
    ("version", "serves"), [("4.5.1", True), ("4.10", True), ("4.4", False), ("x", False)]
)
def test_an_old_mksquashfs_does_not_serve(
    version: str, serves: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, monkeypatch, version)
    assert has_mksquashfs() is serves


@pytest.mark.parametrize(
    ("words", "names_others", "chosen"),
    [
        (["--dataset", "room"], True, {"room"}),
        (["sh", "-c", "ls '/data/room/left' >/out/x"], False, {"room"}),
        (["/data/room:/data/desk"], False, {"room", "desk"}),
        (["--dataset=desk"], True, {"desk"}),
        (["room.txt", "my-room", "rooms", "room-2"], True, set()),
        (["/data/plain"], True, set()),
        (["train.py"], False, {"room", "desk"}),
        (["see room."], False, {"room"}),
    ],
)
def test_which_packed_data_a_job_sees(words: Sequence[str], names_others: bool, chosen: set[str]) -> None:
    current = {"room": f"room-{DIGEST}.sqsh", "desk": f"desk-{DIGEST}.sqsh"}
    assert choose_packed(current, words, names_others=names_others).keys() == chosen
