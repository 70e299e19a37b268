"""File systems that are put together of layers, without an engine and without mksquashfs."""

import hashlib
import json
import random
import struct
import subprocess
import sys
import zlib
from collections.abc import Sequence
from pathlib import Path

import pytest

from slipway.sif.file import read_sif
from slipway.sif.layered import format as f
from slipway.sif.layered.assemble import Order, UnusableError, assemble
from slipway.sif.layered.container import HeadError, find_file_system, make_front
from slipway.sif.layered.merge import IMPLIED_MODE, IMPLIED_UID, LayerError, merge, put_head
from slipway.sif.layered.node import Content, Node
from slipway.sif.layered.origin import with_origin
from slipway.sif.layered.read import FormatError, read, read_bytes
from slipway.sif.layered.squash import find_version
from slipway.sif.layered.write import DamageError, FileSystem, Source

ROOT = Path(__file__).parents[2]


def folder(**children: Node) -> Node:
    made = Node(kind=f.DIR, mode=0o755, uid=0, gid=0, mtime=7)
    made.children = {name.encode(): child for name, child in children.items()}
    return made


def file(content: bytes = b"", mode: int = 0o644, uid: int = 0) -> Node:
    made = Node(kind=f.REG, mode=mode, uid=uid, gid=uid, mtime=9)
    made.content = Content(layer=-1, inline=content)
    return made


def link(target: bytes) -> Node:
    return Node(kind=f.LINK, mode=0o777, uid=0, gid=0, mtime=1, target=target)


def device(number: int, kind: int = f.CHAR) -> Node:
    return Node(kind=kind, mode=0o600, uid=0, gid=0, mtime=0, device=number)


def describe(root: Node, path: Path | None = None) -> dict[str, object]:
    """All that is in a tree, by path; files' bytes are read from the file system at ``path``."""
    found: dict[str, object] = {}
    names: dict[int, str] = {}

    def look(node: Node, name: str) -> None:
        content: bytes | str = node.target
        if node.content is not None and node.content.layer < 0 and path is None:
            content = node.content.inline
        elif node.content is not None and path is not None:
            with path.open("rb") as opened:
                content = read_bytes(opened, 0, node.content)
        first = names.setdefault(id(node), name)
        same = first if first != name else ""
        found[name] = (node.kind, node.mode, node.uid, node.gid, node.mtime, content, node.device)
        found[name] = (found[name], node.xattrs, same)
        for inner, child in sorted(node.children.items()):
            look(child, f"{name}/{inner.decode('latin-1')}")

    look(root, "")
    return found


def store(root: Node, path: Path, sources: list[Source] | None = None, compression: int = f.GZIP) -> int:
    system = FileSystem(root, sources or [], compression=compression, options=b"")
    with path.open("wb") as out:
        system.write(out.write)
    assert path.stat().st_size == system.size
    return system.size


def everything() -> Node:
    shared = file(b"two names", mode=0o4755)
    large = file(random.Random(1).randbytes(3 * f.BLOCK_BYTES + 5), uid=70000)  # noqa: S311
    marked = file(b"x")
    marked.xattrs = ((b"security.capability", b"\1\0\0\2"), (b"user.note", b"kept" * 100))
    root = folder(
        empty=folder(),
        nothing=file(),
        shared=shared,
        large=large,
        marked=marked,
        link=link(b"../\xff"),
        null=device(0x103),
        block=device(0x700, f.BLOCK),
        fifo=Node(kind=f.FIFO, mode=0o600, uid=3, gid=4, mtime=5),
        socket=Node(kind=f.SOCKET, mode=0o600, uid=3, gid=4, mtime=5),
        many=folder(**{f"a-rather-long-name-{number:05}": file(b"%d" % number) for number in range(3000)}),
        deep=folder(a=folder(b=folder(again=shared))),
    )
    root.children[b"many"].xattrs = ((b"user.folder", b"1"),)
    return root


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    root = everything()
    store(root, tmp_path / "made")
    again = read(tmp_path / "made")
    assert describe(again.root, tmp_path / "made") == describe(root)
    assert (again.compression, again.block_size) == (f.GZIP, f.BLOCK_BYTES)


