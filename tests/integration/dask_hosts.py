"""Hosts of a lab as containers: OpenSSH and Apptainer, no scheduler, and nothing that they share."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slipway.image.base import ensure_base
from slipway.image.build import build_image
from slipway.image.engine import engine, find_image
from slipway.image.recipe import Recipe
from slipway.profile import load_profile
from slipway.progress import NullProgress
from slipway.project import Project
from slipway.sif.kept import Sif
from slipway.sif.store import make_sif, tools_recipe
from tests.integration.inside import run_inside
from tests.waiting import PATIENCE_S, wait_until

ROOT = Path(__file__).parents[2]
HOST_IMAGE, IMAGE = "slipway-test-dask-host", "slipway-test-dask"
USER = "researcher"
SCRATCH = "/scratch/researcher"
# Apptainer without root, as in the box: see slipway.box.spec.
_FUSE = {"PathOnHost": "/dev/fuse", "PathInContainer": "/dev/fuse", "CgroupPermissions": "rwm"}
_HOST_CONFIG: dict[str, Any] = {
    "PortBindings": {"22/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}]},
    "Init": True,
    "SecurityOpt": ["seccomp=unconfined", "apparmor=unconfined", "label=disable"],
    "MaskedPaths": [],
    "ReadonlyPaths": [],
    "Devices": [_FUSE],
}
_START = """
chmod 666 /dev/fuse
ssh-keygen -A >/dev/null
printf '%s\\n' "$AUTHORIZED" >/home/researcher/.ssh/authorized_keys
chown -R researcher: /home/researcher/.ssh
chmod 600 /home/researcher/.ssh/authorized_keys
exec /usr/sbin/sshd -D -e
"""


def build_host_image() -> Any:
    """The image of the hosts; returns the engine."""
    client = engine()
    profile = load_profile(ROOT / "env", "cpu")
    ensure_base(client, profile.base_image, profile.debian_mirror, NullProgress())
    project = Project(root=ROOT, state=ROOT / ".slipway", results=ROOT / "results")
    build_image(client, tools_recipe(project, profile), NullProgress())
    _build(client, HOST_IMAGE, "hosts", {})
    return client


def build_images() -> Any:
    """The image of the hosts, and the one that Dask runs in; returns the engine."""
    client = build_host_image()
    _build(client, IMAGE, "image", dict(load_profile(ROOT / "env", "cpu").build_args))
    return client


def _build(client: Any, name: str, folder: str, args: dict[str, str]) -> None:
    dockerfile = ROOT / "tests" / "integration" / "dask" / folder / "Dockerfile"
    build_image(
        client, Recipe(name=name, dockerfile=dockerfile, platform="", build_args=args), NullProgress()
    )


def make_image(client: Any, project: Project) -> Sif:
    """The image that Dask runs in, for Apptainer."""
    image = find_image(client, IMAGE)
    assert image is not None
    profile = load_profile(ROOT / "env", "cpu")
    return make_sif(client, image, project, tools_recipe(project, profile), NullProgress())[0]


@dataclass(frozen=True)
class Hosts:
    """The hosts, by their names, and a folder with what leads to them."""

    state: Path
    containers: dict[str, Any]

    @property
    def names(self) -> list[str]:
        return [*self.containers]

    def sh(self, name: str, script: str) -> str:
        """Run a script on one of them as its user."""
        done = run_inside(self.containers[name], "su", "-s", "/bin/sh", USER, "-c", script)
        text: str = done.output.decode(errors="replace")
        return text

    def site_text(self, **others: str) -> str:
        """A site's file for them."""
        first, *rest = self.names
        login = f"user: {USER}, ssh_config: {self.state}/config"
        lines = [
            f"login: {{host: {first}, {login}, address: '{first}:22'}}",
            "hosts:",
            *(f"  - {{host: {name}, {login}, address: '{name}:22'}}" for name in rest),
            f"paths: {{scratch: {SCRATCH}}}",
            *(f"{key}: {value}" for key, value in others.items()),
        ]
        return "".join(f"{line}\n" for line in lines)


@contextmanager
def open_hosts(state: Path, count: int = 4) -> Iterator[Hosts]:
    """So many hosts, for as long as they are wanted.

    Args:
        state: an empty folder for keys and the ssh_config.
        count: how many.
    """
    client = build_images()
    argv = ["ssh-keygen", "-q", "-N", "", "-t", "ed25519", "-f", str(state / "id")]
    subprocess.run(argv, check=True, timeout=PATIENCE_S)
    network = client.networks.create(f"{HOST_IMAGE}-{os.getpid()}")
    made: dict[str, Any] = {}
    try:
        for name in [f"gpu{number}" for number in range(1, count + 1)]:
            made[name] = create_host(client, name, (state / "id.pub").read_text())
            client.networks.get("bridge").disconnect(made[name])
            network.connect(made[name], aliases=[name])
            made[name].start()
        wait_until(
            lambda: all(b"Server listening" in one.logs() for one in made.values()),
            lambda: [one.logs() for one in made.values()],
        )
        hosts = Hosts(state, made)
        write_config(hosts)
        yield hosts
    finally:
        for container in made.values():
            container.remove(force=True, v=True)
        network.remove()
        client.close()


def create_host(client: Any, name: str, authorized: str, **more: Any) -> Any:
    """The container of one host, not started yet.

    Args:
        client: the engine.
        name: the host's.
        authorized: the public key that may log in.
        more: of its ``HostConfig``.
    """
    config = {
        "Image": HOST_IMAGE,
        "Hostname": name,
        "Entrypoint": ["/bin/bash", "-c", _START],
        "Env": [f"AUTHORIZED={authorized}"],
        "ExposedPorts": {"22/tcp": {}},
        "HostConfig": {**_HOST_CONFIG, **more},
    }
    return client.containers.get(client.api.create_container_from_config(config)["Id"])


def write_config(hosts: Hosts) -> None:
    """An ssh_config that leads to each of them, whose keys are known."""
    blocks, known = [], []
    for name, container in hosts.containers.items():
        container.reload()
        port = container.ports["22/tcp"][0]["HostPort"]
        blocks.append(f"Host {name}\n    HostName 127.0.0.1\n    Port {port}\n    HostKeyAlias {name}\n")
        key = run_inside(container, "cat", "/etc/ssh/ssh_host_ed25519_key.pub").output.decode()
        known.append(f"{name} {' '.join(key.split()[:2])}\n")
    (hosts.state / "known_hosts").write_text("".join(known))
    (hosts.state / "config").write_text(
        "".join(blocks)
        + f"Host *\n    User {USER}\n    IdentityFile {hosts.state}/id\n    IdentitiesOnly yes\n"
        f"    UserKnownHostsFile {hosts.state}/known_hosts\n    GlobalKnownHostsFile none\n"
    )
