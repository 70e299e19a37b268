"""A dozen and more varied images: what Apptainer made of them beside what Docker has."""

import hashlib
import io
import os
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from slipway.errors import ConversionError, ImageError
from slipway.image.base import ensure_base
from slipway.image.build import build_image
from slipway.image.engine import engine, find_image, run_container
from slipway.image.recipe import Recipe
from slipway.profile import load_profile
from slipway.progress import NullProgress
from slipway.project import Project
from slipway.sif.conversion import LABEL
from slipway.sif.file import read_sif
from slipway.sif.kept import Sif
from slipway.sif.store import _save, make_sif, tools_recipe
from tests import campaign
from tests.campaign import others_long
from tests.waiting import PATIENCE_S, wait_until

ROOT = Path(__file__).parents[2]
CPU = load_profile(ROOT / "env", "cpu")
# Debian's shell and a few programs, with what they link to: as small as an image with a shell gets.
TINY = """FROM debian:trixie-slim AS debian
RUN mkdir -p /r/usr/bin /r/usr/lib/x86_64-linux-gnu /r/usr/lib64 /r/etc /r/tmp && cd /r \\
 && ln -s usr/bin bin && ln -s usr/lib lib && ln -s usr/lib64 lib64 \\
 && cp /usr/bin/dash usr/bin/sh && for p in cat chmod chown ln ls mkdir mkfifo mknod rm touch truncate; do \\
      cp /usr/bin/$p usr/bin/; done \\
 && cp /usr/lib/x86_64-linux-gnu/libc.so.6 /usr/lib/x86_64-linux-gnu/libselinux.so.1 \\
      /usr/lib/x86_64-linux-gnu/libpcre2-8.so.0 /usr/lib/x86_64-linux-gnu/libacl.so.1 \\
      /usr/lib/x86_64-linux-gnu/libattr.so.1 /usr/lib/x86_64-linux-gnu/libcap.so.2 \\
      /usr/lib/x86_64-linux-gnu/libcrypto.so.3 /usr/lib/x86_64-linux-gnu/libz.so.1 \\
      /usr/lib/x86_64-linux-gnu/libzstd.so.1 usr/lib/x86_64-linux-gnu/ \\
 && cp /usr/lib64/ld-linux-x86-64.so.2 usr/lib64/ && grep -E '^(root|nobody):' /etc/passwd >etc/passwd
FROM scratch
COPY --from=debian /r /
ENV PATH=/usr/bin
"""
FROM = "FROM slipway-test-tiny\n"
ENVIRONMENT = r"""ARG LINES
ENV QUOTES="he said \"hi\" and 'bye'" DOLLAR="\$HOME \${PATH} \$(touch /tmp/x)" EMPTY="" SPACES="  two  "
ENV BACKSLASH='a\b\n' BACKQUOTE='`touch /tmp/x`' UNICODE="žluťoučký ☃" GLOB="*?[a] # !" odd.name=1
ENV LINES=$LINES LD_LIBRARY_PATH=/opt/lib HOME=/opt/home IT="it's a=b"
"""
IMAGES = {
    "environment": ENVIRONMENT,
    "exec-form": 'ENTRYPOINT ["/usr/bin/ls", "a b", "$HOME", "q\\"q", "it\'s", "", "*"]\nCMD ["`x`"]\n',
    "shell-form": "ENTRYPOINT ls $HOME 'a b'\nCMD ignored\nUSER 1234:0\n",
    "command-only": 'CMD ["ls", "-l"]\nUSER nobody\nWORKDIR /not/there yet\nVOLUME /data\nEXPOSE 80\n',
    "labels": 'LABEL plain=1 "odd label"="a \\"b\\" \'c\' $d ☃ \\\\" empty="" a.b-c/d="two\\nlines"\n'
    "HEALTHCHECK CMD true\nSTOPSIGNAL SIGINT\n",
    "links": "RUN mkdir -p /s/d && cd /s && touch d/x && chmod 640 d/x && ln d/x hard && ln -s /nowhere a "
    "&& ln -s /etc/passwd b && ln -s ../s/d c && ln -s loop loop && ln -s . here\n",
    "whiteouts": "RUN mkdir -p /s/d /s/e /s/f && touch /s/gone /s/d/old /s/e/x /s/f/x /s/file\n"
    "RUN rm -r /s/gone /s/d /s/f && mkdir /s/d && touch /s/d/new && rm /s/e/x && rm /s/file "
    "&& mkdir /s/file && touch /s/f\nRUN mkdir /s/gone && touch /s/gone/again /s/e/x\n",
    "modes": "RUN mkdir /s; cd /s; for m in 0000 0200 0400 0600 4755 2755 1777; do ls >m$m; chmod $m m$m; "
    "mkdir d$m; touch d$m/x; chmod $m d$m; done && chown 1234:5678 m0600 && chmod 6755 /s\n",
    "names": "RUN mkdir /s && cd /s && touch 'a b' '☃' 'c\\d' ./-x '*' 'q\"' '#' .dot \"$(printf 'n\\nl')\" "
    '"$(printf \'u\\377\')" "$(printf %0255d 0)" && mkdir " "\n',
    "special": "ADD special.tar /\nRUN cd /s && mkfifo fifo && mknod null c 1 3 && mknod block b 7 0\n",
    "large": "RUN mkdir /s && truncate -s 300M /s/sparse && cat /usr/bin/* /usr/bin/* >/s/large\n",
    "many-layers": "".join(f"RUN echo {number} >/n{number % 7}\n" for number in range(60)),
    "empty-layers": "RUN true\nRUN true\nRUN :\n",
}
# Not FROM the tiny image.
OTHERS = {
    "static": "FROM debian:trixie-slim AS debian\nFROM scratch\nCOPY --from=debian /sbin/ldconfig /static\n"
    'ENV A=b\nENTRYPOINT ["/static"]\n',
    "debian": "FROM debian:trixie-slim\nLABEL a=b\n",
}
# They take a minute to build and to convert.
SLOW = {"many-layers", "large", "labels"}
DONE = [name for name in (*IMAGES, *OTHERS) if campaign.LONG or name not in SLOW]


