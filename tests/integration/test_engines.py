"""Other engines than this machine's: each runs in a container, and Slipway beside it, as its user.

The image takes 660 MB of Debian's packages, and the way through four engines minutes, so they run where they
are asked for: ``SLIPWAY_TEST_ENGINES=1 pytest tests/integration/test_engines.py``.
"""

import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from slipway.image.base import ensure_base
from slipway.image.build import build_image
from slipway.image.engine import engine
from slipway.image.recipe import Recipe
from slipway.profile import load_profile
from slipway.progress import NullProgress
from slipway.project import Project
from slipway.sif.store import tools_recipe
from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]
CPU = load_profile(ROOT / "env", "cpu")
IMAGE = "slipway-test-engines"
USER = 1000
SOCKET = "/run/trial/engine.sock"
PACKAGES = (
    "aardvark-dns ca-certificates catatonit docker-buildx docker-cli docker.io fuse-overlayfs git iproute2 "
    "iptables libcap2-bin netavark nftables passt podman rootlesskit runc slirp4netns uidmap"
)
# newuidmap with setuid wants more of the bounding set than a container has.
DOCKERFILE = f"""FROM debian:trixie-slim
ARG DEBIAN_FRONTEND=noninteractive
RUN apt-get update && apt-get install -y --no-install-recommends {PACKAGES} && rm -rf /var/lib/apt/lists/*
RUN useradd --create-home --uid {USER} me && echo me:100000:65536 | tee /etc/subuid >/etc/subgid \\
 && chmod u-s /usr/bin/newuidmap /usr/bin/newgidmap && chmod 755 /root \\
 && setcap cap_setuid+ep /usr/bin/newuidmap && setcap cap_setgid+ep /usr/bin/newgidmap
RUN mkdir -p /etc/docker /etc/containers && printf '%s\\n' '[engine]' 'runtime = "runc"' \\
 'cgroup_manager = "cgroupfs"' 'events_logger = "file"' '[containers]' \\
 'default_ulimits = ["nofile=16384:16384", "nproc=4096:4096"]' >/etc/containers/containers.conf
"""
_ROOTLESS = (
    "chmod 666 /dev/net/tun /dev/fuse; mkdir -p /run/me; chown -R me: /run/me /run/trial /home/me; cd "
    "/home/me; export HOME=/home/me XDG_RUNTIME_DIR=/run/me "
    f"PATH=/usr/share/docker.io/contrib:/usr/sbin:$PATH; exec setpriv --reuid {USER} --regid {USER} "
    "--clear-groups --inh-caps=-all "
)


pytestmark = pytest.mark.skipif(
    not os.environ.get("SLIPWAY_TEST_ENGINES"),
    reason="other engines take 660 MB of packages and minutes: SLIPWAY_TEST_ENGINES=1 runs them",
)


@dataclass(frozen=True, kw_only=True)
class Engine:
    """An engine of a container: how it is started, and as whom Slipway runs beside it."""

    command: str
    user: int = 0
    environment: Mapping[str, str] = field(default_factory=dict)


ENGINES = {
    # Debian's Docker 26, with the store that is the usual one from 29 on.
    "containerd store": Engine(
        command='echo \'{"features": {"containerd-snapshotter": true}}\' >/etc/docker/daemon.json; '
        f"exec dockerd -H unix://{SOCKET} --cgroup-parent /{IMAGE}",
    ),
    "rootless": Engine(command=f"{_ROOTLESS} dockerd-rootless.sh -H unix://{SOCKET}", user=USER),
    "podman": Engine(
        command=f"exec podman system service -t 0 unix://{SOCKET}",
        # runc would set a limit that nobody in a container may set.
        environment={"BUILDAH_ISOLATION": "chroot"},
    ),
    "rootless podman": Engine(command=f"{_ROOTLESS} podman system service -t 0 unix://{SOCKET}", user=USER),
}


def config(image: str, one: Engine, shared: Path) -> dict[str, Any]:
    """A container in which an engine may run containers; it is not privileged."""
    python = Path(sys.base_prefix)
    binds = [f"{shared}:{shared}", *(f"{path}:{path}:ro" for path in {ROOT, python, Path(sys.prefix)})]
    packages = {Path(path) for path in sys.path if path.endswith("-packages")}
    binds += [f"{path}:{path}:ro" for path in packages if not path.is_relative_to(python)]
    devices = [
        {"PathOnHost": path, "PathInContainer": path, "CgroupPermissions": "rwm"}
        for path in ("/dev/fuse", "/dev/net/tun")
    ]
    return {
        "Image": image,
        "Cmd": ["bash", "-c", f"mkdir -p /run/trial; {one.command}"],
        "Env": [f"{name}={value}" for name, value in one.environment.items()],
        # An overlay cannot lie upon another one.
        "Volumes": {f"/var/lib/{name}": {} for name in ("docker", "containerd", "containers")}
        | {"/home/me/.local": {}},
        "HostConfig": {
            "CapAdd": ["SYS_ADMIN", "NET_ADMIN", "SYS_PTRACE"],
            "SecurityOpt": ["seccomp=unconfined", "apparmor=unconfined", "label=disable"],
            "MaskedPaths": [],
            "ReadonlyPaths": [],
            "Devices": devices,
            "CgroupnsMode": "host",
            "Binds": [*binds, "/sys/fs/cgroup:/sys/fs/cgroup:rw"],
        },
    }


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    made = engine()
    ensure_base(made, "debian:trixie-slim", CPU.debian_mirror, NullProgress())
    folder = tmp_path_factory.mktemp("engines")
    (folder / "Dockerfile").write_text(DOCKERFILE)
    build_image(made, Recipe(name=IMAGE, dockerfile=folder / "Dockerfile", platform=""), NullProgress())
    yield made
    made.images.remove(IMAGE, force=True)
    made.close()


