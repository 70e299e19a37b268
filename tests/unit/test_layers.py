"""What is kept of images' layers, what the engine says of them, and what mksquashfs is asked for."""

import io
import json
import tarfile
import zlib
from pathlib import Path
from typing import Any

import pytest

from slipway.errors import ConversionError, EngineError
from slipway.image.engine import Image
from slipway.sif.assembly import Assembly
from slipway.sif.engine_layers import find_layers
from slipway.sif.layered.squash import SquashError, is_usable, squash
from slipway.sif.layers import KeptLayer, LayerStore

IMAGE = Image(ref="slam:latest", id="sha256:1", labels={}, size_bytes=1)


@pytest.fixture
def store(tmp_path: Path) -> LayerStore:
    return LayerStore(folder=tmp_path / "layers", compression="zstd")


def add(store: LayerStore, tmp_path: Path, digest: str, content: bytes = b"squashfs") -> None:
    made = tmp_path / store.name(digest)
    made.write_bytes(content)
    store.keep([KeptLayer(path=made, crc32=zlib.crc32(content), is_overlay=True)])


def test_a_layer_is_found_again(store: LayerStore, tmp_path: Path) -> None:
    assert store.find("sha256:ab") is None
    add(store, tmp_path, "sha256:ab")
    found = store.find("sha256:ab")
    assert found == KeptLayer(
        path=store.folder / "ab-zstd.squashfs", crc32=zlib.crc32(b"squashfs"), is_overlay=True
    )
    assert LayerStore(folder=store.folder, compression="gzip").find("sha256:ab") is None


@pytest.mark.parametrize("change", ["cut", "no record", "half a record", "no file"])
def test_what_is_not_whole_is_not_there(store: LayerStore, tmp_path: Path, change: str) -> None:
    add(store, tmp_path, "sha256:ab")
    file, record = store.folder / "ab-zstd.squashfs", store.folder / "ab-zstd.json"
    if change == "cut":
        file.write_bytes(b"squash")
    elif change == "no record":
        record.unlink()
    elif change == "half a record":
        record.write_text(record.read_text()[:20])
    else:
        file.unlink()
    assert store.find("sha256:ab") is None
    add(store, tmp_path, "sha256:ab", b"new")
    assert store.find("sha256:ab") is not None


def test_who_comes_second_keeps_what_is_there(store: LayerStore, tmp_path: Path) -> None:
    add(store, tmp_path, "sha256:ab")
    add(store, tmp_path, "sha256:ab", b"another")
    found = store.find("sha256:ab")
    assert found
    assert found.path.read_bytes() == b"squashfs"
    assert not (tmp_path / "ab-zstd.squashfs").exists()


def test_what_no_newest_image_has_goes(store: LayerStore, tmp_path: Path) -> None:
    for digest in ("sha256:base", "sha256:old"):
        add(store, tmp_path, digest)
    store.use("one", ["sha256:base", "sha256:old"])
    for digest in ("sha256:new", "sha256:theirs"):
        add(store, tmp_path, digest)
    store.use("lab/two", ["sha256:base", "sha256:theirs", "sha256:new"])
    store.use("one", ["sha256:base", "sha256:new"])
    assert {path.name.partition("-")[0] for path in store.folder.glob("*.squashfs")} == {
        "base",
        "new",
        "theirs",
    }
    store.forget(store.name("sha256:new"))
    assert store.find("sha256:new") is None
    assert not list(store.folder.glob("new*"))


def test_what_is_kept_and_used_in_one_step_is_never_unused(store: LayerStore, tmp_path: Path) -> None:
    made = tmp_path / store.name("sha256:new")
    made.write_bytes(b"squashfs")
    store.keep([KeptLayer(path=made, crc32=7, is_overlay=True)], ("one", ["sha256:new"]))
    store.use("two", [])
    assert store.has(store.name("sha256:new"), "00000007")
    assert not store.has(store.name("sha256:new"), "00000008")
    assert not store.has(f"../layers/{store.name('sha256:new')}", "00000007")