@pytest.mark.skipif(find_version() is None, reason="squashfs-tools are not installed here")
def test_squashfs_tools_read_it_too(tmp_path: Path) -> None:
    store(everything(), tmp_path / "made")
    done = subprocess.run(["unsquashfs", "-lln", tmp_path / "made"], capture_output=True, check=False)
    assert done.returncode == 0
    assert done.stdout.count(b"\n") > 3000


def layer_of(root: Node, path: Path, number: int) -> tuple[Node, Source]:
    store(root, path)
    return read(path, layer=number).root, Source(path, zlib.crc32(path.read_bytes()))


def test_bytes_are_copied_from_layers_and_only_those_that_are_left(tmp_path: Path) -> None:
    random_ones = random.Random(2)  # noqa: S311
    kept, gone = random_ones.randbytes(300_000), random_ones.randbytes(900_000)
    first, one = layer_of(folder(a=file(kept), b=file(gone), c=file(b"c")), tmp_path / "1", 0)
    second, two = layer_of(folder(b=file(b"new"), d=file(kept)), tmp_path / "2", 1)
    root = merge([(first, True), (second, True)])
    size = store(root, tmp_path / "made", [one, two])
    assert size < len(kept) * 2 + 20_000
    again = describe(read(tmp_path / "made").root, tmp_path / "made")
    contents = {name: value[0][5] for name, value in again.items() if name}  # type: ignore[index]
    assert contents == {"/a": kept, "/b": b"new", "/c": b"c", "/d": kept}


def test_two_versions_begin_with_the_same_bytes(tmp_path: Path) -> None:
    base = random.Random(3).randbytes(2_000_000)  # noqa: S311
    made = []
    for number, change in enumerate((b"one" * 1000, b"two" * 1001)):
        first, one = layer_of(folder(base=file(base)), tmp_path / f"1-{number}", 0)
        second, two = layer_of(folder(code=file(change)), tmp_path / f"2-{number}", 1)
        path = tmp_path / f"made-{number}"
        store(merge([(first, True), (second, True)]), path, [one, two])
        made.append(path.read_bytes()[96:])
    same = next(at for at, (a, b) in enumerate(zip(*made, strict=False)) if a != b)
    assert same >= len(base)


@pytest.mark.parametrize("place", [200, 150_000, -1])
def test_a_changed_byte_in_a_layer_is_noticed(tmp_path: Path, place: int) -> None:
    root, source = layer_of(folder(a=file(b"a" * 299_000)), tmp_path / "1", 0)
    content = bytearray((tmp_path / "1").read_bytes())
    content[place] ^= 1
    (tmp_path / "1").write_bytes(content)
    with pytest.raises(DamageError, match="1 is damaged"):
        store(merge([(root, True)]), tmp_path / "made", [source])


def test_a_cut_layer_is_noticed(tmp_path: Path) -> None:
    root, source = layer_of(folder(a=file(b"a" * 299_000)), tmp_path / "1", 0)
    (tmp_path / "1").write_bytes((tmp_path / "1").read_bytes()[:1000])
    with pytest.raises(DamageError):
        store(merge([(root, True)]), tmp_path / "made", [source])
    with pytest.raises(FormatError):
        read(tmp_path / "1")


def names(root: Node) -> set[str]:
    return set(describe(root)) - {""}


def test_devices_remove_in_overlays() -> None:
    lower = folder(a=file(), b=folder(x=file()), c=folder(x=file()), d=folder(x=file()))
    upper = folder(a=device(0), b=device(0), c=folder(y=file()), d=folder(y=file()))
    upper.children[b"d"].xattrs = ((b"trusted.overlay.opaque", b"y"),)
    merged = merge([(lower, True), (upper, True)])
    assert names(merged) == {"/c", "/c/x", "/c/y", "/d", "/d/y"}
    assert merged.children[b"d"].xattrs == ()


