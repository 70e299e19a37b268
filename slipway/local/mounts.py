"""What a profile's container sees of this machine, and its environment: as a job has it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from slipway.errors import ConfigError
from slipway.local.setting import Mount
from slipway.local.spec import DISPLAYS, HOME, Machine
from slipway.profile import Profile

_PROXIES = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
DATA = PurePosixPath("/data")
_XAUTHORITY = PurePosixPath("/run/slipway-xauthority")


class LocalFolders:
    """Where the files of a profile's container lie on this machine, in Slipway's state folder."""

    def __init__(self, state: Path, profile: str) -> None:
        self.folder = state / "local" / profile
        self.out = self.folder / "out"
        # In the place of data or weights that are not there.
        self.empty = state / "local" / ".empty"
        self.caches = state / "local" / ".cache"


def find_mounts(
    profile: Profile, root: Path, folders: LocalFolders, machine: Machine, *, code: Path, out: Path
) -> tuple[Mount, ...]:
    """The mounts; folders that have to be there and are Slipway's own are made.

    Args:
        profile: the profile.
        root: the project.
        folders: Slipway's own here.
        machine: what this machine has to offer.
        code: what is seen as ``/code``.
        out: what is seen as ``/out``.

    Raises:
        ConfigError: what the profile names is not there.
    """
    data = _folder(profile, "DATA_DIR", profile.data_dir, root / "data", folders)
    weights = _folder(profile, "WEIGHTS_DIR", profile.weights_dir, root / "weights", folders)
    out.mkdir(parents=True, exist_ok=True)
    mounts = [
        Mount(here=code, there=PurePosixPath("/code")),
        Mount(here=data, there=DATA),
        Mount(here=weights, there=PurePosixPath("/weights")),
        Mount(here=out, there=PurePosixPath("/out"), writable=True),
    ]
    if profile.cache:
        cache = folders.caches / profile.cache
        cache.mkdir(parents=True, exist_ok=True)
        mounts.append(Mount(here=cache, there=PurePosixPath("/cache"), writable=True))
    if machine.display:
        mounts.append(Mount(here=Path(DISPLAYS), there=PurePosixPath(DISPLAYS)))
    if machine.xauthority:
        mounts.append(Mount(here=machine.xauthority, there=_XAUTHORITY))
    for one in profile.mounts:
        if not one.here.exists():
            raise ConfigError(f"{_origin(profile, 'MOUNTS')}: {one.here} is not there")
    return (*mounts, *profile.mounts)


def environment(profile: Profile, machine: Machine) -> Mapping[str, str]:
    """The environment of all that runs in the container, beside the image's own."""
    values = {name: os.environ[name] for name in _PROXIES if os.environ.get(name)}
    if profile.cache:
        values["XDG_CACHE_HOME"] = "/cache"
    if machine.display:
        values["DISPLAY"] = machine.display
    if machine.xauthority:
        values["XAUTHORITY"] = str(_XAUTHORITY)
    return {"HOME": HOME, **values, **profile.environment, "SLIPWAY_OUT": "/out"}


def _folder(profile: Profile, key: str, named: Path | None, usual: Path, folders: LocalFolders) -> Path:
    if named is not None:
        if not named.is_dir():
            raise ConfigError(f"{_origin(profile, key)}: {key}={named}, which is not a folder")
        return named
    if usual.is_dir():
        return usual
    folders.empty.mkdir(parents=True, exist_ok=True)
    return folders.empty


def _origin(profile: Profile, key: str) -> str:
    return profile.origins.get(key, "the profile")