class Listener(NullProgress):
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.lines: list[tuple[float, str]] = []

    def note(self, text: str) -> None:
        self.notes.append(text)

    def line(self, text: str) -> None:
        self.lines.append((time.monotonic(), text))


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A file in an image, with all that Docker and Apptainer can say of it."""

    kind: str
    mode: int
    owner: tuple[int, int]
    target: str
    content: str
    device: tuple[int, int]
    xattrs: tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True)
class Made:
    sif: Sif
    notes: list[str]


def image_name(name: str) -> str:
    return f"slipway-test-{name}"


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    made = engine()
    ensure_base(made, "debian:trixie-slim", CPU.debian_mirror, NullProgress())
    yield made
    for name in (*DONE, "tiny"):
        if find_image(made, image_name(name)):
            made.images.remove(image_name(name), force=True)
    made.close()


def test_an_image_whose_name_is_anothers_by_now(client: Any, tmp_path: Path) -> None:
    there = find_image(client, "debian:trixie-slim")
    assert there
    with pytest.raises(
        ImageError, match="slipway-test-none:latest was removed from the engine or built anew"
    ):
        _save(client, replace(there, ref="slipway-test-none:latest"), tmp_path / "layout")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    folder = tmp_path_factory.mktemp("sif")
    return Project(root=ROOT, state=folder / "state", results=folder / "results")


@pytest.fixture(scope="module")
def images(client: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    """All images of this form of the tests, in the engine."""
    folder = tmp_path_factory.mktemp("build")
    with tarfile.open(folder / "special.tar", "w", format=tarfile.PAX_FORMAT) as tar:
        for name, xattr, value in (
            ("ping", "security.capability", b"\1\0\0\2\0 \0\0\0\0\0\0\0\0\0\0\0\0\0\0"),
            ("plain", "user.note", b"kept"),
        ):
            member = tarfile.TarInfo(f"s/{name}")
            member.mode, member.size = 0o755, 3
            member.pax_headers = {f"SCHILY.xattr.{xattr}": value.decode("utf-8", "surrogateescape")}
            tar.addfile(member, io.BytesIO(b"abc"))
    build(client, folder, "tiny", TINY)
    for name in DONE:
        build(client, folder, name, FROM + IMAGES[name] if name in IMAGES else OTHERS[name])


def build(client: Any, folder: Path, name: str, dockerfile: str) -> None:
    (folder / f"Dockerfile.{name}").write_text(dockerfile)
    arguments = {"LINES": "two\nlines\n"}
    recipe = Recipe(
        name=image_name(name),
        dockerfile=folder / f"Dockerfile.{name}",
        platform="linux/amd64",
        build_args=arguments,
    )
    build_image(client, recipe, NullProgress())


@pytest.fixture(scope="module")
def made(client: Any, images: None, project: Project) -> dict[str, Made]:
    """All images, converted."""
    tools = tools_recipe(project, CPU)
    result = {}
    for name in DONE:
        image = find_image(client, image_name(name))
        assert image
        listener = Listener()
        sif, new = make_sif(client, image, project, tools, listener)
        assert new
        result[name] = Made(sif=sif, notes=listener.notes)
    return result


@pytest.fixture(scope="module")
def unpacked(client: Any, made: dict[str, Made], project: Project, tmp_path_factory: Any) -> Path:
    """Of each .sif its file system as ``<name>.tar``, made by unsquashfs and tar."""
    out: Path = tmp_path_factory.mktemp("trees")
    names = {name: one.sif.path.name for name, one in made.items()}
    offsets = {name: read_sif(one.sif.path).offset for name, one in made.items()}
    lines = [
        f"unsquashfs -q -n -o {offsets[name]} -d /r/{name} /sif/{file} && "
        f"tar --xattrs --xattrs-include='*' --format=pax -C /r/{name} -cf /out/{name}.tar . && rm -r /r/*"
        for name, file in names.items()
    ]
    said: list[str] = []
    tools, _ = build_image(client, tools_recipe(project, CPU), NullProgress())
    mounts = {project.state / "sif": "/sif", out: "/out"}
    command = ["sh", "-ec", "mkdir /r; " + "\n".join(lines)]
    assert run_container(client, tools, command, mounts=mounts, listen=said.append) == 0, said
    return out


def absolute(name: str) -> str:
    """The path of an archive's member, which tar writes as ``./a`` and Docker as ``a``."""
    return "/" + name.removeprefix("./").strip("/") if name != "." else "/"