def test_files_remove_in_archives_and_only_lower_layers() -> None:
    lower = folder(a=file(), b=folder(x=file()), c=folder(x=file()), e=file())
    upper = folder(c=folder(y=file()), e=file(b"new"), null=device(0))
    upper.children[b".wh.a"] = file()
    upper.children[b".wh.b"] = file()
    upper.children[b".wh.e"] = file()
    upper.children[b".wh..wh.plnk"] = folder()
    upper.children[b"c"].children[b".wh..wh..opq"] = file()
    merged = merge([(lower, False), (upper, False)])
    assert names(merged) == {"/c", "/c/y", "/e", "/null"}
    assert merged.children[b"e"].content == upper.children[b"e"].content


def test_a_folder_takes_a_files_place_and_back() -> None:
    lower = folder(a=file(), b=folder(x=file()))
    upper = folder(a=folder(y=file(), gone=device(0)), b=file())
    assert names(merge([(lower, True), (upper, True)])) == {"/a", "/a/y", "/b"}


def test_a_folder_that_an_archive_does_not_name_stays_as_it_was() -> None:
    lower = folder(a=folder())
    lower.children[b"a"].mode, lower.children[b"a"].uid = 0o700, 5
    upper = folder(a=folder(x=file()), new=folder(x=file()))
    for name in (b"a", b"new"):
        upper.children[name].mode, upper.children[name].uid = IMPLIED_MODE, IMPLIED_UID
    merged = merge([(lower, False), (upper, False)])
    there = {name: (node.mode, node.uid) for name, node in merged.children.items()}
    assert there == {b"a": (0o700, 5), b"new": (0o755, 0)}


@pytest.mark.parametrize("name", [b"trusted.overlay.redirect", b"trusted.overlay.metacopy"])
def test_what_only_overlayfs_can_put_together_is_refused(name: bytes) -> None:
    for node in (folder(), file()):
        node.xattrs = ((name, b""),)
        with pytest.raises(LayerError, match="overlayfs keeps"):
            merge([(folder(a=node), True)])


def test_labels_of_the_engines_machine_are_left_out() -> None:
    node = file()
    node.xattrs = ((b"security.selinux", b"x"), (b"trusted.overlay.origin", b""), (b"user.a", b"1"))
    assert merge([(folder(a=node), True)]).children[b"a"].xattrs == ((b"user.a", b"1"),)


def test_apptainers_own_goes_onto_the_image_as_apptainer_puts_it() -> None:
    image = folder(
        etc=folder(hosts=file(b"image's", mode=0o400), passwd=file(mode=0o600)),
        singularity=link(b"elsewhere"),
        environment=file(b"image's"),
        tmp=folder(),
    )
    image.children[b".singularity.d"] = folder(env=folder(mine=file(b"1"), theirs=file(b"2")))
    image.children[b"tmp"].mode = 0o1777
    head = folder(
        etc=folder(hosts=file(), **{"resolv.conf": file()}),
        singularity=link(b".singularity.d/runscript"),
        environment=link(b".singularity.d/env/90-environment.sh"),
        tmp=folder(),
        dev=folder(),
    )
    head.children[b".singularity.d"] = folder(env=folder(theirs=file(b"Apptainer's")))
    put_head(image, head)
    etc = image.children[b"etc"].children
    assert (etc[b"hosts"].mode, etc[b"passwd"].mode) == (0o644, 0o600)
    assert [node.content.inline for node in etc.values() if node.content] == [b"image's", b"", b""]
    assert image.children[b"singularity"].target == b".singularity.d/runscript"
    assert image.children[b"environment"].kind == f.REG
    assert image.children[b"tmp"].mode == 0o1777
    env = image.children[b".singularity.d"].children[b"env"].children
    contents = {name: node.content.inline for name, node in env.items() if node.content}
    assert contents == {b"mine": b"1", b"theirs": b"Apptainer's"}
    assert {"/dev", "/etc/resolv.conf"} <= names(image)