def test_a_list_that_cannot_be_read_frees_nothing(store: LayerStore, tmp_path: Path) -> None:
    add(store, tmp_path, "sha256:theirs")
    store.use("two", ["sha256:theirs"])
    (uses,) = (store.folder / "images").iterdir()
    uses.write_text("")
    store.use("one", [])
    assert store.find("sha256:theirs") is not None
    store.use("two", [])
    assert store.find("sha256:theirs") is None


class Engine:
    """An engine that has one image. A stand-in: real ones have their layers in one way each."""

    def __init__(self, attrs: dict[str, Any], components: tuple[str, ...] = ("Engine",)) -> None:
        self._attrs = attrs
        self._components = components
        self.images = self

    def get(self, _: str) -> "Engine":
        return self

    @property
    def attrs(self) -> dict[str, Any]:
        return self._attrs

    def version(self) -> dict[str, Any]:
        return {"Components": [{"Name": name} for name in self._components]}


ATTRS = {
    "RootFS": {"Layers": ["sha256:1", "sha256:2"]},
    "Config": {"Env": ["A=b"], "Cmd": None, "Hostname": "x", "User": "me"},
    "Architecture": "arm64",
    "Variant": "v8",
    "Os": "linux",
    "Created": "2026-11-30T08:17:05.123456789Z",
    "GraphDriver": {"Name": "overlay2", "Data": {"LowerDir": "/d/1/diff", "UpperDir": "/d/2/diff"}},
}


def test_layers_are_folders_from_the_lowest_on() -> None:
    found = find_layers(Engine(ATTRS), IMAGE)  # type: ignore[arg-type]
    assert found.digests == ("sha256:1", "sha256:2")
    assert found.folders == (Path("/d/1/diff"), Path("/d/2/diff"))
    assert found.created == 1796026625
    assert found.config == {
        "architecture": "arm64",
        "variant": "v8",
        "os": "linux",
        "created": "2026-11-30T08:17:05.123456789Z",
        "config": {"Env": ["A=b"], "User": "me"},
    }


@pytest.mark.parametrize(
    "driver",
    [
        None,
        {"Name": "btrfs", "Data": None},
        {"Name": "overlay2", "Data": {"UpperDir": "/d/2/diff"}},
        {"Name": "overlay2", "Data": {"LowerDir": "/d/a:b/1", "UpperDir": "/d/2"}},
        {"Name": "overlay2", "Data": {"LowerDir": "1", "UpperDir": "/d/2"}},
    ],
)
def test_other_engines_have_no_folders_to_show(driver: Any) -> None:
    found = find_layers(Engine({**ATTRS, "GraphDriver": driver}), IMAGE)  # type: ignore[arg-type]
    assert found.folders is None


def test_podmans_folders_are_of_another_kind() -> None:
    engine = Engine(ATTRS, ("Podman Engine",))
    assert find_layers(engine, IMAGE).folders is None  # type: ignore[arg-type]


@pytest.mark.parametrize("created", ["", "0001-01-01T00:00:00Z", "yesterday"])
def test_an_image_without_a_time_is_old(created: str) -> None:
    assert find_layers(Engine({**ATTRS, "Created": created}), IMAGE).created == 0  # type: ignore[arg-type]


def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str) -> Path:
    """A mksquashfs that writes down its words. A stand-in: the real one is asked in the integration tests."""
    file = tmp_path / "bin" / "mksquashfs"
    file.parent.mkdir()
    file.write_text(f"#!/bin/sh\n{body}\n")
    file.chmod(0o755)
    monkeypatch.setenv("PATH", f"{file.parent}:/usr/bin:/bin")
    return file


ASKED = 'printf "%s\\n" "$@" >"$2.asked"; cat >"$2"\n'


def archive(path: Path, *members: tarfile.TarInfo) -> Path:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for member in members:
            tar.addfile(member)
    path.write_bytes(buffer.getvalue())
    return path


def folder(name: str) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.mode, member.uid, member.gid, member.mtime = tarfile.DIRTYPE, 0o750, 3, 4, 5
    return member