def read_tree(archive: tarfile.TarFile) -> tuple[dict[str, Entry], set[frozenset[str]]]:
    """The files of an archive by path, and the sets of paths that are one file."""
    tree: dict[str, Entry] = {}
    same: dict[str, set[str]] = {}
    for member in archive:
        path = absolute(member.name)
        if member.islnk():
            first = absolute(member.linkname)
            tree[path] = tree[first]
            same.setdefault(first, {first}).add(path)
            continue
        file = archive.extractfile(member) if member.isfile() else None
        tree[path] = Entry(
            kind=member.type.decode() if not member.isfile() else "file",
            mode=member.mode & 0o7777,
            owner=(member.uid, member.gid),
            target=member.linkname,
            content=hashlib.file_digest(file, "sha256").hexdigest() if file else "",
            device=(member.devmajor, member.devminor) if member.isdev() and not member.isfifo() else (0, 0),
            xattrs=tuple(
                sorted((k, v) for k, v in member.pax_headers.items() if k.startswith("SCHILY.xattr."))
            ),
        )
    return tree, {frozenset(paths) for paths in same.values()}


# What Docker puts into each container, and Apptainer into each .sif.
DOCKERS = {"/.dockerenv", "/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/etc/mtab"}
APPTAINERS = {"/environment", "/singularity", "/.exec", "/.run", "/.shell", "/.test", "/.singularity.d"}
# Made where they are missing, with the same permissions everywhere.
FOLDERS = {"/", "/dev", "/etc", "/home", "/proc", "/root", "/sys", "/tmp", "/var", "/var/tmp"}


def compared(tree: dict[str, Entry], *, without: set[str]) -> dict[str, Entry]:
    skip = tuple(f"{path}/" for path in ("/dev", "/proc", "/sys", *APPTAINERS))
    return {
        path: entry
        for path, entry in tree.items()
        if path not in without | DOCKERS | APPTAINERS | FOLDERS and not path.startswith(skip)
    }


@pytest.mark.parametrize("name", others_long([*IMAGES, *OTHERS], *({*IMAGES, *OTHERS} - SLOW)))
def test_every_file_is_what_it_was(client: Any, made: dict[str, Made], unpacked: Path, name: str) -> None:
    container = client.containers.create(made[name].sif.image_id, command=["x"])
    try:
        exported = b"".join(container.export())
    finally:
        container.remove(force=True)
    with tarfile.open(fileobj=io.BytesIO(exported)) as archive:
        there, their_links = read_tree(archive)
    with tarfile.open(unpacked / f"{name}.tar") as archive:
        here, our_links = read_tree(archive)
    wanted, found = compared(there, without=set()), compared(here, without=set())
    # Docker makes the folders of VOLUMEs itself.
    if name == "command-only":
        wanted.pop("/data", None)
        found.pop("/data", None)
    paths = sorted(wanted.keys() | found.keys())
    assert [
        (path, wanted.get(path), found.get(path)) for path in paths if wanted.get(path) != found.get(path)
    ] == []
    assert their_links == our_links


