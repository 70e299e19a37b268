"""A machine that has Apptainer itself: the tools image with Slipway and the engine's socket in it."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest

from slipway.base import ensure_base
from slipway.errors import ConversionError, EngineError, SpaceError
from slipway.image import build_image, engine, find_image, run_configured, run_container
from slipway.profile import load_profile
from slipway.progress import Silence
from slipway.project import Project
from slipway.recipe import Recipe
from slipway.sif import TOOLS_IMAGE, tools_recipe
from slipway.siffile import read_sif

ROOT = Path(__file__).parents[2]
PACKAGES = Path(docker.__file__).parents[1]
CPU = load_profile(ROOT / "env", "cpu")
IMAGE = "slipway-test-hosted"
SOCKET = Path((os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock").removeprefix("unix://"))
DOCKERFILES = {
    # What a user's Apptainer leaves empty, unless it is made to read it.
    IMAGE: "FROM debian:trixie-slim\nENV GREETING='a \"b\" $c'\n"
    "RUN printf secret >/srv/none && chmod 0 /srv/none && printf x >/srv/theirs && chown 7:8 /srv/theirs\n",
}
PROGRAM = """
import json, sys
from pathlib import Path
from slipway import sif
from slipway.errors import SlipwayError
from slipway.image import engine, find_image
from slipway.progress import Silence
from slipway.project import Project
from slipway.recipe import Recipe
state, name, factor = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
notes = []
class Listener(Silence):
    def note(self, text): notes.append(text)
if factor:
    sif.SPACE_FACTOR = float(factor)
try:
    client = engine()
    project = Project(root=Path("/slipway"), state=state, results=state)
    # There are no tools here to build: whatever asks for them fails.
    made, _ = sif.make_sif(client, find_image(client, name), project,
        Recipe(name="no-tools", dockerfile=Path("/none"), platform=""), Listener())
    told = {"path": str(made.path), "notes": notes}
except SlipwayError as error:
    told = {"code": error.exit_code, "said": str(error)}
