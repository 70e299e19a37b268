import hashlib
import os
import struct
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from slipway.errors import DataError
from slipway.sftp import fxp
from slipway.sftp.session import NoGreetingError, Session
from slipway.sftp.wire import Entry, MalformedError, Reader, RefusedError, Request, parse_version
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


REQUESTS = [
    fxp.open_file("x", 1),
    fxp.close(b"h"),
    fxp.read(b"h", 0, 10),
    fxp.look("x", follow=False),
    fxp.open_folder("x"),
    fxp.read_folder(b"h"),
    fxp.read_link("x"),
    fxp.ask_room("x"),
]
# Numbers that are small are more often meant to be counts and lengths.
FIELDS = some.one_of(
    some.binary(max_size=9), some.integers(0, 9).map(lambda number: struct.pack(">I", number))
)
CONTENT = some.lists(FIELDS, max_size=12).map(b"".join)


@settings(deadline=None)
@given(
    request=some.sampled_from(REQUESTS),
    kind=some.sampled_from([101, 102, 103, 104, 105, 201, 7]),
    content=CONTENT,
)
def test_any_answer_is_a_value_or_an_error_of_its_own(request: Request, kind: int, content: bytes) -> None:
    try:
        answer = request.answer(kind, Reader(content))
    except (RefusedError, MalformedError):
        return
    assert answer is not None or request.parse is None


@settings(deadline=None)
@given(CONTENT)
def test_any_extensions(content: bytes) -> None:
    with suppress(MalformedError):
        parse_version(content)


class Bytes:
    """A channel on which some bytes come, in parts, and then its end or nothing more."""

    def __init__(self, parts: list[bytes], *, ends: bool = True) -> None:
        self.parts = [*filter(None, parts)]
        self.ends = ends

    def sendall(self, content: bytes) -> None:
        """Take it."""

    def recv(self, size_bytes: int) -> bytes:
        if not self.parts and not self.ends:
            raise TimeoutError
        return self.parts.pop(0) if self.parts else b""


def session(*parts: bytes, ends: bool = True) -> Session:
    return Session(Bytes([*parts], ends=ends))  # type: ignore[arg-type]


VERSION = struct.pack(">IBI", 5 + 6 + 5, 2, 3) + string(b"ab") + string(b"1")


def test_a_greeting_behind_a_text() -> None:
    for text in (b"", b"hello", b"hello \xc3\xa9\n\x1b[1m\x02\x03"):
        for cut in range(len(text + VERSION)):
            whole = text + VERSION
            assert session(whole[:cut], whole[cut:]).extensions == {"ab": "1"}


def test_a_text_in_the_place_of_a_greeting() -> None:
    for ends, why in ((True, "ended by the server"), (False, "nothing more comes")):
        with pytest.raises(NoGreetingError, match=why) as caught:
            session(b"hello", b" there\n", ends=ends)
        assert caught.value.text == b"hello there\n"
    with pytest.raises(NoGreetingError, match="of kind 9") as caught:
        session(b"hello" + b"\0\0\0\x05\x09")
    assert caught.value.text == b"hello"
    with pytest.raises(NoGreetingError, match="text without end"):
        session(*[b"y\n" * 30_000] * 40)


@settings(deadline=None)
@given(some.lists(FIELDS, max_size=12), some.booleans())
def test_any_bytes_after_a_greeting(parts: list[bytes], ends: bool) -> None:
    opened = session(VERSION, *parts, ends=ends)
    # There are no more answers than messages.
    with pytest.raises((MalformedError, RefusedError, EOFError, TimeoutError)):  # noqa: PT012
        for _ in range(len(parts) + 1):
            opened.ask(fxp.look("x", follow=False))


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
