"""Binary forms: images, archives, messages."""

from __future__ import annotations

import contextlib
import io
import struct
from functools import cache
from pathlib import Path

from slipway.box.spec import parse_ready
from slipway.dataset.unpack import unpack
from slipway.errors import SlipwayError
from slipway.image import buildkit
from slipway.job_file.picture import is_cut_off
from slipway.multiplex import frame, openssh_wire
from slipway.sftp import wire
from slipway.sif.file import read_sif
from slipway.sif.layered.read import FormatError
from slipway.sif.layered.read import read as read_squashfs
from slipway.sif.layered.write import FileSystem
from slipway.sif.layout import write_layout
from slipway.weights.checkpoint import check_checkpoint
from tests.fuzz.parsers.common import Parser, as_binary, as_file, each, fresh_folder, latin, of
from tests.fuzz.samples import binaries, files, literals


@cache
def _images() -> tuple[str, ...]:
    from tests.unit.test_sif import archive, saved

    own = saved([b"", archive({"a": b"7"})], ["A=b"])
    return tuple(archive(one).decode("latin-1") for one in (own, saved([archive({"x/y": b""})])))


@cache
def _sif() -> tuple[str, ...]:
    from slipway.sif import file as sif
    from slipway.sif.layered import container

    tables = (47, 48, 4096, 9, 9, 9)
    header = container.HEADER.pack(b"#!/usr/bin/env run\n", container.MAGIC, b"01", b"02", b"", 0, 0, *tables)
    part = container.DESCRIPTOR.pack(container.PARTITION, True, 1, 0, 0, 5000, 96, 96, 0, 0, 0, 0, b"fs")
    block = sif._SUPERBLOCK.pack(b"hsqs", 1, 0, 4096, 0, 6, 12, 0, 1, 4, 0, 0, 96)
    content = header.ljust(4096, b"\0") + (part + b"\1\0\0\0").ljust(904, b"\0") + block.ljust(200, b"\0")
    return (content.decode("latin-1"),)


@cache
def squashfs() -> tuple[str, ...]:
    from tests.unit import test_layered as trees

    marked = trees.file(b"x", mode=0o4755)
    marked.xattrs = ((b"security.capability", b"\1\0\0\2"), (b"user.note", b"kept"))
    parts = {"a": trees.file(b"7" * 300), "b": trees.link(b"a"), "c": trees.device(259), "d": marked}
    root, found = trees.folder(**parts, e=trees.folder(f=trees.file()), g=parts["a"]), []
    for compression in (1, 6):
        content = io.BytesIO()
        FileSystem(root, [], compression=compression, options=b"").write(content.write)
        found.append(content.getvalue().rstrip(b"\0") + b"\0" * 8)
    return tuple(one.decode("latin-1") for one in found)


def _layout(content: bytes) -> None:
    write_layout(
        [content[start : start + 997] for start in range(0, len(content), 997)], fresh_folder("layout")
    )


def _unpacked(file: Path) -> None:
    outside = fresh_folder("unpacked")
    inside = outside / "in"
    inside.mkdir()
    try:
        unpack(file, inside, "it")
    finally:
        assert [one.name for one in outside.iterdir()] == ["in"]
        root = str(inside.resolve())
        for one in inside.rglob("*"):
            assert str(one.resolve()).startswith(root)


@cache
def archives() -> tuple[str, ...]:
    import tarfile
    import zipfile

    found = []
    for mode in ("w", "w:gz", "w:xz"):
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode=mode) as tar:
            for name, kind, target in (
                ("a", tarfile.REGTYPE, ""),
                ("b", tarfile.SYMTYPE, "a"),
                ("c/d", tarfile.LNKTYPE, "a"),
                ("e", tarfile.DIRTYPE, ""),
            ):
                member = tarfile.TarInfo(name)
                member.type, member.linkname = kind, target
                tar.addfile(member)
        found.append(buffer.getvalue())
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a/b", "7" * 30)
        archive.writestr("c/", "")
    found.append(buffer.getvalue())
    return tuple(
        one.rstrip(b"\0").decode("latin-1") if one[:1] == b"a" else one.decode("latin-1") for one in found
    )