print("TOLD " + json.dumps({**told, "left": [str(path) for path in state.glob("tmp/*")]}))
"""


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    if not SOCKET.is_socket():
        pytest.skip(f"the engine is not reached by a socket here: {SOCKET}")
    made = engine()
    ensure_base(made, "debian:trixie-slim", CPU.debian_mirror, Silence())
    project = Project(root=ROOT, state=ROOT / ".slipway", results=ROOT / "results")
    build_image(made, tools_recipe(project, CPU), Silence())
    folder = tmp_path_factory.mktemp("host")
    for name, text in DOCKERFILES.items():
        (folder / f"Dockerfile.{name}").write_text(text)
        recipe = Recipe(name=name, dockerfile=folder / f"Dockerfile.{name}", platform="")
        build_image(made, recipe, Silence())
    yield made
    for name in DOCKERFILES:
        made.images.remove(name, force=True)
    made.close()


def on_a_host(
    client: Any,
    state: Path,
    *,
    user: int = 0,
    namespaces: bool = True,
    socket: bool = True,
    groups: bool = True,
    subuids: bool = False,
    room_mb: int | None = None,
    factor: str = "",
) -> dict[str, Any]:
    """Convert on a machine with Apptainer, and say what came of it.

    Args:
        client: the engine.
        state: Slipway's state folder, of this machine.
        user: who converts.
        namespaces: whether that machine allows users namespaces and has FUSE.
        socket: whether it has Docker.
        groups: whether the user may use that.
        subuids: whether the user has a range of user ids; the container cannot give it out.
        room_mb: the size of the disk that the state folder is on.
        factor: how much room is asked for, in place of the usual.
    """
    (state / "program.py").write_text(PROGRAM)
    state.chmod(0o777)
    mounts = [
        {"Type": "bind", "Source": str(ROOT), "Target": "/slipway", "ReadOnly": True},
        {"Type": "bind", "Source": str(state), "Target": "/state"},
        # What a conversion needs of it is plain Python, and so good for the container's Python, too.
        {"Type": "bind", "Source": str(PACKAGES), "Target": "/packages", "ReadOnly": True},
    ]
    if socket:
        mounts.append({"Type": "bind", "Source": str(SOCKET), "Target": "/var/run/docker.sock"})
    group = SOCKET.stat().st_gid if groups else 1000
    where = "/state" if room_mb is None else "/small"
    steps = [
        "chmod 666 /dev/fuse || true",
        "useradd --uid 1000 --create-home zed",
        "" if subuids else ": >/etc/subuid; : >/etc/subgid",
        "export HOME=/home/zed PYTHONPATH=/slipway:/packages PYTHONDONTWRITEBYTECODE=1",
        f"become='setpriv --reuid {user} --regid {user} --groups {group}'",
        f"exec $become python3 /state/program.py {where} {IMAGE} '{factor}'",
    ]
    fuse = {"PathOnHost": "/dev/fuse", "PathInContainer": "/dev/fuse", "CgroupPermissions": "rwm"}
    open_to_users = {
        "SecurityOpt": ["seccomp=unconfined", "apparmor=unconfined"],
        "MaskedPaths": [],
        "ReadonlyPaths": [],
        "Devices": [fuse],
    }
    small = {"Tmpfs": {"/small": f"size={room_mb}m,mode=777,exec,dev"}} if room_mb else {}
    config = {
        "Image": TOOLS_IMAGE,
        "Entrypoint": ["bash", "-c", "\n".join(steps)],
        "HostConfig": {
            "Mounts": mounts,
            "NetworkMode": "none",
            **small,
            **(open_to_users if namespaces else {}),
        },
    }
    said: list[str] = []
    run_configured(client, config, said.append)
    (line,) = [line for line in "".join(said).splitlines() if line.startswith("TOLD ")] or ["".join(said)]
    told: dict[str, Any] = json.loads(line.removeprefix("TOLD "))
    assert told["left"] == []
    return told


def look_into(client: Any, state: Path, *paths: str) -> list[str]:
    """Permissions, owner and size of files in the one .sif there."""
    (sif,) = (state / "sif").glob("*.sif")
    tools = find_image(client, TOOLS_IMAGE)
    assert tools
    said: list[str] = []
    command = ["unsquashfs", "-o", str(read_sif(sif).offset), "-lln", f"/sif/{sif.name}", *paths]
    assert run_container(client, tools, command, mounts={sif.parent: "/sif"}, listen=said.append) == 0
    lines = [line.split() for line in "".join(said).splitlines()]
    return [f"{words[0]} {words[1]} {words[2]}" for words in lines if words[-1].endswith(paths)]


CLOSED = "Only its owner may read /srv/none"


def test_root_converts_exactly(client: Any, tmp_path: Path) -> None:
    told = on_a_host(client, tmp_path)
    assert [note[: len(CLOSED)] for note in told["notes"]] == [CLOSED]
    assert look_into(client, tmp_path, "srv/none", "srv/theirs") == ["---------- 0/0 6", "-rw-r--r-- 7/8 1"]


def test_a_user_with_namespaces_keeps_all_content(client: Any, tmp_path: Path) -> None:
    told = on_a_host(client, tmp_path, user=1000)
    assert [note[: len(CLOSED)] for note in told["notes"]] == [CLOSED]
    assert look_into(client, tmp_path, "srv/none", "srv/theirs") == ["---------- 0/0 6", "-rw-r--r-- 0/0 1"]
    (sif,) = (tmp_path / "sif").glob("*.sif")
    assert sif.stat().st_uid == 1000


def test_a_range_of_ids_that_cannot_be_used_is_done_without(client: Any, tmp_path: Path) -> None:
    told = on_a_host(client, tmp_path, user=1000, subuids=True)
    assert [note[: len(CLOSED)] for note in told["notes"]] == [CLOSED]
    assert look_into(client, tmp_path, "srv/none") == ["---------- 0/0 6"]


def test_a_user_without_namespaces_is_told_what_it_costs(client: Any, tmp_path: Path) -> None:
    told = on_a_host(client, tmp_path, user=1000, namespaces=False)
    closed, cost, not_run = sorted(told["notes"], key=lambda note: note.startswith("No image"))[-3:]
    assert "cannot pretend to be root" in closed + cost
    assert "kernel.apparmor_restrict_unprivileged_userns=0" in closed + cost
    assert not_run.startswith("No image can be run here, so the environment in the .sif was not looked at: ")
    assert not_run.endswith("namespace") or "FATAL" in not_run or "apptainer-suid" in not_run
    assert look_into(client, tmp_path, "srv/none") == ["-rw------- 0/0 6"]


def test_no_room_is_told_before_and_meanwhile(client: Any, tmp_path: Path) -> None:
    before = on_a_host(client, tmp_path, room_mb=100)
    assert before["code"] == SpaceError.exit_code
    assert "/small/tmp has 0.1 GB free" in before["said"]
    # Not enough for the layers, nor, with a little more, for what Apptainer unpacks.
    saving = on_a_host(client, tmp_path, room_mb=60, factor="0")
    assert saving["code"] == SpaceError.exit_code
    assert "is full: No space left on device" in saving["said"]
    unpacking = on_a_host(client, tmp_path, room_mb=130, factor="0")
    assert unpacking["code"] == SpaceError.exit_code, unpacking["said"]
    assert "no space left on device" in unpacking["said"]
    assert "SLIPWAY_STATE" in unpacking["said"]
    assert ConversionError.exit_code != SpaceError.exit_code


def test_docker_that_is_missing_or_forbidden_is_told(client: Any, tmp_path: Path) -> None:
    missing = on_a_host(client, tmp_path, user=1000, socket=False)
    assert missing["code"] == EngineError.exit_code
    assert missing["said"].startswith("Docker is not installed here")
    if SOCKET.stat().st_mode & 0o006:
        pytest.skip("everybody may use the engine of this machine")
    forbidden = on_a_host(client, tmp_path, user=1000, groups=False)
    assert forbidden["code"] == EngineError.exit_code
    assert "does not let this user in; `sudo usermod -aG docker $USER`" in forbidden["said"]