@pytest.mark.parametrize(("name", "is_said"), [("./", True), ("etc", False)])
def test_what_an_archive_says_of_the_root_is_said_to_mksquashfs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, is_said: bool
) -> None:
    program(tmp_path, monkeypatch, ASKED)
    source, to = archive(tmp_path / "layer", folder(name)), tmp_path / "made"
    assert squash(source, to, "gzip") == zlib.crc32(source.read_bytes())
    assert to.read_bytes() == source.read_bytes()
    words = (tmp_path / "made.part.asked").read_text().split()
    assert words[0] == "-"
    asked = ["-root-mode", "750", "-root-time", "5", "-root-uid", "3", "-root-gid", "4"]
    assert (words[-8:] == asked) is is_said


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("echo 'FATAL ERROR: Out of memory'; exit 1", "exit code 1: FATAL ERROR: Out of memory"),
        ("touch \"$2\"; echo 'Tar header not recognised, ignoring'", "exit code 0: .*ignoring"),
    ],
)
def test_a_layer_of_which_something_is_missing_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, said: str
) -> None:
    program(tmp_path, monkeypatch, body)
    with pytest.raises(SquashError, match=said):
        squash(archive(tmp_path / "layer", folder("a")), tmp_path / "made", "zstd")
    assert not (tmp_path / "made").exists()
    assert not (tmp_path / "made.part").exists()


def test_a_compressed_layer_is_unpacked_on_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import gzip

    program(tmp_path, monkeypatch, ASKED)
    plain = archive(tmp_path / "plain", folder("a")).read_bytes()
    (tmp_path / "layer").write_bytes(gzip.compress(plain))
    squash(tmp_path / "layer", tmp_path / "made", "zstd")
    assert (tmp_path / "made").read_bytes() == plain
    (tmp_path / "layer").write_bytes(gzip.compress(plain)[:-20])
    with pytest.raises(SquashError, match="gzip ended with exit code 1"):
        squash(tmp_path / "layer", tmp_path / "cut", "zstd")
    assert not (tmp_path / "cut").exists()


@pytest.mark.parametrize(
    ("said", "usable"),
    [("mksquashfs version 4.6.1 (2023/03/25)", True), ("mksquashfs version 4.5.1", False), ("", False)],
)
def test_an_older_mksquashfs_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, usable: bool
) -> None:
    program(tmp_path, monkeypatch, f"echo '{said}'")
    assert is_usable() is usable
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    assert is_usable() is False


@pytest.mark.parametrize(
    "change",
    [
        {"RootFS": {"Layers": ["sha256:../../x"]}},
        {"RootFS": {"Layers": ["/etc/passwd"]}},
        {"RootFS": {"Layers": 7}},
        {"RootFS": ["x"]},
        {"Config": "x"},
        {"GraphDriver": {"Name": "overlay2", "Data": "x"}},
    ],
)
def test_what_no_engine_says_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(EngineError, match=r"does not say of .* what engines say of an image"):
        find_layers(Engine({**ATTRS, **change}), IMAGE)  # type: ignore[arg-type]


@pytest.mark.parametrize("answer", ["", "[]", '{"sha256": "1"}', '{"crc32": 7, "sha256": "1"}'])
def test_an_answer_that_is_none_is_told(store: LayerStore, tmp_path: Path, answer: str) -> None:
    assembly = Assembly(
        store=store,
        digests=("sha256:1",),
        sources={"sha256:1": tmp_path},
        is_overlay=True,
        architecture="amd64",
        identity="a",
        created=1,
    )
    (tmp_path / "order.answer.json").write_text(answer)
    with pytest.raises(ConversionError, match="what was said of its layers cannot be read"):
        assembly.read(tmp_path)


@pytest.mark.parametrize("name", ["../../precious", "/etc/passwd", ".", "", "a-zstd.squashfs/.."])
def test_what_is_damaged_is_a_file_of_the_store(tmp_path: Path, name: str) -> None:
    (tmp_path / "order.answer.json").write_text(json.dumps({"damaged": name}))
    assert Assembly.damage(tmp_path) is None
    (tmp_path / "order.answer.json").write_text('{"damaged": "0a-zstd.squashfs"}')
    assert Assembly.damage(tmp_path) == "0a-zstd.squashfs"