def head_file(path: Path, root: Node | None = None) -> Path:
    """A .sif as Apptainer writes it: two parts, and the file system as the last."""
    system = path.with_suffix(".squashfs")
    size = store(root or folder(), system)
    label = b"labels"
    data = 4096 + 2 * 585
    offset = 8192
    header = struct.pack(
        "<32s10s3s3s16s8q", b"#!/usr/bin/env run-singularity\n", b"SIF_MAGIC\0", b"01\0", b"02\0", b"u" * 16,
        1, 2, 0, 2, 4096, 2 * 585, data, offset + size - data,
    )  # fmt: skip
    row = struct.Struct("<i?3I7q128s")
    rows = [
        row.pack(0x4001, True, 1, 1, 0, data, len(label), len(label), 1, 2, 500, 500, b"label"),
        row.pack(0x4004, True, 2, 1, 0, offset, size, size + offset - data - 6, 1, 2, 500, 500, b"fs"),
    ]
    content = bytearray(offset)
    content[: len(header)] = header
    for number, one in enumerate(rows):
        content[4096 + number * 585 : 4096 + number * 585 + len(one)] = one
    struct.pack_into("<ii3s", content, 4096 + 585 + row.size, 1, 2, b"02\0")
    content[data : data + len(label)] = label
    path.write_bytes(bytes(content) + system.read_bytes())
    return path


def test_the_front_of_a_sif_says_what_follows_and_no_more(tmp_path: Path) -> None:
    head = head_file(tmp_path / "head.sif")
    assert find_file_system(head) == 8192
    system = tmp_path / "system"
    size = store(everything(), system)
    front = make_front(head, size, "arm64", identity="words", rewrite=bytes.upper)
    made = tmp_path / "made.sif"
    made.write_bytes(front + system.read_bytes())
    found = read_sif(made)
    assert (found.offset, found.size_bytes, found.compression) == (8192, size, "gzip")
    assert front[45:48] == b"04\0"
    assert front[4096 + 1170 :][:6] == b"LABELS"
    # Neither the time nor the identifier that Apptainer gave it.
    assert front == make_front(head, size, "arm64", identity="words", rewrite=bytes.upper)
    assert b"u" * 16 not in front
    with pytest.raises(HeadError, match="processor z80"):
        make_front(head, size, "z80", identity="words", rewrite=bytes)


@pytest.mark.parametrize("change", ["magic", "cut", "last"])
def test_another_kind_of_sif_is_refused(tmp_path: Path, change: str) -> None:
    path = head_file(tmp_path / "head.sif")
    content = bytearray(path.read_bytes())
    if change == "magic":
        content[35] ^= 1
    elif change == "cut":
        content = content[:4100]
    else:
        struct.pack_into("<q", content, 4096 + 17, 1 << 20)
    path.write_bytes(content)
    with pytest.raises(HeadError):
        find_file_system(path)


def order_for(tmp_path: Path, *roots: Node) -> dict[str, object]:
    layers = []
    for number, root in enumerate(roots):
        _, source = layer_of(root, tmp_path / f"layer-{number}", number)
        layers.append(
            {
                "squashfs": str(source.path),
                "source": None,
                "is_overlay": True,
                "crc32": source.crc32,
            }
        )
    head = head_file(tmp_path / "head.sif", folder(singularity=link(b".singularity.d/runscript")))
    return {
        "layers": layers,
        "head": str(head),
        "sif": str(tmp_path / "made.sif"),
        "compression": "gzip",
        "architecture": "amd64",
        "identity": "an image",
        "created": 1,
    }


def run_order(
    tmp_path: Path, order: dict[str, object], said: str = "made\n", words: Sequence[str] = ()
) -> subprocess.CompletedProcess[str]:
    (tmp_path / "order.json").write_text(json.dumps(order))
    return subprocess.run(
        [sys.executable, "-m", "layered", str(tmp_path / "order.json"), *words],
        input=said,
        env={"PYTHONPATH": str(ROOT / "slipway" / "sif"), "PATH": str(tmp_path / "bin")},
        capture_output=True,
        text=True,
        check=False,
    )


def with_mksquashfs(tmp_path: Path, version: str = "4.6.1") -> None:
    """A program that only says its version: no layer is new here."""
    program = tmp_path / "bin" / "mksquashfs"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\necho 'mksquashfs version {version} (2023/03/25)'\n")
    program.chmod(0o755)


