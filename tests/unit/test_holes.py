"""A .sif with holes: read as if it were whole, and written as a whole where somebody needs that."""

import hashlib
import json
import os
import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from slipway.errors import ImageError
from slipway.image.engine import Image
from slipway.keep.here import state_here
from slipway.project import Project
from slipway.sif.holes import Piece, SparseFile
from slipway.sif.kept import (
    DamagedSifError,
    Sif,
    find_by_hash,
    find_sif,
    keep_made,
    kept_path,
    make_whole,
    source_of,
)
from slipway.sif.layers import KeptLayer, LayerStore
from slipway.transfer.sftp.upload_plan import plan_source
from slipway.transfer.source import WholeFile, sha256_of

ROOT = Path(__file__).parents[2]
IMAGE = Image(ref="a:latest", id="sha256:" + "1" * 64, labels={}, size_bytes=1)
NEWER = Image(ref="a:latest", id="sha256:" + "2" * 64, labels={}, size_bytes=1)
LAYER = bytes(range(256)) * 40


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(root=ROOT, state=tmp_path / "state", results=tmp_path / "results")


def keep_layer(project: Project, content: bytes = LAYER, digest: str = "sha256:" + "c" * 64) -> str:
    """Keep a layer; returns how pieces name it."""
    store = LayerStore.of(project, "zstd")
    made = project.state / "made" / store.name(digest)
    made.parent.mkdir(parents=True, exist_ok=True)
    made.write_bytes(content)
    store.keep([KeptLayer(path=made, crc32=7, is_overlay=True)])
    return f"{store.name(digest)} 00000007"


def keep(project: Project, image: Image = IMAGE, layer: str | None = None) -> tuple[Sif, bytes]:
    """Keep a file of two pieces of a layer, with something before, between and behind them."""
    layer = layer or keep_layer(project)
    whole = b"front" + LAYER[10:5000] + b"between" + LAYER[6000:] + b"tables"
    holes = [
        Piece(layer=layer, start=10, size_bytes=4990, offset=5),
        Piece(layer=layer, start=6000, size_bytes=len(LAYER) - 6000, offset=5 + 4990 + 7),
    ]
    content = bytearray(whole)
    for hole in holes:
        content[hole.offset : hole.offset + hole.size_bytes] = bytes(hole.size_bytes)
    made = project.state / "made" / "a.sif"
    made.parent.mkdir(parents=True, exist_ok=True)
    made.write_bytes(content)
    digest = hashlib.sha256(whole).hexdigest()
    return keep_made(made, project, image, "zstd", known_sha256=digest, holes=holes), whole


