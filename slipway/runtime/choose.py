"""Which container runtime a site has."""

from __future__ import annotations

from slipway.runtime.apptainer import Apptainer
from slipway.runtime.base import Runtime
from slipway.runtime.docker import Docker
from slipway.runtime.enroot import Enroot
from slipway.runtime.inside import Inside
from slipway.runtime.podman import Podman
from slipway.runtime.pyxis import Pyxis

_RUNTIMES: dict[str, Runtime] = {
    "apptainer": Apptainer("apptainer"),
    "singularity": Apptainer("singularity"),
    "inside": Inside(),
    "docker": Docker(),
    "podman": Podman(),
    "enroot": Enroot(),
    "pyxis": Pyxis(),
}


def find_runtime(command: str) -> Runtime:
    """The runtime of this name, as ``container.command`` in a site's file has it."""
    return _RUNTIMES[command]