@pytest.fixture(scope="module")
def shared(client: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all of them see, with the images that cannot be pulled."""
    tools, _ = build_image(client, tools_recipe(Project.find(ROOT), CPU), NullProgress())
    folder = tmp_path_factory.mktemp("shared")
    for parent in (folder, *folder.parents[:2]):
        parent.chmod(0o755)
    for number, ref in enumerate((tools.ref, "debian:trixie-slim")):
        with (folder / f"{number}.tar").open("wb") as file:
            file.writelines(client.images.get(ref).save(named=True))
    return folder


@pytest.fixture
def running(client: Any, shared: Path, request: pytest.FixtureRequest) -> Iterator[tuple[Engine, Any]]:
    one = ENGINES[request.param]
    if not Path("/dev/net/tun").exists() or not Path("/dev/fuse").exists():
        pytest.skip("an engine in a container needs /dev/net/tun and /dev/fuse")
    made = client.api.create_container_from_config(config(IMAGE, one, shared), None)
    container = client.containers.get(made["Id"])
    try:
        container.start()

        def answers() -> bool:
            container.reload()
            if container.status != "running" and b"ermitted" in container.logs():
                pytest.skip(f"no engine may run in a container here: {container.logs(tail=3)!r}")
            assert container.status == "running", container.logs()
            ask = ["docker", "-H", f"unix://{SOCKET}", "version"]
            return bool(container.exec_run(ask).exit_code == 0)

        wait_until(answers, lambda: container.logs(tail=20))
        yield one, container
    finally:
        container.remove(force=True, v=True)
        forget_cgroups()


def forget_cgroups() -> None:
    """Remove the empty cgroups that engines leave."""
    for name in (IMAGE, "libpod_parent"):
        for place in Path("/sys/fs/cgroup").glob(f"*/{name}"):
            for folder, _, _ in os.walk(place, topdown=False):
                with suppress(OSError):
                    Path(folder).rmdir()


def run(container: Any, one: Engine, shared: Path) -> dict[str, Any]:
    """Have Slipway go the whole way beside the engine."""
    home = "/home/me" if one.user else "/root"
    ask = [sys.executable, "-c", "import slipway.api"]
    user = str(one.user)
    if container.exec_run(ask, user=user, environment={"PYTHONPATH": str(ROOT)}).exit_code:
        pytest.skip(f"{sys.executable} does not run in a container of Debian")
    done = container.exec_run(
        [
            sys.executable,
            str(ROOT / "tests/integration/engine_program.py"),
            f"{home}/trial",
            str(shared),
        ],
        user=user,
        environment={
            "DOCKER_HOST": f"unix://{SOCKET}",
            "HOME": home,
            "PYTHONPATH": str(ROOT),
            "PYTHONDONTWRITEBYTECODE": "1",
            "XDG_RUNTIME_DIR": "/run/me" if one.user else "/run",
        },
        demux=True,
    )
    said, errors = (part or b"" for part in done.output)
    assert done.exit_code == 0, (said + errors + container.logs(tail=20)).decode()
    report: dict[str, Any] = json.loads(said)
    return report


@pytest.mark.parametrize("running", ENGINES, indirect=True)
def test_from_a_dockerfile_to_results(running: tuple[Engine, Any], shared: Path) -> None:
    one, container = running
    report = run(container, one, shared)
    print(json.dumps({key: report[key] for key in ("version", "built", "more", "converted")}))
    assert report["built"].endswith("built")
    assert report["again"].endswith("unchanged, nothing built")
    assert report["more"].endswith("built")
    assert report["more again"].endswith("unchanged, nothing built")
    assert report["files"].split("\n") == ["hello there", "15", "FROM nowhere", "a.txt", ""]
    # The token is in no layer nor its history, on no screen and in no file of Slipway's.
    assert report["layers"] == []
    assert "hunter2" not in report["history"]
    assert report["shown"] == []
    assert report["entered"] == 'from the code\nb "c"'
    assert report["copied"] == ["x\n", one.user]
    assert report["owner"] == one.user
    assert "from the code\nhello there" in report["job"]
    assert "COMPLETED" in report["job"]
