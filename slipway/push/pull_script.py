"""The script by which a cluster pulls an image from a registry, and the command that runs it there. Pure."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from slipway.errors import ConfigError
from slipway.host.scratch import Scratch
from slipway.registry.client import Manifest
from slipway.registry.credentials import Credentials
from slipway.registry.reference import Reference
from slipway.resources import Resources
from slipway.scheduler.base import Scheduler
from slipway.site import Site

_MARKS = ("settings", "modules", "before")
# The login node keeps the credentials in a file for as long as the pull lasts. They come on standard input,
# which neither a list of processes nor a login shell's own start sees.
_OUTER = """
mask=$(umask)
umask 077
folder=$1; shift
trap 'rm -rf -- "$folder/login"' EXIT
trap 'exit 129' HUP; trap 'exit 130' INT; trap 'exit 143' TERM; trap '' PIPE
mkdir -- "$folder/login" && cat >"$folder/login/docker-config.json" || exit 1
(trap - PIPE; umask "$mask"; exec "$@") </dev/null || { code=$?; rm -rf -- "$folder"; exit "$code"; }
# Where nobody hears it any more, nobody would come for the image.
echo 2>/dev/null || rm -rf -- "$folder"
"""


@dataclass(frozen=True, kw_only=True)
class Pull:
    """An image that a cluster is to pull.

    Attributes:
        name: the image's name there, by which jobs find it.
        reference: where it is, by digest.
        manifest: what lies there; ``None`` where only the cluster can reach the registry.
        credentials: who one is at the registry, if that is needed.
        https: off for a registry without TLS.
        compression: of the ``.sif`` that is made of a Docker image: ``zstd`` or ``gzip``.
    """

    name: str
    reference: Reference
    manifest: Manifest | None
    credentials: Credentials | None
    https: bool
    compression: str = "zstd"

    @property
    def file_name(self) -> str:
        """The name of the file there, which is of this content and is never made of another."""
        digest = str(self.reference.digest).removeprefix("sha256:")
        # A .sif comes as it is, and zstd is what has always been without a name.
        if self.reference.kind == "docker" and self.compression != "zstd":
            digest = hashlib.sha256(f"{digest} {self.compression}".encode()).hexdigest()
        return f"{self.name}-{digest[:16]}.sif"


def render_pull(site: Site, pull: Pull, scratch: Scratch, template: str) -> str:
    """The text of the script that pulls.

    Raises:
        ConfigError: the template lacks one of its lines ``# @name@``.
    """
    settings = {
        "container": site.container.command,
        "source": pull.reference.uri,
        "cache": str(scratch.root / "cache"),
        "compression": pull.compression,
    }
    options = [] if pull.https else ["--no-https"]
    return fill_script(site, settings, [f"options=({shlex.join(options)})"], template, "cluster/pull.sh")


def fill_script(
    site: Site, settings: Mapping[str, str], more: Sequence[str], template: str, file: str
) -> str:
    """A script of ``cluster/`` with the site's modules and lines, and with settings as variables.

    Raises:
        ConfigError: the template lacks one of its lines ``# @name@``.
    """
    blocks = {
        "settings": [*(f"{name}={shlex.quote(value)}" for name, value in settings.items()), *more],
        "modules": [f"{shlex.join(['module', 'load', name])} || exit" for name in site.modules],
        "before": site.before.splitlines(),
    }
    lines = template.splitlines()
    for name in _MARKS:
        mark = f"# @{name}@"
        if mark not in lines:
            raise ConfigError(f"{file} has no line `{mark}`; put it back where the {name} belong")
        place = lines.index(mark)
        lines[place : place + 1] = blocks[name]
    return "\n".join(lines) + "\n"


def pull_command(
    folder: PurePosixPath, scheduler: Scheduler, job: Resources | None, what: str = "pull"
) -> list[str]:
    """The argv that takes the credentials from standard input and runs the script, in a job if so wanted."""
    inner = ["bash", "-l", str(folder / f"{what}.sh")]
    if job is not None:
        inner = scheduler.run_on_node(f"slipway-{what}", job, inner)
    return ["sh", "-c", _OUTER, "slipway", str(folder), *inner]
