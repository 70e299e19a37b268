"""What a profile's container on this machine is made of: its name, its mounts, its environment. Pure."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from slipway.image.engine import Image
from slipway.local.setting import Mount
from slipway.profile import Profile

HOME = "/home/slipway"
CONFIG = "slipway.local.config"
PROFILE = "slipway.local.profile"
STATE = "slipway.local"
RUN = "slipway.local.run"
DISPLAYS = "/tmp/.X11-unix"  # noqa: S108 - where X has its sockets
_WAIT = ["/bin/sh", "-c", "while :; do sleep 86400; done"]


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What this machine and its engine have to offer.

    Attributes:
        user: ``UID:GID`` of the caller; ``None`` on Windows.
        gpus: how the engine hands on GPUs: ``nvidia``, ``cdi`` or not at all.
        display: the local X display, ``:0``; ``None`` where there is none.
        xauthority: a file with the cookie that this display wants.
        is_podman: the engine is Podman, which knows fewer words of a container's configuration.
    """

    user: str | None
    gpus: str | None = None
    display: str | None = None
    xauthority: Path | None = None
    is_podman: bool = False


@dataclass(frozen=True, kw_only=True)
class LocalContainer:
    """A profile's container on this machine.

    Attributes:
        name: the engine's name for it: two checkouts on one machine have different ones.
        profile: its profile.
        image: the image here.
        mounts: what it sees of this machine.
        environment: of all that runs in it.
        machine: what this machine has to offer.
        state: Slipway's state folder.
    """

    name: str
    profile: Profile
    image: Image
    mounts: tuple[Mount, ...]
    environment: Mapping[str, str]
    machine: Machine
    state: Path
    labels: Mapping[str, str] = field(default_factory=dict)

    def config(self, command: Sequence[str] = _WAIT, *, terminal: bool = False) -> dict[str, Any]:
        """What it is created with, in the words of the engine's own API."""
        ports: dict[str, Any] = {f"{port.there}/tcp": {} for port in self.profile.ports}
        values: dict[str, Any] = {
            "Image": self.image.id,
            "Entrypoint": list(command),
            "Cmd": [],
            "WorkingDir": "/code",
            "User": self.machine.user or "",
            "Env": [f"{name}={value}" for name, value in sorted(self.environment.items())],
            "ExposedPorts": ports,
            "HostConfig": self._host_config(),
        }
        text = json.dumps(values, sort_keys=True)
        digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
        labels = {CONFIG: digest, PROFILE: self.profile.name, STATE: str(self.state)}
        return {**values, "Labels": {**labels, **self.labels}}

    def _host_config(self) -> dict[str, Any]:
        config: dict[str, Any] = {
            # Its first process waits, and would not take in what is left of others.
            "Init": True,
            "Mounts": [_mount(one) for one in self.mounts],
            "Tmpfs": {HOME: self._home_options()},
            "ShmSize": 1 << 30,
            "PortBindings": {
                f"{port.there}/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(port.here)}]
                for port in self.profile.ports
            },
        }
        if self.machine.gpus == "nvidia":
            config["DeviceRequests"] = [{"Count": -1, "Capabilities": [["gpu"]]}]
        elif self.machine.gpus == "cdi":
            config["DeviceRequests"] = [{"Driver": "cdi", "DeviceIDs": ["nvidia.com/gpu=all"]}]
        return config

    def _home_options(self) -> str:
        uid, _, gid = (self.machine.user or "0:0").partition(":")
        if self.machine.is_podman:  # it gives a tmpfs to root alone
            return f"rw,exec,mode={'0700' if uid == '0' else '1777'}"
        return f"rw,exec,mode=0700,uid={uid},gid={gid}"


def container_name(state: Path, profile: str, kind: str = "") -> str:
    """The engine's name for a profile's container."""
    digest = hashlib.sha256(os.fsencode(state.resolve()) + b"\0" + profile.encode()).hexdigest()[:8]
    plain = re.sub(r"[^a-zA-Z0-9_.-]+", "-", profile)
    return f"slipway-local-{plain}-{digest}{kind}"


def _mount(one: Mount) -> dict[str, Any]:
    return {
        "Type": "bind",
        "Source": str(one.here),
        "Target": str(one.there),
        "ReadOnly": not one.writable,
    }
