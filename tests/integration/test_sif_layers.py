"""A .sif that is put together of its image's layers: what a change costs, and what is kept."""

import re
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from slipway.image.base import ensure_base
from slipway.image.build import build_image
from slipway.image.engine import Image, engine, find_image, run_configured, run_container
from slipway.image.recipe import Recipe
from slipway.profile import load_profile
from slipway.progress import NullProgress
from slipway.project import Project
from slipway.sif import assembly, by_layers
from slipway.sif.conversion import container_config
from slipway.sif.engine_layers import find_layers
from slipway.sif.file import read_sif
from slipway.sif.kept import Sif, sha256
from slipway.sif.layers import LayerStore
from slipway.sif.store import make_sif, tools_recipe

ROOT = Path(__file__).parents[2]
CPU = load_profile(ROOT / "env", "cpu")
NAME = "slipway-test-layers"
BASE = """FROM debian:trixie-slim
RUN mkdir -p /s/hidden /s/kept && touch /s/hidden/a /s/kept/a && ln /s/kept/a /s/kept/b \\
 && head -c 3000000 /dev/urandom >/s/data
RUN rm -r /s/hidden && mkdir /s/hidden && touch /s/hidden/b && rm /s/kept/a && chmod 700 /s
"""


class Listener(NullProgress):
    """Remembers steps and notes."""

    def __init__(self) -> None:
        self.steps: list[str] = []
        self.notes: list[str] = []

    def step(self, text: str) -> None:
        self.steps.append(text)

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    made = engine()
    ensure_base(made, "debian:trixie-slim", CPU.debian_mirror, NullProgress())
    yield made
    if find_image(made, NAME):
        made.images.remove(NAME, force=True)
    made.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("layers")


def build(client: Any, folder: Path, last: str) -> Image:
    (folder / "Dockerfile").write_text(BASE + last)
    recipe = Recipe(name=NAME, dockerfile=folder / "Dockerfile", platform="linux/amd64", build_args={})
    return build_image(client, recipe, NullProgress())[0]


def project_in(folder: Path) -> Project:
    return Project(root=ROOT, state=folder / "state", results=folder / "results")


def make(client: Any, image: Image, project: Project) -> tuple[Sif, Listener]:
    listener = Listener()
    sif, is_new = make_sif(client, image, project, tools_recipe(project, CPU), listener)
    assert is_new
    # Of the image itself: /s is closed.
    assert [note.partition(":")[0] for note in listener.notes] == ["Only its owner may read /s"], (
        listener.notes
    )
    return sif, listener


def new_layers(listener: Listener) -> list[int]:
    return [int(step.partition("(")[2].split()[0]) for step in listener.steps if step.startswith("Putting")]


def test_a_change_costs_its_layer_and_leaves_the_others_bytes(client: Any, folder: Path) -> None:
    project = project_in(folder)
    first = build(client, folder, "RUN echo one >/last\n")
    before, listener = make(client, first, project)
    count = len(find_layers(client, first).digests)
    assert new_layers(listener) == [count]
    assert "Saving" not in str(listener.steps)
    old = before.path.read_bytes()
    second = build(client, folder, "RUN echo another >/last\n")
    after, listener = make(client, second, project)
    assert new_layers(listener) == [1]
    new = after.path.read_bytes()
    offset = read_sif(after.path).offset
    # Behind the superblock, which says where the tables are.
    same = next(at for at in range(offset + 96, len(old)) if old[at] != new[at])
    assert same > 0.9 * len(old)
    # What only the older version had is gone.
    kept = {path.name for path in (project.state / "layers").glob("*.squashfs")}
    store = LayerStore.of(project, "zstd")
    assert kept == {store.name(digest) for digest in find_layers(client, second).digests}