def tree_of(unpacked: Path, name: str) -> tuple[dict[str, Entry], set[frozenset[str]]]:
    with tarfile.open(unpacked / f"{name}.tar") as archive:
        return read_tree(archive)


def test_the_comparison_saw_what_it_is_for(unpacked: Path) -> None:
    special, _ = tree_of(unpacked, "special")
    assert "security.capability" in str(special["/s/ping"].xattrs)
    assert [special[f"/s/{name}"].kind for name in ("fifo", "null", "block")] == ["6", "3", "4"]
    links, same = tree_of(unpacked, "links")
    assert frozenset({"/s/d/x", "/s/hard"}) in same
    assert links["/s/loop"].target == "loop"
    modes, _ = tree_of(unpacked, "modes")
    assert (modes["/s/m0000"].mode, modes["/s/m4755"].mode) == (0, 0o4755)
    assert modes["/s/m0600"].owner == (1234, 5678)
    whiteouts, _ = tree_of(unpacked, "whiteouts")
    gone = {"/s/d/old", "/s/f/x"}
    assert gone.isdisjoint(whiteouts)
    assert whiteouts["/s/gone"].kind == "5"
    names, _ = tree_of(unpacked, "names")
    assert {"/s/a b", "/s/☃", "/s/n\nl", "/s/u\udcff", "/s/ "} <= names.keys()


def test_what_does_not_come_along_is_told(made: dict[str, Made]) -> None:
    told = {name: one.notes for name, one in made.items() if one.notes}
    assert set(told) == {"environment", "shell-form", "command-only", "links", "modes", "static"}
    assert [note.partition(":")[0] for note in told["environment"]] == [
        "Apptainer leaves out ENV odd.name",
        "Apptainer sets HOME itself, so the image's ENV does not count there.",
    ]
    assert told["shell-form"] == ["The image's USER is 1234:0; on a cluster its programs run as you."]
    (closed,) = told["modes"]
    assert "Only its owner may read /s/d0000, /s/d0200, /s/d0400, /s/d0600, /s/m0000 and 3 more" in closed
    assert told["static"] == [
        "The image has no /bin/sh, which each of Slipway's jobs starts with: no job can run in it."
    ]


def test_gzip_on_demand_leaves_zstd_alone(client: Any, made: dict[str, Made], project: Project) -> None:
    tools = tools_recipe(project, CPU)
    image = find_image(client, image_name("exec-form"))
    assert image
    listener = Listener()
    sif, new = make_sif(client, image, project, tools, listener, compression="gzip")
    ended = time.monotonic()
    assert new
    assert (read_sif(sif.path).compression, sif.compression) == ("gzip", "gzip")
    # Apptainer's lines came while it worked.
    assert listener.lines[0][1].startswith("INFO:    Starting build")
    assert ended - listener.lines[0][0] > 0.1
    assert make_sif(client, image, project, tools, NullProgress()) == (made["exec-form"].sif, False)
    assert make_sif(client, image, project, tools, NullProgress(), compression="gzip") == (sif, False)
    assert read_sif(made["exec-form"].sif.path).compression == "zstd"


