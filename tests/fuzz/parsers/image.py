"""Images on their way: what the engine says of them, their layers, and what is noted of both."""

from __future__ import annotations

import hashlib
import json
import zlib
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from slipway.image.engine import Image, read_image
from slipway.jsontext import load_json
from slipway.local.copy import copy_out
from slipway.project import Project
from slipway.push import archive
from slipway.sif import kept
from slipway.sif.assembly import Assembly
from slipway.sif.engine_layers import find_layers
from slipway.sif.holes import Piece
from slipway.sif.layered import assemble as assembler
from slipway.sif.layered.squash import _root_options
from slipway.sif.layered.write import DamageError
from slipway.sif.layers import LayerStore
from slipway.sif.pieces import PieceStore
from tests.fuzz.parsers.binary import archives, squashfs
from tests.fuzz.parsers.common import ROOT, Parser, as_bytes, as_file, folder, fresh_folder, latin, of
from tests.fuzz.samples import literals

IMAGE = Image(ref="a:latest", id="sha256:1", labels={}, size_bytes=1)


@cache
def _made(content: str) -> Path:
    """A head with such a file system, or a squashfs, that nobody changes."""
    from tests.unit import test_layered as trees

    place = folder() / "fixed"
    place.mkdir(exist_ok=True)
    own = trees.folder(run=trees.file(b"7" * 300), a=trees.link(b"b"))
    if content == "head":
        return trees.head_file(place / "head.sif", own)
    trees.store(own, place / "layer")
    return place / "layer"


@cache
def _heads() -> tuple[str, ...]:
    return (_made("head").read_bytes().rstrip(b"\0").decode("latin-1") + "\0" * 8,)


def _assembled(layer: Path, head: Path) -> None:
    """Both ways, as mksquashfs and Apptainer would have written them."""
    for is_overlay in (True, False):
        crc32 = zlib.crc32(layer.read_bytes())
        order = assembler.Order(
            layers=(assembler.Layer(squashfs=layer, source=None, is_overlay=is_overlay, crc32=crc32),),
            head=head,
            sif=folder() / "assembled.sif",
            compression="gzip",
            architecture="amd64",
            identity="sha256:1",
            created=1,
        )
        # Whatever program squashes new layers: here is none.
        with patch.object(assembler, "is_usable", lambda: True):
            assembler.assemble(order)


def _engine(attributes: Any) -> Any:
    version = {"Components": [{"Name": "Engine"}]}
    images = SimpleNamespace(get=lambda _: SimpleNamespace(attrs=attributes))
    return SimpleNamespace(images=images, version=lambda: version)


def _described(text: str) -> None:
    attributes = load_json(text)
    if isinstance(attributes, dict):
        find_layers(_engine(attributes), IMAGE)
        read_image("a:latest", attributes)


@cache
def _attributes() -> tuple[str, ...]:
    from tests.unit.test_layers import ATTRS

    return (json.dumps({**ATTRS, "Id": "sha256:1", "Size": 7}),)


_DIGESTS = ("sha256:aa", "sha256:bb")
_PIECE = Piece(layer="bb", start=50, size_bytes=100, offset=500)


def _store() -> LayerStore:
    return LayerStore(folder=folder() / "layers", compression="zstd")


def _answered(text: str) -> None:
    place = fresh_folder("answer")
    (place / "order.answer.json").write_bytes(as_bytes(text))
    assembly = Assembly(
        store=_store(),
        digests=_DIGESTS,
        sources=dict.fromkeys(_DIGESTS, place),
        is_overlay=True,
        architecture="amd64",
        identity="a",
        created=1,
    )
    damaged = Assembly.damage(place)
    assert damaged is None or "/" not in damaged
    assembly.read(place)


def _noted(text: str) -> None:
    store = _store()
    store.folder.mkdir(exist_ok=True)
    file = store.folder / store.name(_DIGESTS[0])
    file.write_bytes(b"7")
    file.with_suffix(".json").write_bytes(as_bytes(text))
    found = store.find(_DIGESTS[0])
    assert found is None or isinstance(found.crc32, int)
    uses = store.folder / "images"
    uses.mkdir(exist_ok=True)
    (uses / "b-zstd.json").write_bytes(as_bytes(text))
    store.use("a", _DIGESTS)


def _kept(text: str) -> None:
    project = Project(root=ROOT, state=folder() / "kept", results=folder())
    for path, record in (
        (kept.kept_path(project, IMAGE, "zstd"), ".json"),
        (project.state / "archives" / "a-1.tar", ".tar.json"),
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"7")
        path.with_suffix(record).write_bytes(as_bytes(text))
    kept.kept_path(project, IMAGE, "zstd").with_suffix(".sparse").write_bytes(b"7")
    store = LayerStore.of(project, "zstd")
    layer = store.folder / store.name(_DIGESTS[0])
    layer.parent.mkdir(parents=True, exist_ok=True)
    layer.write_bytes(b"7")
    layer.with_suffix(".json").write_text('{"crc32": 7, "is_overlay": true, "size_bytes": 1}')
    digest = hashlib.sha256(b"7").hexdigest()
    for one in (
        kept.find_sif(project, IMAGE),
        kept.find_by_hash(project, digest),
        kept.find_newest(project, "a", "zstd", "sha256:"),
        archive.find_archive(project, digest),
    ):
        assert one is None or (isinstance(one.file_name, str) and "/" not in one.file_name)