def test_an_order_is_done_by_a_program_of_its_own(tmp_path: Path) -> None:
    with_mksquashfs(tmp_path)
    done = run_order(tmp_path, order_for(tmp_path, folder(a=file(b"1")), folder(b=file(b"2"))))
    assert (done.returncode, done.stderr) == (0, "")
    answer = json.loads((tmp_path / "order.answer.json").read_text())
    made = (tmp_path / "made.sif").read_bytes()
    assert answer["sha256"] == hashlib.sha256(made).hexdigest()
    root = read(tmp_path / "made.sif", offset=find_file_system(tmp_path / "made.sif")).root
    assert names(root) == {"/a", "/b", "/singularity"}


def test_where_there_is_no_head_nothing_is_made(tmp_path: Path) -> None:
    with_mksquashfs(tmp_path)
    done = run_order(tmp_path, order_for(tmp_path, folder(a=file(b"1"))), said="")
    assert (done.returncode, done.stderr) == (1, "")
    assert "Apptainer has made nothing of an image with its configuration" in done.stdout
    assert not (tmp_path / "made.sif").exists()


def test_what_was_copied_of_layers_is_told(tmp_path: Path) -> None:
    with_mksquashfs(tmp_path)
    done = run_order(tmp_path, order_for(tmp_path, folder(a=file(b"1")), folder(b=file(b"2" * 500))))
    assert done.returncode == 0
    made = (tmp_path / "made.sif").read_bytes()
    pieces = json.loads((tmp_path / "order.answer.json").read_text())["pieces"]
    assert {name for name, *_ in pieces} == {"layer-0", "layer-1"}
    for name, start, size, offset in pieces:
        assert made[offset : offset + size] == (tmp_path / name).read_bytes()[start : start + size]


@pytest.mark.parametrize(
    ("hole_bytes", "left_out"), [(1, {"layer-0", "layer-1"}), (400, {"layer-1"}), (501, set())]
)
def test_large_layers_are_left_out_and_written_afterwards(
    tmp_path: Path, hole_bytes: int, left_out: set[str]
) -> None:
    with_mksquashfs(tmp_path)
    order = order_for(tmp_path, folder(a=file(b"1")), folder(b=file(b"2" * 500)))
    made, beside = tmp_path / "made.sif", tmp_path / "order.answer.json"
    assert run_order(tmp_path, order).returncode == 0
    whole, answer = made.read_bytes(), json.loads(beside.read_text())
    assert answer["holes"] == []
    order["hole_bytes"] = hole_bytes
    assert run_order(tmp_path, order).returncode == 0
    with_holes = json.loads(beside.read_text())
    assert with_holes["sha256"] == answer["sha256"]
    assert with_holes["pieces"] == answer["pieces"]
    assert {name for name, *_ in with_holes["holes"]} == left_out
    content = bytearray(whole)
    for _, _, size, offset in with_holes["holes"]:
        content[offset : offset + size] = bytes(size)
    assert made.read_bytes() == content
    # What is known of the file is in it all the same.
    assert names(read(made, offset=find_file_system(made)).root) == {"/a", "/b", "/singularity"}
    assert run_order(tmp_path, order, words=["fill"]).returncode == 0
    assert made.read_bytes() == whole
    assert json.loads(beside.read_text()) == answer


@pytest.mark.parametrize(("place", "said"), [(97, "layer-1 is damaged"), (40, "layer-1 is damaged")])
def test_damage_is_told_by_name(tmp_path: Path, place: int, said: str) -> None:
    with_mksquashfs(tmp_path)
    order = order_for(tmp_path, folder(a=file(b"1")), folder(b=file(b"2" * 500)))
    content = bytearray((tmp_path / "layer-1").read_bytes())
    content[place] ^= 0xFF
    (tmp_path / "layer-1").write_bytes(content)
    done = run_order(tmp_path, order)
    assert (done.returncode, done.stdout.strip()) == (1, said)
    assert json.loads((tmp_path / "order.answer.json").read_text()) == {"damaged": "layer-1"}


