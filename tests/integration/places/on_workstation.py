"""A workstation that is reached by SSH, and may use Docker: a container with this machine's engine.

Its scratch has the same name here, since it is the engine that finds a job's folders.
"""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from slipway.steps.image import build, push
from tests.integration.dask_hosts import USER, Hosts, build_host_image, create_host, write_config
from tests.integration.inside import run_inside
from tests.integration.places.place import Place, checkout
from tests.waiting import PATIENCE_S, wait_until

IMAGE = "slipway-test-workstation"
_UID = 1000
_SOCKET = Path("/var/run/docker.sock")
WORKSTATION = """
scheduler: host
login: {{host: workstation, user: {user}, ssh_config: {config}}}
paths: {{scratch: {scratch}}}
container: {{command: docker}}
places: 4
grace_s: 4
"""


@contextmanager
def docker(folder: Path) -> Iterator[Place]:
    """Jobs in that engine, which gets the image as an archive."""
    keys, scratch = folder.parent / "keys", folder.parent / "scratch"
    keys.mkdir()
    scratch.mkdir()
    shutil.chown(scratch, _UID, _UID)
    argv = ["ssh-keygen", "-q", "-N", "", "-t", "ed25519", "-f", str(keys / "id")]
    subprocess.run(argv, check=True, timeout=PATIENCE_S)
    client = build_host_image()
    binds = [f"{_SOCKET}:{_SOCKET}", f"{shutil.which('docker')}:/usr/bin/docker:ro", f"{scratch}:{scratch}"]
    # A workstation sees the processes of its engine's containers.
    more = {"Binds": binds, "PidMode": "host"}
    container = create_host(client, "workstation", (keys / "id.pub").read_text(), **more)
    try:
        container.start()
        wait_until(lambda: b"Server listening" in container.logs(), container.logs)
        group = str(_SOCKET.stat().st_gid)
        run_inside(container, "groupadd", "--non-unique", "--gid", group, "engine")
        run_inside(container, "usermod", "--append", "--groups", "engine", USER)
        write_config(Hosts(keys, {"workstation": container}))
        text = WORKSTATION.format(user=USER, config=keys / "config", scratch=scratch)
        dockerfile = folder.parent / "Dockerfile"
        # What jobs elsewhere run must not be the image by which this one is known.
        dockerfile.write_text("ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\nLABEL slipway.test=workstation\n")
        overrides = [f"IMAGE={IMAGE}", f"DOCKERFILE={dockerfile}"]
        session, choice = checkout(folder, folder / "state", "workstation", overrides, workstation=text)
        build(session, choice.profile)
        push(session, choice)
        yield Place(session=session, choice=choice)
    finally:
        container.remove(force=True, v=True)
        for image in client.images.list(name=IMAGE):
            client.images.remove(image.id, force=True)
        client.close()
