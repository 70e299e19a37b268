import hashlib
import os
import struct
from pathlib import Path

import pytest

from slipway.errors import DataError
from slipway.sftp import fxp
from slipway.sftp.wire import Entry, Reader, RefusedError
from slipway.transfer.sftp.journal import PIECE_BYTES, identity, line, parse_journal, pieces, place
from slipway.transfer.sftp.upload_plan import plan_file, plan_tree


def string(content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + content


def test_names_are_bytes_whatever_they_are() -> None:
    name = os.fsdecode(b"new\nline \xe9 \xff")
    assert fxp.remove(name).body == string(b"new\nline \xe9 \xff")
    attributes = struct.pack(">IQIIII", 13, 7, 0o100644, 1, 2, 0)[:-4]
    answer = struct.pack(">I", 1) + string(b"new\nline \xe9 \xff") + string(b"-rw- long") + attributes
    ((found, entry),) = fxp.read_folder(b"h").answer(104, Reader(answer))
    assert (found, entry) == (name, Entry(mode=0o100644, size_bytes=7, mtime_s=2))


def test_answers() -> None:
    status = [struct.pack(">I", code) + string(b"words") + string(b"en") for code in range(9)]
    assert fxp.read(b"h", 0, 10).answer(101, Reader(status[1])) == b""
    assert fxp.write(b"h", 0, b"x").answer(101, Reader(status[0])) is None
    # An end of the file is no answer to a write.
    for code in (1, 2, 3, 4, 8):
        with pytest.raises(RefusedError) as caught:
            fxp.write(b"h", 0, b"x").answer(101, Reader(status[code]))
        assert (caught.value.code, caught.value.words, caught.value.writes) == (code, "words", True)
    with pytest.raises(RefusedError, match="kind 103"):
        fxp.remove("x").answer(103, Reader(b""))


def test_times_that_the_protocol_does_not_have() -> None:
    body = fxp.set_times(b"h", (-5.0, 1e12)).body
    assert body == string(b"h") + struct.pack(">III", 8, 0, 0xFFFFFFFF)


def test_journal() -> None:
    size = 3 * PIECE_BYTES + 5
    starts = [start for start, _ in pieces(size)]
    assert sum(length for _, length in pieces(size)) == size
    content = bytearray(place(starts[-1]) + 65)
    digests = {start: hashlib.sha256(bytes([number])).hexdigest() for number, start in enumerate(starts)}
    for start in (starts[0], starts[3]):
        content[place(start) : place(start) + 65] = line(digests[start])
    content[place(starts[2]) : place(starts[2]) + 30] = line(digests[starts[2]])[:30]  # torn
    assert parse_journal(bytes(content)) == {start: digests[start] for start in (starts[0], starts[3])}
    assert parse_journal(bytes(content[:-1])) == {starts[0]: digests[starts[0]]}
    assert len({identity("a", 1, 2), identity("a", 1, 3), identity("a", 2, 2), identity("b", 1, 2)}) == 4


def test_a_plan_follows_no_links(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "file").write_bytes(b"xy")
    (tmp_path / "out").symlink_to("/etc")
    (tmp_path / ".slipway-partial").mkdir()
    (tmp_path / ".slipway-partial" / "x").touch()
    os.mkfifo(tmp_path / "pipe")
    plan = plan_tree(tmp_path, None)
    assert (sorted(plan.folders), list(plan.files), plan.links) == (
        ["a", "a/b"],
        ["a/b/file"],
        {"out": "/etc"},
    )
    assert plan.total_bytes == 2
    plan = plan_tree(tmp_path, ["a/b/file"])
    assert (list(plan.folders), list(plan.files), plan.links) == (["a", "a/b"], ["a/b/file"], {})
    with pytest.raises(DataError, match="gone cannot be read: No such file"):
        plan_tree(tmp_path, ["gone"])
    (tmp_path / "link").symlink_to("a/b/file")
    assert plan_file(tmp_path / "link").files["link"].path == tmp_path.resolve() / "a" / "b" / "file"


def test_a_file_that_changes_meanwhile(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"x" * 100_000)
    (one,) = plan_tree(tmp_path, None).files.values()
    assert one.digest(0, 100_000) == hashlib.sha256(b"x" * 100_000).hexdigest()
    chunks = one.read(0, 100_000)
    next(chunks)
    file.write_bytes(b"y" * 100_000)
    with pytest.raises(DataError, match="was changed while it was sent"):
        list(chunks)
    file.unlink()
    file.symlink_to("/etc/passwd")
    with pytest.raises(DataError, match="file cannot be read"):
        list(one.read(0, 10))