def test_another_files_content_is_not_taken_for_this_one(
    client: Any, made: dict[str, Made], project: Project
) -> None:
    image = find_image(client, image_name("empty-layers"))
    assert image
    path, content = made["empty-layers"].sif.path, made["empty-layers"].sif.path.read_bytes()
    # As long as before, and in the middle of its data another byte.
    wrecked = bytearray(content)
    wrecked[len(content) // 2] ^= 1
    path.write_bytes(wrecked)
    sif, new = make_sif(client, image, project, tools_recipe(project, CPU), NullProgress())
    assert new
    assert hashlib.sha256(path.read_bytes()).hexdigest() == sif.sha256


def test_a_cut_sif_is_told_by_its_tables(made: dict[str, Made], tmp_path: Path) -> None:
    content = made["exec-form"].sif.path.read_bytes()
    for length in (100, 4000, 30000, 41000, len(content) - 1):
        (tmp_path / "cut.sif").write_bytes(content[:length])
        with pytest.raises(ValueError, match="cut"):
            read_sif(tmp_path / "cut.sif")


CONVERT = """
import sys
from pathlib import Path
from slipway.image.engine import engine, find_image
from slipway.profile import load_profile
from slipway.project import Project
from slipway.progress import NullProgress
from slipway.sif.store import make_sif, tools_recipe
root, state, name = sys.argv[1:]
project = Project(root=Path(root), state=Path(state), results=Path(state))
client = engine()
tools = tools_recipe(project, load_profile(project.profiles, "cpu"))
make_sif(client, find_image(client, name), project, tools, NullProgress())
"""


def conversions(client: Any, state: Path) -> list[Any]:
    found = client.containers.list(all=True, filters={"label": LABEL}, ignore_removed=True)
    return [one for one in found if one.labels[LABEL].startswith(f"{state}/")]


def begin(client: Any, state: Path) -> "subprocess.Popen[bytes]":
    """A conversion of the large image, until its container runs."""
    argv = [sys.executable, "-c", CONVERT, str(ROOT), str(state), image_name("debian")]
    process = subprocess.Popen(argv, env={**os.environ, "PYTHONPATH": str(ROOT)}, stderr=subprocess.DEVNULL)

    def runs() -> bool:
        assert process.poll() is None
        return any(one.status == "running" for one in conversions(client, state))

    wait_until(runs, "the container of a conversion", pause_s=0.05)
    return process


@pytest.mark.fault("kills", "convert")
def test_ctrl_c_leaves_nothing(client: Any, made: dict[str, Made], tmp_path: Path) -> None:
    process = begin(client, tmp_path)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=PATIENCE_S) != 0
    assert conversions(client, tmp_path) == []
    assert list((tmp_path / "tmp").iterdir()) == []
    assert list((tmp_path / "sif").glob("*.sif")) == []


@pytest.mark.fault("kills", "convert")
def test_what_a_killed_conversion_left_is_cleaned_by_the_next(
    client: Any, made: dict[str, Made], tmp_path: Path
) -> None:
    process = begin(client, tmp_path)
    process.kill()
    process.wait(timeout=PATIENCE_S)
    assert len(conversions(client, tmp_path)) == 1
    assert len([path for path in (tmp_path / "tmp").iterdir() if path.is_dir()]) == 1
    project = Project(root=ROOT, state=tmp_path, results=tmp_path)
    image = find_image(client, image_name("debian"))
    assert image
    assert make_sif(client, image, project, tools_recipe(project, CPU), NullProgress())[1]
    assert conversions(client, tmp_path) == []
    assert list((tmp_path / "tmp").iterdir()) == []


def test_two_at_once_make_one(client: Any, made: dict[str, Made], tmp_path: Path) -> None:
    first, second = begin(client, tmp_path), begin(client, tmp_path)
    assert (first.wait(timeout=PATIENCE_S), second.wait(timeout=PATIENCE_S)) == (0, 0)
    (sif,) = (tmp_path / "sif").glob("*.sif")
    # The second did not make it anew.
    inode = sif.stat().st_ino
    project = Project(root=ROOT, state=tmp_path, results=tmp_path)
    image = find_image(client, image_name("debian"))
    assert image
    assert not make_sif(client, image, project, tools_recipe(project, CPU), NullProgress())[1]
    assert sif.stat().st_ino == inode


def test_apptainers_failure_is_told_in_its_words(
    client: Any, made: dict[str, Made], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = Project(root=ROOT, state=tmp_path, results=tmp_path)
    image = find_image(client, image_name("exec-form"))
    assert image
    # A compression that mksquashfs does not know: the tools image's one knows all that Slipway asks for.
    monkeypatch.setattr("slipway.sif.conversion.convert_command", broken_command)
    with pytest.raises(
        ConversionError, match=r"Apptainer in slipway-apptainer could not make (?s:.*)no-such"
    ):
        make_sif(client, image, project, tools_recipe(project, CPU), NullProgress())
    assert list((tmp_path / "tmp").iterdir()) == []


def broken_command(*_: Any) -> list[str]:
    text = (
        "import runpy, sys; m = runpy.run_path('/convert.py'); m['SQUASHFS']['zstd'] = ['--mksquashfs-args', "
    )
    text += (
        "'-comp no-such']; sys.argv = ['x', '--layout', '/image/layout', '--sif', '/image/x.sif', '--facts', "
    )
    text += "'/image/facts.json', '--tmp', '/image']; sys.exit(m['main']())"
    return ["python3", "-c", text, "--"]
