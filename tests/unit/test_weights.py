import hashlib
import json
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from shutil import copyfile

import pytest

from slipway.errors import ConfigError, DataError, DownloadError, UsageError
from slipway.progress import NullProgress
from slipway.project import Project
from slipway.steps.data import find_weights
from slipway.steps.session import Session
from slipway.weights.checkpoint import check_checkpoint
from slipway.weights.stage import Source, fetch_weights, find_source, take_weights

ROOT = Path(__file__).parents[2]
# Made by torch.save of PyTorch 2.7.1: tensors in both of its formats, and a call of os.system.
DATA = Path(__file__).parent / "data"
TENSORS = (DATA / "tensors.pth").read_bytes()


@dataclass
class Server:
    """An HTTP server on this machine that serves one file, in the ways that files are served."""

    content: bytes = TENSORS
    kind: str = "application/octet-stream"
    version: str | None = '"1"'
    cut_after: int | None = None
    status: int = 200
    ranges: list[str | None] = field(default_factory=list)
    url: str = ""

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        asked = request.headers.get("Range")
        self.ranges.append(asked)
        same = request.headers.get("If-Range") in (None, self.version)
        begin = int(re.findall(r"\d+", asked)[0]) if asked and same else 0
        body = self.content[begin:]
        if begin and not body:
            request.send_response(416)
            request.send_header("Content-Range", f"bytes */{len(self.content)}")
            request.send_header("Content-Length", "0")
            request.end_headers()
            return
        request.send_response(206 if begin else self.status)
        request.send_header("Content-Type", self.kind)
        request.send_header("Content-Length", str(len(body)))
        if self.version:
            request.send_header("ETag", self.version)
        request.end_headers()
        request.wfile.write(body[: self.cut_after])


@pytest.fixture
def server() -> Iterator[Server]:
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.answer(self)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        state.url = f"http://127.0.0.1:{http.server_address[1]}/droid.pth"
        yield state
        http.shutdown()


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_weights_are_fetched_once(server: Server, tmp_path: Path) -> None:
    source = Source(name="droid.pth", url=server.url)
    weights, fetched = fetch_weights(tmp_path, source, NullProgress())
    assert fetched
    assert weights.path.read_bytes() == TENSORS
    assert (weights.name, weights.sha256, weights.size_bytes) == ("droid.pth", digest(TENSORS), len(TENSORS))
    assert json.loads((tmp_path / "droid.pth.json").read_text())["from"] == server.url
    assert fetch_weights(tmp_path, source, NullProgress()) == (weights, False)
    assert len(server.ranges) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["droid.pth", "droid.pth.json"]


@pytest.mark.parametrize("version", ['"1"', None])
def test_a_download_that_is_cut_goes_on(
    server: Server, tmp_path: Path, version: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("slipway.download._CHUNK", 500)
    server.version, server.cut_after = version, 1000
    source = Source(name="droid.pth", url=server.url)
    with pytest.raises(DownloadError, match="are kept") as caught:
        fetch_weights(tmp_path, source, NullProgress())
    assert "--file" in str(caught.value)
    assert caught.value.exit_code == 90
    assert not (tmp_path / "droid.pth").exists()
    server.cut_after = None
    weights, _ = fetch_weights(tmp_path, source, NullProgress())
    assert server.ranges == [None, "bytes=1000-"]
    assert weights.sha256 == digest(TENSORS)


@pytest.mark.parametrize("more", [b"", b"more than there is"])
def test_all_of_it_was_here_before(server: Server, tmp_path: Path, more: bytes) -> None:
    """As where an earlier fetch was killed between its last byte and the look at the file."""
    (tmp_path / ".droid.pth.part").write_bytes(TENSORS + more)
    note = {"url": server.url, "version": None}
    (tmp_path / ".droid.pth.part.json").write_text(json.dumps(note))
    source = Source(name="droid.pth", url=server.url)
    if more:
        with pytest.raises(DownloadError, match="less of it than what had arrived"):
            fetch_weights(tmp_path, source, NullProgress())
    assert fetch_weights(tmp_path, source, NullProgress())[0].sha256 == digest(TENSORS)
    assert server.ranges == [f"bytes={len(TENSORS + more)}-", *([None] if more else [])]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["droid.pth", "droid.pth.json"]


def test_a_password_in_the_address_is_kept_nowhere(server: Server, tmp_path: Path) -> None:
    url = server.url.replace("//", "//me:secret@")
    fetch_weights(tmp_path, Source(name="droid.pth", url=url), NullProgress())
    assert "secret" not in (tmp_path / "droid.pth.json").read_text()
    server.status = 404
    with pytest.raises(DownloadError) as caught:
        fetch_weights(tmp_path, Source(name="other.pth", url=url), NullProgress())
    assert "secret" not in str(caught.value)


def test_weights_from_another_place_are_still_those_that_are_known(server: Server, tmp_path: Path) -> None:
    (tmp_path / "env").mkdir()
    known = {"droid.pth": {"url": "http://h.invalid/", "sha256": "0" * 64, "least_bytes": 1}}
    (tmp_path / "env" / "weights.json").write_text(json.dumps(known))
    session = Session(project=Project(root=tmp_path, state=tmp_path / "state", results=tmp_path))
    with pytest.raises(DataError, match=r"env/weights\.json"):
        find_weights(session, "droid.pth", url=server.url)
    with pytest.raises(UsageError, match="leave one of them out"):
        find_weights(session, "mine.pth", url=server.url, file=DATA / "tensors.pth")


def test_without_a_list_of_ones_own_slipways_counts(tmp_path: Path) -> None:
    session = Session(project=Project(root=tmp_path, state=tmp_path / "state", results=tmp_path))
    weights, is_new = find_weights(session, "mine.pth", file=DATA / "tensors.pth")
    assert (weights.name, is_new) == ("mine.pth", True)


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"droid.pth": {"hash": ""}}', '{"droid.pth": 1}', '{"droid.pth": {"sha256": "0A"}}']
)
def test_a_mistake_in_the_list_of_weights(tmp_path: Path, text: str) -> None:
    (tmp_path / "weights.json").write_text(text)
    with pytest.raises(ConfigError, match=r"weights\.json: .*droid\.pth"):
        find_source(tmp_path / "weights.json", "droid.pth")


