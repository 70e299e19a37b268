"""A machine that has Apptainer itself: the tools image with Slipway and the engine's socket in it."""

import json
import os
from pathlib import Path
from typing import Any

import docker

from slipway.image.engine import run_configured
from slipway.sif.store import TOOLS_IMAGE

ROOT = Path(__file__).parents[2]
PACKAGES = Path(docker.__file__).parents[1]
IMAGE = "slipway-test-hosted"
SOCKET = Path((os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock").removeprefix("unix://"))
PROGRAM = """
import json, sys
from pathlib import Path
from slipway.sif import store as sif
from slipway.errors import SlipwayError
from slipway.image.engine import engine, find_image
from slipway.progress import NullProgress
from slipway.project import Project
from slipway.image.recipe import Recipe
state, name, factor = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
notes = []
class Listener(NullProgress):
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
    noexec: bool = False,
    factor: str = "",
    image: str = IMAGE,
    program: str = PROGRAM,
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
        noexec: whether no program may be started from that disk.
        factor: how much room is asked for, in place of the usual.
        image: what to convert.
        program: what does it.
    """
    (state / "program.py").write_text(program)
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
        f"exec $become python3 /state/program.py {where} {image} '{factor}'",
    ]
    fuse = {"PathOnHost": "/dev/fuse", "PathInContainer": "/dev/fuse", "CgroupPermissions": "rwm"}
    open_to_users = {
        "SecurityOpt": ["seccomp=unconfined", "apparmor=unconfined"],
        "MaskedPaths": [],
        "ReadonlyPaths": [],
        "Devices": [fuse],
    }
    may = "noexec" if noexec else "exec"
    small = {"Tmpfs": {"/small": f"size={room_mb}m,mode=777,{may},dev"}} if room_mb else {}
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