def test_what_cannot_be_done_here_is_told(tmp_path: Path) -> None:
    with_mksquashfs(tmp_path, "4.5.1")
    order = order_for(tmp_path, folder(a=file(b"1")))
    done = run_order(tmp_path, order)
    assert (done.returncode, done.stdout.strip()) == (1, "mksquashfs is missing, or older than 4.6")
    (tmp_path / "layer-0").unlink()
    (tmp_path / "bin" / "mksquashfs").write_text("#!/bin/sh\necho 'mksquashfs version 4.6 x'\n")
    done = run_order(tmp_path, order)
    assert done.returncode == 1
    assert "No such file" in done.stdout
    assert "Traceback" not in done.stderr


def test_layers_of_two_compressions_are_not_put_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_mksquashfs(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    order = order_for(tmp_path, folder(a=file(b"1")))
    order["compression"] = "zstd"
    (tmp_path / "order.json").write_text(json.dumps(order))
    with pytest.raises(UnusableError, match="compressed in several ways"):
        assemble(Order.read(tmp_path / "order.json"))


def test_where_an_image_came_from_is_told_in_its_own_words() -> None:
    labels = b'{\n\t"org.label-schema.build-date": "Monday_30_November_2026_12:2:49_UTC",\n\t"a": "b"\n}'
    usage = (
        b'{"org.label-schema.usage.singularity.deffile.from":"/image/head","deffile":"bootstrap: oci\\nfrom: '
    )
    usage += b'/a \\" b\\n\\n","x":"bootstrap: oci"}'
    changed = [
        with_origin(one, "sha256:1", 0) for one in (labels, usage, b"bootstrap: oci\nfrom: /image/head\n\n")
    ]
    assert changed == [
        b'{\n\t"org.label-schema.build-date": "Thursday_01_January_1970_00:00:00_UTC",\n\t"a": "b"\n}',
        usage.replace(b"/image/head", b"sha256:1").replace(b'/a \\" b', b"sha256:1"),
        b"bootstrap: oci\nfrom: sha256:1\n\n",
    ]
    assert with_origin(b"#!/bin/sh\nfrom: x", "sha256:1", 0) == b"#!/bin/sh\nfrom: x"


def entry(name: bytes) -> bytes:
    """The rest of a directory's entry, behind where its inode is."""
    return struct.pack("<hHH", 0, f.DIR, len(name) - 1) + name


def changed(path: Path, before: bytes, after: bytes) -> Path:
    content = path.read_bytes()
    assert content.count(before) == 1
    path.write_bytes(content.replace(before, after))
    return path


@pytest.mark.parametrize("inode", [32, 64])
def test_a_directory_in_itself_has_no_end(tmp_path: Path, inode: int) -> None:
    store(folder(a=folder(b=folder())), path := tmp_path / "layer")
    inner = struct.pack("<H", 0) + entry(b"b")
    with pytest.raises(FormatError, match="a directory in it has two names"):
        read(changed(path, inner, struct.pack("<H", inode) + entry(b"b")))


@pytest.mark.parametrize("name", [b"..", b"/x", b"a\0", b"./"])
def test_a_name_that_leads_elsewhere_is_refused(tmp_path: Path, name: bytes) -> None:
    store(folder(zz=folder()), path := tmp_path / "layer")
    with pytest.raises(FormatError, match="it has a file of the name"):
        read(changed(path, entry(b"zz"), entry(name)))


def test_a_file_that_grows_without_end_is_refused(tmp_path: Path) -> None:
    data = zlib.compress(bytes(100 << 20))
    (tmp_path / "head").write_bytes(data)
    content = Content(layer=0, start=0, sizes=(len(data),), size=f.BLOCK_BYTES)
    with (tmp_path / "head").open("rb") as file, pytest.raises(FormatError, match="larger than one is"):
        read_bytes(file, 0, content)


@pytest.mark.parametrize("place", [-1, 1 << 62])
def test_a_table_of_contents_that_is_nowhere_is_refused(tmp_path: Path, place: int) -> None:
    path = head_file(tmp_path / "head.sif")
    content = bytearray(path.read_bytes())
    struct.pack_into("<q", content, 64 + 3 * 8, place)
    path.write_bytes(content)
    with pytest.raises(HeadError, match="does not begin as"):
        find_file_system(path)
