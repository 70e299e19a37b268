import hashlib
import json
import re
from collections.abc import Iterator
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
from tests.unit.web_files import WebFiles, serve_files

ROOT = Path(__file__).parents[2]
# Made by torch.save of PyTorch 2.7.1: tensors in both of its formats, and a call of os.system.
DATA = Path(__file__).parent / "data"
TENSORS = (DATA / "tensors.pth").read_bytes()
FILE = "/droid.pth"


@pytest.fixture
def server() -> Iterator[WebFiles]:
    with serve_files() as state:
        state.files[FILE] = TENSORS
        yield state


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_weights_are_fetched_once(server: WebFiles, tmp_path: Path) -> None:
    source = Source(name="droid.pth", url=server.url + FILE)
    weights, fetched = fetch_weights(tmp_path, source, NullProgress())
    assert fetched
    assert weights.path.read_bytes() == TENSORS
    assert (weights.name, weights.sha256, weights.size_bytes) == ("droid.pth", digest(TENSORS), len(TENSORS))
    assert json.loads((tmp_path / "droid.pth.json").read_text())["from"] == server.url + FILE
    assert fetch_weights(tmp_path, source, NullProgress()) == (weights, False)
    assert len(server.ranges) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["droid.pth", "droid.pth.json"]


@pytest.mark.parametrize("version", ['"1"', None])
def test_a_download_that_is_cut_goes_on(
    server: WebFiles, tmp_path: Path, version: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("slipway.download._CHUNK", 500)
    server.version, server.cuts = version, [1000]
    source = Source(name="droid.pth", url=server.url + FILE)
    with pytest.raises(DownloadError, match="are kept") as caught:
        fetch_weights(tmp_path, source, NullProgress())
    assert "--file" in str(caught.value)
    assert caught.value.exit_code == 90
    assert not (tmp_path / "droid.pth").exists()
    weights, _ = fetch_weights(tmp_path, source, NullProgress())
    assert server.ranges == [None, "bytes=1000-"]
    assert weights.sha256 == digest(TENSORS)


@pytest.mark.parametrize("more", [b"", b"more than there is"])
def test_all_of_it_was_here_before(server: WebFiles, tmp_path: Path, more: bytes) -> None:
    """As where an earlier fetch was killed between its last byte and the look at the file."""
    (tmp_path / ".droid.pth.part").write_bytes(TENSORS + more)
    note = {"url": server.url + FILE, "version": None}
    (tmp_path / ".droid.pth.part.json").write_text(json.dumps(note))
    source = Source(name="droid.pth", url=server.url + FILE)
    if more:
        with pytest.raises(DownloadError, match="less of it than what had arrived"):
            fetch_weights(tmp_path, source, NullProgress())
    assert fetch_weights(tmp_path, source, NullProgress())[0].sha256 == digest(TENSORS)
    assert server.ranges == [f"bytes={len(TENSORS + more)}-", *([None] if more else [])]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["droid.pth", "droid.pth.json"]


def test_a_password_in_the_address_is_kept_nowhere(server: WebFiles, tmp_path: Path) -> None:
    url = server.url.replace("//", "//me:secret@") + FILE
    fetch_weights(tmp_path, Source(name="droid.pth", url=url), NullProgress())
    assert "secret" not in (tmp_path / "droid.pth.json").read_text()
    server.files.clear()
    with pytest.raises(DownloadError) as caught:
        fetch_weights(tmp_path, Source(name="other.pth", url=url), NullProgress())
    assert "secret" not in str(caught.value)


def test_weights_from_another_place_are_still_those_that_are_known(server: WebFiles, tmp_path: Path) -> None:
    (tmp_path / "env").mkdir()
    known = {"droid.pth": {"url": "http://h.invalid/", "sha256": "0" * 64, "least_bytes": 1}}
    (tmp_path / "env" / "weights.json").write_text(json.dumps(known))
    session = Session(project=Project(root=tmp_path, state=tmp_path / "state", results=tmp_path))
    with pytest.raises(DataError, match=r"env/weights\.json"):
        find_weights(session, "droid.pth", url=server.url + FILE)
    with pytest.raises(UsageError, match="leave one of them out"):
        find_weights(session, "mine.pth", url=server.url + FILE, file=DATA / "tensors.pth")


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


def test_fetching_anew(server: WebFiles, tmp_path: Path) -> None:
    source = Source(name="mine.pth", url=server.url + FILE)
    first, _ = fetch_weights(tmp_path, source, NullProgress())
    server.files[FILE] = (DATA / "tensors-old.pth").read_bytes()
    assert fetch_weights(tmp_path, source, NullProgress()) == (first, False)
    other, fetched = fetch_weights(tmp_path, source, NullProgress(), replace=True)
    assert fetched
    assert other.sha256 == digest(server.files[FILE])


def test_another_version_is_fetched_from_its_beginning(
    server: WebFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("slipway.download._CHUNK", 500)
    server.files[FILE], server.cuts = b"\0" * len(TENSORS), [1000]
    source = Source(name="droid.pth", url=server.url + FILE)
    with pytest.raises(DownloadError):
        fetch_weights(tmp_path, source, NullProgress())
    server.files[FILE], server.version = TENSORS, '"2"'
    assert fetch_weights(tmp_path, source, NullProgress())[0].sha256 == digest(TENSORS)
    assert server.ranges == [None, "bytes=1000-"]


def test_a_page_in_place_of_the_file(server: WebFiles, tmp_path: Path) -> None:
    server.files[FILE], server.kind = (
        b"<!doctype html>Google Drive - Virus scan warning",
        "text/html; charset=utf-8",
    )
    with pytest.raises(DownloadError, match="web page") as caught:
        fetch_weights(tmp_path, Source(name="droid.pth", url=server.url + FILE), NullProgress())
    assert "invoke weights --file PATH" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_servers_that_do_not_serve(server: WebFiles, tmp_path: Path) -> None:
    server.files.clear()
    for url, words in (
        (server.url + FILE, "404"),
        ("http://127.0.0.1:9/x", "refused"),
        ("http://h.invalid/x", "invalid"),
        ("http://[", "could not be fetched"),
        ("droid.pth", "could not be fetched"),
    ):
        with pytest.raises(DownloadError, match=words):
            fetch_weights(tmp_path, Source(name="droid.pth", url=url), NullProgress())


def test_another_file_than_the_known_one(server: WebFiles, tmp_path: Path) -> None:
    source = Source(name="droid.pth", url=server.url + FILE, sha256="0" * 64)
    with pytest.raises(DataError, match=r"env/weights\.json"):
        fetch_weights(tmp_path, source, NullProgress())
    assert [path for path in tmp_path.iterdir() if path.suffix != ".json"] == []
    with pytest.raises(DataError, match="something else"):
        fetch_weights(
            tmp_path, Source(name="droid.pth", url=server.url + FILE, least_bytes=1 << 20), NullProgress()
        )


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
