"""OpenPBS as a place: server, scheduler and node in one container, of an image that was built by hand."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from slipway.image.engine import engine
from slipway.steps.image import build, push
from tests.integration.inside import run_inside
from tests.integration.places.place import Place, checkout
from tests.integration.sshd_containers import published
from tests.waiting import wait_until

# tests/integration/pbs/Dockerfile says how it is built.
VARIABLE = "SLIPWAY_PBS_IMAGE"
IMAGE = "slipway-test-pbs-program"
START = Path(__file__).parents[1] / "pbs" / "start"
SITE = """
scheduler: pbs
login: {{host: pbs, ssh_config: {folder}/ssh_config}}
paths: {{scratch: $SCRATCH}}
"""
CONFIG = """
Host pbs
    HostName 127.0.0.1
    Port {port}
    User researcher
    IdentityFile {folder}/key
    UserKnownHostsFile {folder}/known_hosts
"""


@contextmanager
def openpbs(folder: Path) -> Iterator[Place]:
    """OpenPBS, where there is an image of it. Nothing in it limits memory."""
    image = os.environ.get(VARIABLE)
    if not image:
        pytest.skip(f"{VARIABLE} names no image with OpenPBS; tests/integration/pbs/Dockerfile builds one")
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder.parent / "key"], check=True)
    container = _create(image, (folder.parent / "key.pub").read_text().strip())
    dockerfile = folder.parent / "Dockerfile"
    dockerfile.write_text("ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\nLABEL slipway.test=pbs\n")
    try:
        _start(container)
        _write_config(container, folder.parent)
        overrides = [f"IMAGE={IMAGE}", f"DOCKERFILE={dockerfile}"]
        text = SITE.format(folder=folder.parent)
        session, choice = checkout(folder, folder.parent / "state", "pbs", overrides, pbs=text)
        build(session, choice.profile)
        push(session, choice)
        # PBS looks for what is over its limit every few seconds.
        yield Place(session=session, choice=choice, limit="1", limits_memory=False)
        engine().images.remove(IMAGE)
    finally:
        container.remove(force=True, v=True)


def _create(image: str, key: str) -> Any:
    client = engine()
    config = {
        "Image": image,
        "Cmd": ["bash", "-c", START.read_text()],
        "Hostname": "pbs",
        "Env": [f"PUBLIC_KEY={key}"],
        "ExposedPorts": {"22/tcp": {}},
        "HostConfig": {
            "Init": True,
            "CapAdd": ["SYS_PTRACE"],
            # As for the box: Apptainer without root makes user namespaces, and mounts in them.
            "SecurityOpt": ["seccomp=unconfined"],
            "MaskedPaths": [],
            "ReadonlyPaths": [],
            "Devices": [
                {"PathOnHost": "/dev/fuse", "PathInContainer": "/dev/fuse", "CgroupPermissions": "rwm"}
            ],
            "PortBindings": {"22/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}]},
        },
    }
    return client.containers.get(client.api.create_container_from_config(config)["Id"])


def _start(container: Any) -> None:
    container.start()

    def ready() -> bool:
        container.reload()
        assert container.status == "running", container.logs().decode()
        return b"Server listening" in container.logs()

    wait_until(ready, container.logs)


def _write_config(container: Any, folder: Path) -> None:
    port = published(container, 22)
    host_key = run_inside(container, "cat", "/etc/ssh/ssh_host_ed25519_key.pub").output.decode()
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {' '.join(host_key.split()[:2])}\n")
    (folder / "ssh_config").write_text(CONFIG.format(port=port, folder=folder))