@pytest.mark.parametrize("seed", range(100))
def test_what_has_holes_reads_as_if_it_were_whole(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - contents, not secrets
    (tmp_path / "layers").mkdir()
    names = [f"layer-{number}" for number in range(3)]
    for name in names:
        (tmp_path / "layers" / name).write_bytes(os.urandom(4000))
    whole, sparse, holes = bytearray(), bytearray(), []
    for _ in range(chance.randint(0, 8)):
        own = os.urandom(chance.choice([0, 0, 1, 700]))
        whole += own
        sparse += own
        name, start = chance.choice(names), chance.randint(0, 3000)
        size = chance.randint(1, 1000)
        holes.append(Piece(layer=f"{name} 1", start=start, size_bytes=size, offset=len(whole)))
        whole += (tmp_path / "layers" / name).read_bytes()[start : start + size]
        sparse += bytes(size)
    whole += b"end"
    sparse += b"end"
    (tmp_path / "a.sparse").write_bytes(sparse)
    file = SparseFile(tmp_path / "a.sparse", "a.sif", len(whole), holes, tmp_path / "layers", Path)
    assert b"".join(file.read(0, len(whole))) == whole
    assert sha256_of(file) == hashlib.sha256(whole).hexdigest()
    for _ in range(50):
        start, size, most = chance.randint(0, len(whole)), chance.randint(0, 3000), chance.randint(1, 500)
        chunks = list(file.read(start, size, most))
        assert b"".join(chunks) == whole[start : start + size]
        assert all(0 < len(chunk) <= most for chunk in chunks)


def test_a_file_with_holes_is_found_and_has_no_name_of_a_whole_one(project: Project) -> None:
    sif, whole = keep(project)
    assert find_sif(project, IMAGE) == sif
    assert find_by_hash(project, sif.sha256) == sif
    assert sif.path.suffix == ".sif"
    assert not sif.path.exists()
    assert sif.file.is_file()
    source = source_of(project, sif)
    assert not source.is_whole
    assert (source.name, source.size_bytes) == (sif.path.name, len(whole))
    assert b"".join(source.read(0, len(whole))) == whole
    # Only its time has changed: its bytes decide.
    os.utime(sif.file, ns=(1, 1))
    assert find_sif(project, IMAGE) == sif


def test_it_is_written_as_a_whole_once(project: Project) -> None:
    sif, whole = keep(project)
    made = make_whole(project, sif)
    assert made.path.read_bytes() == whole
    assert find_sif(project, IMAGE) == made
    assert isinstance(source_of(project, made), WholeFile)
    assert make_whole(project, made) == made
    assert not list((project.state / "tmp").iterdir())
    # Who was about to send it still can.
    assert b"".join(source_of(project, sif).read(0, len(whole))) == whole
    keep(project, NEWER, layer=sif.holes[0].layer)
    assert {path.suffix for path in sif.path.parent.iterdir()} == {".json", ".sparse"}


def flip(path: Path) -> None:
    status = path.stat()
    content = bytearray(path.read_bytes())
    content[3000] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize("harm", [Path.unlink, cut])
def test_without_its_layers_it_is_not_there(project: Project, harm: Callable[[Path], object]) -> None:
    sif, _ = keep(project)
    (layer,) = (project.state / "layers").glob("*.squashfs")
    harm(layer)
    assert find_sif(project, IMAGE) is None
    with pytest.raises(ImageError, match=r"(is gone: its image was converted anew|is cut).*push again"):
        make_whole(project, sif)
    assert not sif.path.exists()


def test_a_layer_that_is_another_one_by_now_does_not_fill_it(project: Project) -> None:
    keep(project)
    (layer,) = (project.state / "layers").glob("*.squashfs")
    record = layer.with_suffix(".json")
    record.write_text(json.dumps({**json.loads(record.read_text()), "crc32": 8}))
    assert find_sif(project, IMAGE) is None


def test_a_byte_that_has_changed_in_a_layer_is_noticed_before_it_is_used(project: Project) -> None:
    sif, _ = keep(project)
    (layer,) = (project.state / "layers").glob("*.squashfs")
    flip(layer)
    with pytest.raises(DamagedSifError, match=r"is no longer what it was.*makes it anew"):
        make_whole(project, sif)
    assert not sif.path.exists()
    assert not sif.file.exists()
    assert find_sif(project, IMAGE) is None


@pytest.mark.parametrize(
    "holes", [[["../../etc/passwd 7", 0, 5, 0]], [["a", 0, 5, 0]], [[7]], 7, [["x 7", -1, 5, 0]], {"a": 1}]
)
def test_a_record_with_other_holes_is_none(project: Project, holes: object) -> None:
    sif, _ = keep(project)
    record = sif.path.with_suffix(".json")
    record.write_text(json.dumps({**json.loads(record.read_text()), "holes": holes}))
    assert find_sif(project, IMAGE) is None


def test_who_sends_it_is_not_cut_off_by_a_newer_image(project: Project) -> None:
    sif, whole = keep(project)
    source, plan = source_of(project, sif), source_of(project, sif)
    with source.hold():
        (one,) = plan_source(source).files.values()
        keep(project, NEWER, layer=sif.holes[0].layer)
        (layer,) = (project.state / "layers").glob("*.squashfs")
        layer.unlink()
        assert not sif.file.exists()
        assert b"".join(one.read(0, len(whole))) == whole
        # Several channels read at once.
        with ThreadPoolExecutor(8) as pool:
            starts = range(0, len(whole), 100)
            assert (
                b"".join(pool.map(lambda start: b"".join(one.read(start, 100)), starts))
                == whole[: 100 * len(starts)]
            )
    for use in (lambda: [*source.read(0, 10)], lambda: plan_source(plan), lambda: plan.hold().__enter__()):
        with pytest.raises(ImageError, match=r"is gone: its image was converted anew meanwhile; push again"):
            use()


def test_two_who_need_the_whole_file_write_it_once(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    sif, whole = keep(project)
    sources = [source_of(project, sif) for _ in range(2)]
    assert sources[0].file().read_bytes() == whole
    monkeypatch.setattr("slipway.sif.kept.make_whole", None)
    assert sources[1].file() == sif.path


def test_what_a_kill_has_left_goes(project: Project) -> None:
    left = project.state / "tmp" / "sif-0123456789abcdef"
    left.mkdir(parents=True)
    (left / "half.sif").write_bytes(b"half")
    for name in ("a-0123456789abcdef-zstd", "a-b-0123456789abcdef-zstd"):
        path = project.state / "sif" / f"{name}.sparse"
        path.parent.mkdir(exist_ok=True)
        path.touch()
    sif, _ = keep(project)
    # That of another name stays.
    names = {path.name for path in sif.path.parent.glob("*.sparse")}
    assert names == {sif.file.name, "a-b-0123456789abcdef-zstd.sparse"}
    make_whole(project, sif)
    assert not left.exists()


def test_a_newer_image_takes_its_place(project: Project) -> None:
    old, _ = keep(project)
    new, _ = keep(project, NEWER, layer=old.holes[0].layer)
    assert find_sif(project, IMAGE) is None
    assert not old.file.exists()
    assert find_sif(project, NEWER) == new


def test_a_whole_file_goes_where_one_with_holes_comes(project: Project) -> None:
    path = kept_path(project, IMAGE, "zstd")
    path.parent.mkdir(parents=True)
    path.write_bytes(b"of a conversion whose record is lost")
    sif, _ = keep(project)
    assert not path.exists()
    assert find_sif(project, IMAGE) == sif


def test_what_a_hole_does_not_take_is_not_counted(project: Project) -> None:
    sif, _ = keep(project)
    with sif.file.open("r+b") as file:
        file.truncate(10)
        file.truncate(500_000_000)
    (image,) = (one for one in state_here(project) if one.name == sif.file.name)
    assert image.size_bytes < 1_000_000
