"""Small disks: in the box, by a container beside it that may mount in its name space, and on this machine."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from slipway.box.container import BOX_IMAGE
from slipway.image.engine import engine
from tests.integration.faults.laptop import Laptop

SCRATCH = "/scratch/researcher"
HOME = "/home/researcher"


def mount_there(laptop: Laptop, script: str) -> None:
    """Run a script in the box as one who may mount, which the box itself may not.

    Raises:
        docker.errors.ContainerError: it did not end well.
    """
    client = engine()
    try:
        client.containers.run(
            BOX_IMAGE,
            ["-t", "1", "-m", "sh", "-euc", script],
            entrypoint="nsenter",
            pid_mode=f"container:{laptop.container.id}",
            cap_add=["SYS_ADMIN", "SYS_PTRACE"],
            security_opt=["seccomp=unconfined", "apparmor=unconfined"],
            remove=True,
        )
    finally:
        client.close()


class SmallDisk:
    """A disk in the box in the place of a folder of the user's, which can be full or read-only.

    Attributes:
        folder: where it lies.
    """

    def __init__(self, laptop: Laptop, folder: str) -> None:
        self.laptop, self.folder = laptop, folder

    def fill(self, pages: int) -> None:
        """Leave so many pages of 4096 bytes."""
        self.laptop.there(
            f"cd {self.folder} && left=$(($(df --output=avail -B4096 . | tail -1) - {pages})); "
            "[ $left -le 0 ] || head -c $((left * 4096)) /dev/zero >.filler"
        )

    def fill_up(self) -> None:
        """Take all that is left, while others write as well."""
        self.laptop.there(f"cat /dev/zero >{self.folder}/.filler 2>/dev/null || true")

    def free(self) -> None:
        """Give back what was taken."""
        self.laptop.there(f"rm -f {self.folder}/.filler")

    def refuse(self) -> None:
        """Be read-only, whoever has a file open."""
        # A disk that is being written to is busy; one that has an error does not ask.
        script = f"mount -o remount,ro {self.folder}"
        for _ in range(200):
            with suppress(Exception):
                return mount_there(self.laptop, script)
            time.sleep(0.05)
        return None

    def accept(self) -> None:
        """Be as before."""
        mount_there(self.laptop, f"mount -o remount,rw {self.folder}")


@contextmanager
def small_disk(laptop: Laptop, size: str, folder: str = SCRATCH) -> Iterator[SmallDisk]:
    """A disk of a size in the place of scratch, with the images and the model run that are there."""
    try:
        mount_there(
            laptop,
            "mkdir -p /var/small; "
            f"mount -t tmpfs -o size={size},uid=1000,gid=1000,mode=755 none /var/small; "
            f"cp -a {folder}/. /var/small/; mount --bind /var/small {folder}",
        )
    except Exception as error:
        pytest.skip(f"the engine lets no container mount in the box: {error}")
    try:
        yield SmallDisk(laptop, folder)
    finally:
        mount_there(laptop, f"umount -l {folder}; umount -l /var/small")


@contextmanager
def small_disk_here(folder: Path, size: str) -> Iterator[None]:
    """A disk of a size on this machine."""
    argv = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=700", "none", str(folder)]
    if os.geteuid() or subprocess.run(argv, capture_output=True, check=False).returncode:
        pytest.skip("only root may mount a small disk, and here it may not")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill_here(folder: Path, pages: int) -> None:
    """Leave so many pages of 4096 bytes."""
    left = shutil.disk_usage(folder).free // 4096 - pages
    if left > 0:
        (folder / ".filler").write_bytes(bytes(left * 4096))


def free_here(folder: Path) -> None:
    """Give back what was taken."""
    (folder / ".filler").unlink(missing_ok=True)


__all__ = ["SmallDisk", "fill_here", "free_here", "small_disk", "small_disk_here"]