def _record() -> str:
    content = {"name": "a", "image_id": "sha256:1", "sha256": hashlib.sha256(b"7").hexdigest()}
    return json.dumps({**content, "size_bytes": 1, "compression": "zstd", "stamp": [1, 1, 1], "path": "a"})


def _with_holes() -> str:
    name = LayerStore(folder=Path(), compression="zstd").name(_DIGESTS[0])
    holes = [[f"{name} 00000007", 0, 1, 0]]
    return json.dumps({**json.loads(_record()), "image_id": IMAGE.id, "holes": holes})


def _pieces(text: str) -> None:
    store = PieceStore(folder=folder() / "pieces")
    store.keep("old", [Piece(layer="aa", start=0, size_bytes=100, offset=5), _PIECE])
    (store.folder / "new.json").write_bytes(as_bytes(text))
    parts = store.parts("old", "new", 10_000)
    assert sum(part.size_bytes for part in parts) == (10_000 if parts else 0)
    assert all(part.size_bytes > 0 and part.offset >= 0 for part in parts)


def _copied(content: bytes) -> None:
    outside = fresh_folder("copied")
    inside = outside / "in"
    container: Any = SimpleNamespace(get_archive=lambda path: (iter([content]), {}))
    try:
        copy_out(container, "/out", inside)
    finally:
        assert {one.name for one in outside.iterdir()} <= {"in"}
        root = str(inside.resolve())
        for one in inside.rglob("*"):
            assert str(one.resolve()).startswith(root)


@cache
def _convert() -> Any:
    from tests.unit.test_sif import script

    return script


def _listed(text: str) -> None:
    files = _convert().parse_files(text)
    _convert().has_program(files, "squashfs-root/bin/sh")
    _convert().closed_files(files)


_LISTING = """\
drwxr-xr-x 0/0                27 2026-11-30 08:17 squashfs-root
drwx------ 0/0                27 2026-11-30 08:17 squashfs-root/root
lrwxrwxrwx 0/0                 7 2026-11-30 08:17 squashfs-root/bin -> usr/bin
-rwxr-xr-x 0/0              7000 2026-11-30 08:17 squashfs-root/usr/bin/sh
"""

IMAGES = (
    Parser(
        name="layer",
        source="images",
        read=as_file(lambda file: _assembled(file, _made("head")), "layer/a.squashfs", latin),
        samples=squashfs,
        errors=(assembler.UnusableError, DamageError),
        share=2,
    ),
    Parser(
        name="sif-head",
        source="images",
        read=as_file(lambda file: _assembled(_made("layer"), file), "head/head.sif", latin),
        samples=_heads,
        errors=(assembler.UnusableError, DamageError),
        share=2,
    ),
    Parser(
        name="layer-archive",
        source="images",
        read=as_file(_root_options, "tar/layer.tar", latin),
        samples=archives,
        share=0.5,
    ),
    Parser(
        name="files-of-a-container",
        source="images",
        read=lambda text: _copied(latin(text)),
        samples=archives,
        share=0.5,
    ),
    Parser(
        name="files-of-a-sif",
        source="images",
        read=_listed,
        samples=lambda: (_LISTING, *literals("test_sif")),
    ),
    Parser(
        name="image-in-the-engine",
        source="programs here",
        read=_described,
        samples=_attributes,
        errors=(*Parser.errors, ValueError),
        words=('"RootFS"', '"Layers"', '"GraphDriver"', '"LowerDir"', '"Config"', "null", "[]", "{}"),
        share=2,
    ),
    Parser(
        name="layers-answer",
        source="our programs there",
        read=_answered,
        samples=of(
            '{"crc32": {"aa-zstd.squashfs": 7, "bb-zstd.squashfs": 8}, "sha256": "' + "0" * 64 + '"}',
            '{"damaged": "aa-zstd.squashfs"}',
        ),
    ),
    Parser(
        name="kept-layers",
        source="records",
        read=_noted,
        samples=of(
            '{"crc32": 7, "is_overlay": true, "size_bytes": 1}', '{"layers": ["aa-zstd.squashfs", "b"]}'
        ),
    ),
    Parser(name="kept-images", source="records", read=_kept, samples=lambda: [_record(), _with_holes()]),
    Parser(
        name="kept-pieces",
        source="records",
        read=_pieces,
        samples=of('[["aa", 0, 7, 4096], ["bb", 9, 100, 5000]]', '[["aa", 0, 7, 0]]'),
    ),
)