def _ready(content: bytes) -> None:
    parse_ready(content)


def _frames(content: bytes) -> None:
    decoder = frame.Decoder()
    for start in range(0, len(content), 5):
        for kind, body in decoder.feed(content[start : start + 5]):
            if kind in (frame.Kind.HELLO, frame.Kind.REQUEST):
                frame.values_of(body)


def _sftp(content: bytes) -> None:
    readers = (wire.read_entries, wire.read_target, wire.read_room, wire.read_entry)
    each(
        *(lambda _, read=read: read(wire.Reader(content)) for read in readers),
        lambda _: wire.parse_version(content),
        lambda _: wire.find_greeting(content),
        errors=(wire.MalformedError,),
    )("")


def _openssh(content: bytes) -> None:
    for reader in (openssh_wire.parse_packet, openssh_wire.parse_text, openssh_wire.parse_number):
        with contextlib.suppress(struct.error, UnicodeDecodeError):
            reader(content)


_TABLES = "\0\0\0\1\0\0\0\1a\0\0\0\1l\0\0\0\x0d\0\0\0\0\0\0\0\7\0\0\x81\xa4\0\0\0\1\0\0\0\2"

BINARY = (
    Parser(
        name="sif",
        source="images",
        read=as_file(read_sif, "sif/a.sif", latin),
        samples=_sif,
        errors=(ValueError,),
        share=2,
    ),
    Parser(
        name="squashfs",
        source="images",
        read=as_file(read_squashfs, "squashfs/a.sqsh", latin),
        samples=squashfs,
        errors=(FormatError,),
    ),
    Parser(
        name="saved-image",
        source="images",
        read=as_binary(_layout),
        samples=_images,
        share=0.5,
        words=("manifest.json", '"Layers"', '"Config"', '"rootfs"', "sha256:", "null", "[]", "{}"),
    ),
    Parser(
        name="archive",
        source="downloads",
        read=as_file(_unpacked, "archive/a", latin),
        samples=archives,
        share=0.5,
        words=("../x", "/etc/x", "\0ustar", "2", "1", "5", "L"),
    ),
    Parser(
        name="checkpoint",
        source="downloads",
        read=as_file(check_checkpoint, "checkpoint/a.pth", latin),
        samples=lambda: binaries("*.pth"),
        share=0.5,
    ),
    Parser(
        name="picture",
        source="a user's files",
        read=as_binary(lambda content: is_cut_off(io.BytesIO(content))),
        samples=of(
            "\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + "\0" * 17 + "\0\0\0\0IEND\xaeB`\x82",
            "\xff\xd8\xff\xe0\0\x10JFIF\0\1\1\0\0\1\0\1\0\0\xff\xda\0\2xx\xff\xd9",
        ),
    ),
    Parser(name="box-report", source="images", read=as_binary(_ready), samples=archives, share=0.5),
    Parser(
        name="sftp",
        source="a server",
        read=as_binary(_sftp),
        samples=of(_TABLES, "\0\0\0\5\2\0\0\0\3", "\0\0\0\7" * 20),
        errors=(SlipwayError, wire.MalformedError),
    ),
    Parser(
        name="frames",
        source="other processes here",
        read=as_binary(_frames),
        samples=lambda: [
            frame.message(frame.Kind.HELLO, {"a": 7}).decode("latin-1")
            + frame.frame(frame.Kind.INPUT, b"abc").decode("latin-1")
        ],
        errors=(SlipwayError, frame.MalformedFrameError),
    ),
    Parser(
        name="openssh-mux",
        source="other processes here",
        read=as_binary(_openssh),
        samples=of("\x80\0\0\1\0\0\0\4\0\0\0\1a"),
    ),
    Parser(
        name="buildx",
        source="programs here",
        read=lambda text: [buildkit.parse_version(text), _progress(text)],
        samples=lambda: (*files("buildx/*"), *literals("test_buildkit")),
    ),
)


def _progress(text: str) -> None:
    log = buildkit.PlainReader()
    for line in text.splitlines():
        log.read(line)
