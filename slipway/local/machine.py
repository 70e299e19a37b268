"""What this machine and its engine have to offer a container: a user, GPUs, a display."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from slipway.image.engine import container_user, is_podman
from slipway.local.spec import DISPLAYS, Machine

if TYPE_CHECKING:
    from docker import DockerClient

_DEVICES = ("/dev/nvidiactl", "/dev/dxg")
_CDI = ("/etc/cdi", "/var/run/cdi")
_PATIENCE_S = 10


def find_machine(client: DockerClient, folder: Path, note: Callable[[str], None], *, x11: bool) -> Machine:
    """What there is.

    Args:
        client: the engine.
        folder: where a cookie for the display may be put.
        note: is told why there is no display, where one is wanted.
        x11: whether one is wanted.
    """
    info = client.info()
    display = find_display(note) if x11 else None
    return Machine(
        user=container_user(client),
        is_podman=is_podman(client),
        gpus=_gpus(info.get("Runtimes") or {}),
        display=display,
        xauthority=_cookie(display, folder) if display else None,
    )


def find_display(note: Callable[[str], None]) -> str | None:
    """The X display of this machine that a container can be shown on, or ``None``, and why."""
    name = os.environ.get("DISPLAY", "")
    local = re.fullmatch(r"(?:unix)?:(\d{1,5})(?:\.\d+)?", name)
    if local is None:
        why = f"DISPLAY={name} is no display of this machine" if name else "DISPLAY is not set"
        note(f"X11=yes, but {why}; programs in the container have no display")
        return None
    if not Path(DISPLAYS, f"X{local[1]}").exists():
        note(f"X11=yes, but {DISPLAYS}/X{local[1]} is not there; programs in the container have no display")
        return None
    return f":{local[1]}"


def _gpus(runtimes: Mapping[str, object]) -> str | None:
    if not any(Path(device).exists() for device in _DEVICES):
        return None
    if "nvidia" in runtimes:
        return "nvidia"
    return "cdi" if any(any(Path(folder).glob("nvidia*")) for folder in _CDI) else None


def _cookie(display: str, folder: Path) -> Path | None:
    """A file with the display's cookie, for any host's name: the container has another one."""
    if shutil.which("xauth") is None:
        return None
    file = folder / "xauthority"
    with suppress(OSError, subprocess.SubprocessError):
        listed = subprocess.run(
            ["xauth", "nlist", display], capture_output=True, timeout=_PATIENCE_S, check=True
        ).stdout
        cookies = re.sub(rb"^....", b"ffff", listed, flags=re.MULTILINE)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch(mode=0o600)
        subprocess.run(
            ["xauth", "-f", str(file), "nmerge", "-"],
            input=cookies,
            capture_output=True,
            timeout=_PATIENCE_S,
            check=True,
        )
        return file
    return None