def test_fetching_anew(server: Server, tmp_path: Path) -> None:
    source = Source(name="mine.pth", url=server.url)
    first, _ = fetch_weights(tmp_path, source, NullProgress())
    server.content = (DATA / "tensors-old.pth").read_bytes()
    assert fetch_weights(tmp_path, source, NullProgress()) == (first, False)
    other, fetched = fetch_weights(tmp_path, source, NullProgress(), replace=True)
    assert fetched
    assert other.sha256 == digest(server.content)


def test_another_version_is_fetched_from_its_beginning(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("slipway.download._CHUNK", 500)
    server.content, server.cut_after = b"\0" * len(TENSORS), 1000
    source = Source(name="droid.pth", url=server.url)
    with pytest.raises(DownloadError):
        fetch_weights(tmp_path, source, NullProgress())
    server.content, server.cut_after, server.version = TENSORS, None, '"2"'
    assert fetch_weights(tmp_path, source, NullProgress())[0].sha256 == digest(TENSORS)
    assert server.ranges == [None, "bytes=1000-"]


def test_a_page_in_place_of_the_file(server: Server, tmp_path: Path) -> None:
    server.content, server.kind = (
        b"<!doctype html>Google Drive - Virus scan warning",
        "text/html; charset=utf-8",
    )
    with pytest.raises(DownloadError, match="web page") as caught:
        fetch_weights(tmp_path, Source(name="droid.pth", url=server.url), NullProgress())
    assert "invoke weights --file PATH" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_servers_that_do_not_serve(server: Server, tmp_path: Path) -> None:
    server.status = 404
    for url, words in (
        (server.url, "404"),
        ("http://127.0.0.1:9/x", "refused"),
        ("http://h.invalid/x", "invalid"),
        ("http://[", "could not be fetched"),
        ("droid.pth", "could not be fetched"),
    ):
        with pytest.raises(DownloadError, match=words):
            fetch_weights(tmp_path, Source(name="droid.pth", url=url), NullProgress())


def test_another_file_than_the_known_one(server: Server, tmp_path: Path) -> None:
    source = Source(name="droid.pth", url=server.url, sha256="0" * 64)
    with pytest.raises(DataError, match=r"env/weights\.json"):
        fetch_weights(tmp_path, source, NullProgress())
    assert [path for path in tmp_path.iterdir() if path.suffix != ".json"] == []
    with pytest.raises(DataError, match="something else"):
        fetch_weights(tmp_path, Source(name="droid.pth", url=server.url, least_bytes=1 << 20), NullProgress())


def test_what_came_first_is_believed(tmp_path: Path) -> None:
    source = Source(name="mine.pth")
    first = take_weights(tmp_path, DATA / "tensors.pth", source)
    with pytest.raises(DataError, match="--replace"):
        take_weights(tmp_path, DATA / "tensors-old.pth", source)
    assert first.path.read_bytes() == TENSORS
    other = take_weights(tmp_path, DATA / "tensors-old.pth", source, replace=True)
    assert fetch_weights(tmp_path, source, NullProgress()) == (other, False)
    # Somebody has changed the file: it is not what was looked at.
    other.path.write_bytes(TENSORS)
    with pytest.raises(UsageError, match="--url"):
        fetch_weights(tmp_path, source, NullProgress())


def test_files_that_are_no_weights(tmp_path: Path) -> None:
    check_checkpoint(DATA / "tensors.pth")
    check_checkpoint(DATA / "tensors-old.pth")
    with pytest.raises(DataError, match=r"posix\.system"):
        check_checkpoint(DATA / "program.pth")
    changed = bytearray(TENSORS)
    changed[TENSORS.index(b"\x80\x3f")] ^= 1  # a bit of a number
    wrong = {"page": b"<!doctype html>", "empty": b"", "cut": TENSORS[:1500], "changed": bytes(changed)}
    for name, content in wrong.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match=name):
            check_checkpoint(tmp_path / name)
    locked = bytearray(TENSORS)
    # The first bit of each entry's flags says that it is encrypted.
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        for match in re.finditer(re.escape(mark), TENSORS):
            locked[match.start() + place] |= 1
    (tmp_path / "locked").write_bytes(locked)
    with pytest.raises(DataError, match="encrypted"):
        check_checkpoint(tmp_path / "locked")
    with pytest.raises(DataError, match="holds more than tensors"):
        take_weights(tmp_path, DATA / "program.pth", Source(name="mine.pth"))
    assert not (tmp_path / "mine.pth").exists()


def test_names(tmp_path: Path) -> None:
    known = find_source(ROOT / "env" / "weights.json", "droid.pth")
    assert known.url is not None
    assert "1PpqVt1H4maBa_GbPJp4NwxRsd9jk-elh" in known.url
    assert find_source(ROOT / "env" / "weights.json", "mine.pth") == Source(name="mine.pth")
    for name in ("../droid.pth", ".hidden", "", "a/b"):
        with pytest.raises(UsageError):
            find_source(ROOT / "env" / "weights.json", name)
    copyfile(DATA / "tensors.pth", tmp_path / "given.pth")
    assert take_weights(tmp_path / "kept", tmp_path / "given.pth", Source(name="mine.pth")).name == "mine.pth"
