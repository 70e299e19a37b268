"""Published datasets fetched to this machine, from an HTTP server on it."""

import hashlib
import io
import json
import os
import stat
import tarfile
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from slipway.dataset.catalog import Dataset, load_catalog
from slipway.dataset.fetch import Fetched, fetch
from slipway.dataset.fetched import read_notes
from slipway.dataset.unpack import unpack
from slipway.errors import DataError, DownloadError, IncompleteError, SpaceError
from slipway.progress import NullProgress
from tests.unit.web_files import WebFiles, serve_files

FILES = {
    "seq/rgb/1.png": os.urandom(9000),
    "seq/rgb/2.png": os.urandom(9000),
    "seq/rgb.txt": b"1 rgb/1.png\n",
}


@pytest.fixture
def web() -> Iterator[WebFiles]:
    with serve_files() as server:
        yield server


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("slipway.dataset.fetch._PAUSE_S", 0)
    monkeypatch.setattr("slipway.download._CHUNK", 1024)


def tgz(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def zipped(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        for name, content in files.items():
            packed.writestr(name, content)
    return buffer.getvalue()


def dataset(folder: Path, web: WebFiles, **sequences: Any) -> Dataset:
    file = folder / "datasets.yaml"
    content = {"lab": {"layout": "tum", "base": f"{web.url}/", "source": "the lab", "sequences": sequences}}
    file.write_text(json.dumps(content))
    return load_catalog([file])["lab"]


def run(root: Path, one: Dataset, *names: str) -> Fetched:
    return fetch(root, one, names or tuple(one.sequences), NullProgress())


def content(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_a_sequence_is_fetched_once(tmp_path: Path, web: WebFiles) -> None:
    web.files["/seq.tgz"] = tgz(FILES)
    one, root = dataset(tmp_path, web, seq="seq.tgz"), tmp_path / "data"
    root.mkdir()
    assert run(root, one) == Fetched(new=["seq"], there=[], unknown=[], failed=[])
    # The archive's own folder of the sequence's name is not doubled.
    assert content(root / "lab") == FILES
    note = read_notes(root / ".lab.fetched.json")["seq"]
    assert note.archives == {"seq.tgz": hashlib.sha256(web.files["/seq.tgz"]).hexdigest()}
    assert (note.files, note.size_bytes) == (3, sum(map(len, FILES.values())))
    assert run(root, one) == Fetched(new=[], there=["seq"], unknown=[], failed=[])
    assert len(web.asked) == 1
    assert sorted(path.name for path in root.iterdir()) == [".lab.fetched.json", "lab"]


def test_what_is_missing_is_fetched_again_and_what_was_added_stays(tmp_path: Path, web: WebFiles) -> None:
    web.files["/seq.tgz"] = tgz(FILES)
    one, root = dataset(tmp_path, web, seq="seq.tgz"), tmp_path / "data"
    root.mkdir()
    run(root, one)
    seq = root / "lab" / "seq"
    (seq / "calib.txt").write_text("mine")
    (seq / "rgb" / "1.png").unlink()
    (seq / "rgb" / "2.png").write_bytes(b"cut")
    assert run(root, one).new == ["seq"]
    assert content(root / "lab") == {**FILES, "seq/calib.txt": b"mine"}


def test_a_folder_that_somebody_has_put_there_is_left_alone(tmp_path: Path, web: WebFiles) -> None:
    one, root = dataset(tmp_path, web, seq="seq.tgz"), tmp_path / "data"
    (root / "lab" / "seq").mkdir(parents=True)
    (root / "lab" / "seq" / "mine").touch()
    assert run(root, one).unknown == ["seq"]
    assert web.asked == []


@pytest.mark.parametrize("has_ranges", [True, False])
def test_a_line_that_is_cut_again_and_again(tmp_path: Path, web: WebFiles, has_ranges: bool) -> None:
    web.files["/seq.tgz"] = packed = tgz(FILES)
    web.has_ranges = has_ranges
    web.cuts = [5000, 9000] if has_ranges else [5000, 9000, 12000]
    one, root = dataset(tmp_path, web, seq="seq.tgz"), tmp_path / "data"
    root.mkdir()
    assert run(root, one).new == ["seq"]
    assert content(root / "lab") == FILES
    ranges = [asked for _, asked in web.asked]
    assert ranges[0] is None
    if has_ranges:
        begun = [int((asked or "bytes=0-")[6:-1]) for asked in ranges[1:]]
        assert begun == sorted(begun)
        assert 4000 < begun[0] <= 5000
        assert 12000 < begun[1] <= 14000
    assert len(packed) > 14000


def test_an_archive_that_has_become_another_one_is_fetched_anew(tmp_path: Path, web: WebFiles) -> None:
    web.files["/seq.tgz"], web.cuts = tgz({**FILES, "seq/old": b"old"}), [8192, 0]
    one, root = dataset(tmp_path, web, seq="seq.tgz"), tmp_path / "data"
    root.mkdir()
    with pytest.raises(DownloadError, match="have arrived and are kept"):
        run(root, one).check("lab")
    web.files["/seq.tgz"], web.version = tgz(FILES), '"2"'
    assert run(root, one).new == ["seq"]
    assert content(root / "lab") == FILES


def test_more_had_arrived_than_there_is(tmp_path: Path, web: WebFiles) -> None:
    web.files["/seq.tgz"] = tgz(FILES)
    one, root = dataset(tmp_path, web, seq="seq.tgz"), tmp_path / "data"
    (root / ".lab.fetch").mkdir(parents=True)
    part = root / ".lab.fetch" / "seq.seq.tgz.part"
    part.write_bytes(web.files["/seq.tgz"] + b"more")
    part.with_name(f"{part.name}.json").write_text(json.dumps({"url": f"{web.url}/seq.tgz", "version": None}))
    assert run(root, one).new == ["seq"]
    assert len(web.asked) == 2


def test_one_that_fails_stops_no_other(tmp_path: Path, web: WebFiles) -> None:
    web.files |= {"/a.tgz": tgz({"a/1": b"1"}), "/c.tgz": b"no archive", "/d.zip": zipped({"mav0/1": b"2"})}
    one, root = dataset(tmp_path, web, a="a.tgz", b="b.tgz", c="c.tgz", d="d.zip", e=None), tmp_path / "data"
    root.mkdir()
    done = run(root, one)
    assert (done.new, [name for name, _ in done.failed]) == (["a", "d"], ["b", "c", "e"])
    assert content(root / "lab") == {"a/1": b"1", "d/mav0/1": b"2"}
    with pytest.raises(IncompleteError) as caught:
        done.check("lab")
    said = str(caught.value)
    assert said.startswith(
        "3 sequences of lab could not be fetched; the others are there:\n  b: http://127.0.0.1"
    )
    assert f"/b.tgz: the server answers 404 Not Found\n  By hand: the lab; unpack it as {root}/lab/b" in said
    assert "/c.tgz is no archive, or a damaged one" in said
    assert "datasets.yaml does not say where e is fetched from. By hand: the lab" in said
    # What is damaged is not kept.
    assert not (root / ".lab.fetch" / "c.c.tgz.part").exists()


def test_one_of_one_ends_with_its_own_error(tmp_path: Path, web: WebFiles) -> None:
    one, root = dataset(tmp_path, web, a="a.tgz"), tmp_path / "data"
    root.mkdir()
    with pytest.raises(DownloadError, match="404"):
        run(root, one).check("lab")
    assert list(root.iterdir()) == []


def test_a_page_in_the_place_of_a_file(tmp_path: Path, web: WebFiles) -> None:
    web.files["/a.tgz"], web.kind = b"<html>", "text/html; charset=utf-8"
    one, root = dataset(tmp_path, web, a="a.tgz"), tmp_path / "data"
    root.mkdir()
    with pytest.raises(DownloadError, match="the server gives a web page in place of the file"):
        run(root, one).check("lab")


def test_a_redirect_is_followed(tmp_path: Path, web: WebFiles) -> None:
    web.files["/there/a.tgz"], web.moved = tgz({"a/1": b"1"}), {"/a.tgz": "/there/a.tgz"}
    one, root = dataset(tmp_path, web, a="a.tgz"), tmp_path / "data"
    root.mkdir()
    assert run(root, one).new == ["a"]


@pytest.mark.parametrize("kind", ["sha256", "md5"])
def test_another_hash_than_the_one_that_is_known(tmp_path: Path, web: WebFiles, kind: str) -> None:
    web.files["/a.tgz"] = tgz({"a/1": b"1"})
    right = hashlib.new(kind, web.files["/a.tgz"]).hexdigest()
    wrong = right[::-1]
    root = tmp_path / "data"
    root.mkdir()
    with pytest.raises(DataError) as caught:
        run(root, dataset(tmp_path, web, a={"fetch": {"url": "a.tgz", kind: wrong}})).check("lab")
    assert f"its {kind} is {right}, and {wrong} by {tmp_path}/datasets.yaml; it was removed" in str(
        caught.value
    )
    assert not (root / "lab").exists()
    assert run(root, dataset(tmp_path, web, a={"fetch": {"url": "a.tgz", kind: right}})).new == ["a"]


def test_another_size_than_the_one_that_is_known(tmp_path: Path, web: WebFiles) -> None:
    web.files["/a.tgz"] = tgz({"a/1": b"1"})
    root = tmp_path / "data"
    root.mkdir()
    with pytest.raises(DataError, match=r"a\.tgz has \d+ bytes, and 3 by .* Has it been published anew\?"):
        run(root, dataset(tmp_path, web, a={"fetch": {"url": "a.tgz", "size_bytes": 3}})).check("lab")


def test_several_archives_are_one_folder_with_a_calibration(tmp_path: Path, web: WebFiles) -> None:
    web.files |= {
        "/a_mono.zip": zipped({"a/rgb/1.png": b"1", "__MACOSX/a/._1": b"junk"}),
        "/a_rgbd.zip": zipped({"a/depth/1.png": b"2", "a/.DS_Store": b"junk"}),
        "/truth.txt": b"3",
    }
    entry = {"fetch": ["a_mono.zip", "a_rgbd.zip"], "calibration": "1 2 3 4"}
    one = dataset(tmp_path, web, a=entry, b={"fetch": ["truth.txt"], "folder": "deep/b"})
    root = tmp_path / "data"
    root.mkdir()
    run(root, one)
    assert content(root / "lab") == {
        "a/rgb/1.png": b"1",
        "a/depth/1.png": b"2",
        "a/calib.txt": b"1 2 3 4\n",
        "deep/b/truth.txt": b"3",
    }


def test_a_full_disk_ends_it(tmp_path: Path, web: WebFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    web.files |= {"/a.tgz": tgz({"a/1": b"1"}), "/b.tgz": tgz({"b/1": b"1"})}
    root = tmp_path / "data"
    root.mkdir()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("slipway.dataset.fetch.unpack", full)
    with pytest.raises(
        SpaceError, match="the disk is full, or your quota is reached; what has arrived is kept"
    ):
        run(root, dataset(tmp_path, web, a="a.tgz", b="b.tgz"))
    assert len(web.asked) == 1
    monkeypatch.undo()
    # It was fetched as a whole, and is not fetched again.
    assert run(root, dataset(tmp_path, web, a="a.tgz", b="b.tgz")).new == ["a", "b"]
    assert len(web.asked) == 2


def hostile(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, link
    return member


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ([hostile("../out")], "../out in it leads out of the folder; it is refused"),
        ([hostile("/etc/out")], "/etc/out in it leads out of the folder"),
        ([hostile("a/../../out")], "in it leads out of the folder"),
        ([hostile("link", tarfile.SYMTYPE, "../..")], "link in it is a link that leads out of the folder"),
        ([hostile("link", tarfile.SYMTYPE, "/etc")], "link in it is a link that leads out of the folder"),
        (
            [hostile("hard", tarfile.LNKTYPE, "../secret")],
            "hard in it is a link that leads out of the folder",
        ),
        (
            [hostile("in", tarfile.DIRTYPE), hostile("link", tarfile.SYMTYPE, "in"), hostile("link/file")],
            "link/file in it goes through a link; it is refused",
        ),
        ([hostile("pipe", tarfile.FIFOTYPE)], "pipe in it is no file; it is refused"),
        ([hostile("null", tarfile.CHRTYPE)], "null in it is no file"),
    ],
)
def test_what_leads_out_of_a_tar_is_refused(
    tmp_path: Path, members: list[tarfile.TarInfo], words: str
) -> None:
    archive, folder = tmp_path / "a.tar", tmp_path / "top" / "folder"
    folder.mkdir(parents=True)
    with tarfile.open(archive, "w") as tar:
        for member in members:
            tar.addfile(member)
    with pytest.raises(DataError) as caught:
        unpack(archive, folder, "http://h/a.tar")
    assert str(caught.value).startswith("http://h/a.tar: ")
    assert words in str(caught.value)
    assert [path.name for path in (tmp_path / "top").iterdir()] == ["folder"]


def test_a_file_of_an_archive_has_no_rights_beyond_its_owners(tmp_path: Path) -> None:
    archive, folder = tmp_path / "a.tar", tmp_path / "folder"
    folder.mkdir()
    with tarfile.open(archive, "w") as tar:
        member = hostile("program")
        member.mode, member.uid = 0o6777, 4242
        tar.addfile(member)
    unpack(archive, folder, "a")
    made = (folder / "program").stat()
    assert (made.st_mode & 0o7777, made.st_uid) == (0o755, os.getuid())


def test_links_that_stay_are_kept(tmp_path: Path) -> None:
    archive, folder = tmp_path / "a.tar", tmp_path / "folder"
    folder.mkdir()
    with tarfile.open(archive, "w") as tar:
        tar.addfile(hostile("a/file"))
        tar.addfile(hostile("a/b/link", tarfile.SYMTYPE, "../file"))
        tar.addfile(hostile("hard", tarfile.LNKTYPE, "a/file"))
    unpack(archive, folder, "a")
    assert (folder / "a" / "b" / "link").readlink() == Path("../file")
    assert (folder / "hard").exists()


@pytest.mark.parametrize("name", ["../out", "/out", "a/../../out", "a\\..\\..\\out"])
def test_what_leads_out_of_a_zip_is_refused(tmp_path: Path, name: str) -> None:
    archive, folder = tmp_path / "a.zip", tmp_path / "top" / "folder"
    folder.mkdir(parents=True)
    archive.write_bytes(zipped({name: b"1"}))
    with pytest.raises(DataError, match="in it leads out of the folder; it is refused"):
        unpack(archive, folder, "a.zip")


def test_a_link_in_a_zip_is_refused(tmp_path: Path) -> None:
    member = zipfile.ZipInfo("link")
    member.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as packed:
        packed.writestr(member, "/etc/passwd")
    with pytest.raises(DataError, match=r"a\.zip: link in it is no file; it is refused"):
        unpack(tmp_path / "a.zip", tmp_path, "a.zip")


@pytest.mark.parametrize("spoil", ["cut", "flip"])
@pytest.mark.parametrize("make", [tgz, zipped])
def test_a_damaged_archive(tmp_path: Path, make: Any, spoil: str) -> None:
    packed = bytearray(make(FILES))
    if spoil == "cut":
        del packed[len(packed) // 2 :]
    else:
        packed[len(packed) // 2] ^= 255
    archive, folder = tmp_path / "a", tmp_path / "folder"
    folder.mkdir()
    archive.write_bytes(packed)
    with pytest.raises(DataError, match="http://h/a is no archive, or a damaged one: "):
        unpack(archive, folder, "http://h/a")