def listing(client: Any, sif: Sif) -> list[str]:
    """What unsquashfs sees, with the hash of each file."""
    said: list[str] = []
    tools, _ = build_image(
        client, tools_recipe(project_in(sif.path.parent.parent.parent), CPU), NullProgress()
    )
    at = read_sif(sif.path).offset
    script = (
        f"cd /sif && unsquashfs -q -n -o {at} -d /r {sif.path.name}"
        f" && unsquashfs -o {at} -lln {sif.path.name}"
        " && cd /r"
        " && find . -type f -print0 | sort -z | xargs -0 sha256sum && find . -type f -links +1 | sort"
    )
    code = run_container(
        client, tools, ["sh", "-ec", script], mounts={sif.path.parent: "/sif"}, listen=said.append
    )
    assert code == 0, said
    # The size of a folder's list of names says nothing, and what Apptainer adds changes the times of folders.
    folder = re.compile(r"^(d\S+ \S+) .*(squashfs-root)")
    return [folder.sub(r"\1 \2", line) for line in "".join(said).splitlines()]


@pytest.mark.long
def test_archives_and_folders_of_the_engine_give_the_same(
    client: Any, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = build(client, folder, "RUN echo another >/last\n")
    by_folders, _ = make(client, image, project_in(tmp_path / "one"))
    again, _ = make(client, image, project_in(tmp_path / "two"))
    assert by_folders.sha256 == again.sha256
    monkeypatch.setattr(by_layers.ByLayers, "can_do_without_archive", False)
    by_archive, listener = make(client, image, project_in(tmp_path / "three"))
    assert listener.steps[0].startswith("Saving")
    assert listing(client, by_archive) == listing(client, by_folders)
    # What was kept of archives and of folders goes together.
    monkeypatch.undo()
    project = project_in(tmp_path / "three")
    newer = build(client, folder, "RUN echo another >/last && rm /s/hidden/b\n")
    mixed, listener = make(client, newer, project)
    assert new_layers(listener) == [1]
    names = [line.partition("squashfs-root")[2] for line in listing(client, mixed)]
    paths = {name for name in names if name == "/s" or name.startswith("/s/")}
    assert paths == {"/s", "/s/data", "/s/hidden", "/s/kept", "/s/kept/b"}


def test_damage_of_what_is_kept_is_noticed_and_mended(client: Any, folder: Path, tmp_path: Path) -> None:
    project = project_in(tmp_path)
    image = build(client, folder, "RUN echo another >/last\n")
    whole, _ = make(client, image, project)
    kept = max((project.state / "layers").glob("*.squashfs"), key=lambda path: path.stat().st_size)
    content = bytearray(kept.read_bytes())
    content[len(content) // 2] ^= 1
    kept.write_bytes(content)
    for path in (project.state / "sif").iterdir():
        path.unlink()
    listener = Listener()
    again, _ = make_sif(client, image, project, tools_recipe(project, CPU), listener)
    assert f"A kept layer of {image.ref} was damaged; it is made anew." in listener.notes
    assert new_layers(listener) == [0, 1]
    assert again.sha256 == whole.sha256


@pytest.mark.long
def test_what_cannot_be_put_together_is_converted_as_a_whole(
    client: Any, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = build(client, folder, "RUN echo another >/last\n")
    # An engine's folder that is none of overlayfs: its layer cannot be read.
    real = find_layers(client, image)
    broken = tuple(Path("/nowhere") / str(number) for number, _ in enumerate(real.digests))
    monkeypatch.setattr(by_layers, "find_layers", lambda *_: type(real)(**{**vars(real), "folders": broken}))
    sif, listener = make(client, image, project_in(tmp_path))
    assert [step.split()[0] for step in listener.steps] == ["Putting", "Saving", "Putting"]
    monkeypatch.setattr(by_layers.ByLayers, "make", lambda *_: None)
    whole = Listener()
    project = project_in(tmp_path / "whole")
    made, _ = make_sif(client, image, project, tools_recipe(project, CPU), whole)
    assert "Apptainer converts all of it" in whole.notes[0]
    ours, theirs = listing(client, sif), listing(client, made)
    # Apptainer's own, and two files that it makes where the image has none.
    skip = ("/.singularity.d", "/.exec", "/.run", "/.shell", "/.test", "/singularity", "/environment")
    skip += ("/etc/hosts", "/etc/resolv.conf")

    def compared(lines: list[str]) -> list[str]:
        return [line for line in lines if not any(name in line for name in skip)]

    assert compared(ours) == compared(theirs)


LARGE = "RUN head -c 40000000 /dev/urandom >/large && sha256sum /large >/large.sha256\n"


def test_large_layers_are_not_written_twice(
    client: Any, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(assembly, "HOLE_BYTES", 35_000_000)
    project, tools = project_in(tmp_path), tools_recipe(project_in(tmp_path), CPU)
    image = build(client, folder, LARGE)
    sif, is_new = make_sif(client, image, project, tools, NullProgress(), whole=False)
    assert is_new
    assert sum(hole.size_bytes for hole in sif.holes) > 35_000_000
    assert sif.file.stat().st_blocks * 512 < sif.size_bytes - 35_000_000
    assert not sif.path.exists()
    assert make_sif(client, image, project, tools, NullProgress(), whole=False) == (sif, False)
    # Who needs the file gets it; no layer is asked for again.
    listener = Listener()
    whole, is_new = make_sif(client, image, project, tools, listener)
    assert not is_new
    assert listener.steps == [f"Writing {sif.path.name}"]
    assert sha256(whole.path) == sif.sha256 == whole.sha256
    script = ["sh", "-ec", f"singularity exec --userns /sif/{whole.path.name} sha256sum -c /large.sha256"]
    said = inside_tools(client, build_image(client, tools, NullProgress())[0], whole.path.parent, script)
    assert "/large: OK" in said
    # A newer one, of which only the last layer is new, has the same hole.
    newer = build(client, folder, LARGE + "RUN touch /newer\n")
    after, _ = make_sif(client, newer, project, tools, NullProgress(), whole=False)
    assert {hole.layer for hole in after.holes} == {hole.layer for hole in sif.holes}
    assert not whole.path.exists()
    # A byte that has changed in the layer meanwhile is not brought into the file.
    kept = max((project.state / "layers").glob("*.squashfs"), key=lambda path: path.stat().st_size)
    content = bytearray(kept.read_bytes())
    content[len(content) // 2] ^= 1
    kept.write_bytes(content)
    listener = Listener()
    mended, is_new = make_sif(client, newer, project, tools, listener)
    assert is_new
    assert f"A kept layer of {newer.ref} was damaged; it is made anew." in listener.notes
    assert sha256(mended.path) == mended.sha256 == after.sha256


def inside_tools(client: Any, tools: Image, folder: Path, command: list[str]) -> str:
    """Run a program in the tools container as a conversion does."""
    said: list[str] = []
    config = container_config(tools, command, {folder: "/sif"}, folder)
    assert run_configured(client, config, said.append) == 0, said
    return "".join(said)


def test_what_a_program_needs_that_looks_into_it_is_written(
    client: Any, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project, tools = project_in(tmp_path), tools_recipe(project_in(tmp_path), CPU)
    image = build(client, folder, "RUN echo another >/last\n")
    listener = Listener()
    # The shell is in a hole, too.
    monkeypatch.setattr(assembly, "HOLE_BYTES", 1)
    sif, _ = make_sif(client, image, project, tools, listener, whole=False)
    assert sif.holes == ()
    assert sha256(sif.path) == sif.sha256
    assert [note.partition(":")[0] for note in listener.notes] == ["Only its owner may read /s"]


def test_of_what_is_not_what_the_image_was_all_is_written(
    client: Any, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fake of what a program sees that reads zeros in a hole: no real one has been made to do so."""
    monkeypatch.setattr(assembly, "HOLE_BYTES", 35_000_000)
    project, tools = project_in(tmp_path), tools_recipe(project_in(tmp_path), CPU)
    image = build(client, folder, LARGE)
    looked: list[bool] = []

    def convert(client: Any, conversion: Any, *rest: Any) -> dict[str, Any]:
        facts = conversion_of(client, conversion, *rest)
        looked.append(conversion.assembly.has_holes)
        return {**facts, "labels": None} if conversion.assembly.has_holes else facts

    conversion_of = by_layers.convert
    monkeypatch.setattr(by_layers, "convert", convert)
    sif, _ = make_sif(client, image, project, tools, NullProgress(), whole=False)
    assert looked == [True, False]
    assert sha256(sif.path) == sif.sha256


def test_nobody_needs_to_be_privileged_for_it(client: Any, folder: Path, tmp_path: Path) -> None:
    # The process that looks into the file has given up what the layers were read with.
    script = (
        "import sys; sys.path.insert(0, '/s'); import convert; convert.drop_rights();"
        "import subprocess; print(subprocess.run(['grep', 'CapEff', '/proc/self/status'],"
        " capture_output=True, text=True).stdout)"
    )
    tools, _ = build_image(client, tools_recipe(project_in(tmp_path), CPU), NullProgress())
    run = ["python3", "-c", script]
    said = subprocess.run(
        [
            "docker",
            "run",
            "--rm",
            "--cap-add",
            "SYS_ADMIN",
            "-v",
            f"{ROOT / 'singularity'}:/s:ro",
            tools.id,
            *run,
        ],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert not int(said.split()[1], 16) & 1 << 21


# What squashes a layer, and what is to be seen of it there: exit code 3 where it is refused.
SQUASH = """
import sys; sys.path.insert(0, "/slipway")
from pathlib import Path
from layered.read import FormatError, read
from layered.squash import SquashError, squash
before = {str(one) for top in ("/tmp", "/etc", "/in", "/") for one in Path(top).iterdir()}
made = Path("/out/layer.squashfs")
try:
    squash(Path("/in/layer.tar"), made, "zstd")
    root = read(made).root
except (SquashError, FormatError) as error:
    print(error)
    sys.exit(3)
def names(node, path=""):
    for name, child in node.children.items():
        yield f"{path}/{name.decode()} {child.kind} {child.target.decode()}"
        yield from names(child, f"{path}/{name.decode()}")
print(*names(root), sep="\\n")
after = {str(one) for top in ("/tmp", "/etc", "/in", "/") for one in Path(top).iterdir()}
print("outside:", after ^ before)
"""


def member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "", size: int = 0) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname, made.size = kind, target, size
    return made


@pytest.mark.parametrize(
    ("members", "kept"),
    [
        ([member("../evil")], ["/evil 2 "]),
        ([member("a/../../evil")], None),
        ([member("/tmp/evil")], ["/tmp 1 ", "/tmp/evil 2 "]),
        ([member("a", tarfile.LNKTYPE, "../../etc/shadow")], None),
        ([member("a", tarfile.LNKTYPE, "/etc/shadow")], None),
        ([member("a", tarfile.SYMTYPE, "/tmp"), member("a/evil")], None),
        ([member("a", tarfile.SYMTYPE, "../../tmp")], ["/a 3 ../../tmp"]),
        ([member("null", tarfile.CHRTYPE)], ["/null 5 "]),
        ([member("a", size=1 << 50)], None),
        ([member("b" * 300)], None),
    ],
    ids=lambda value: value[0].name[:9] if value and isinstance(value[0], tarfile.TarInfo) else "",
)
def test_nothing_of_a_layer_leads_out_of_it(
    client: Any, tmp_path: Path, members: list[tarfile.TarInfo], kept: list[str] | None
) -> None:
    for name in ("in", "out"):
        (tmp_path / name).mkdir()
    with (tmp_path / "in" / "layer.tar").open("wb") as file:
        for one in members:
            file.write(one.tobuf(tarfile.PAX_FORMAT))
        file.write(bytes(1024))
    tools, _ = build_image(client, tools_recipe(project_in(tmp_path), CPU), NullProgress())
    said: list[str] = []
    package = ROOT / "slipway" / "sif" / "layered"
    code = run_container(
        client,
        tools,
        ["python3", "-B", "-c", SQUASH],
        mounts={tmp_path / "in": "/in", tmp_path / "out": "/out", package: "/slipway/layered"},
        listen=said.append,
    )
    if kept is None:
        assert code == 3, said
        assert {one.name for one in (tmp_path / "out").iterdir()} <= {"layer.squashfs"}
    else:
        assert code == 0, said
        assert "".join(said).splitlines() == [*kept, "outside: set()"]
