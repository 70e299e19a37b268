"""What Dask takes for Python on a host: a script that starts the image's. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from slipway.errors import ConfigError
from slipway.site import Site

# What of the host's environment the container gets: Dask's own settings, and what a worker has of its host.
_PASSED = (
    "DASK_INTERNAL_INHERIT_CONFIG",
    "CUDA_VISIBLE_DEVICES",
    "SLURM_JOB_ID",
    "SLURM_CPUS_PER_TASK",
    "SLIPWAY_DASK",
)
# Where the folder of the cluster is in the container.
INSIDE = PurePosixPath("/dask")
PYTHON, ENTRY = "python", "entry"
_TEXT = """#!/bin/bash -l
# Python in the image, as Dask on this host starts it. Written by `invoke dask.up`.
@before@
here=@here@
container=(@container@)
export SLIPWAY_DASK=@cluster@
for name in @passed@; do
    if [ -n "${!name+set}" ]; then export "@prefix@_$name=${!name}"; fi
done
# Dask's SSHCluster reads the hosts' keys by itself, in the container.
if [ -n "${SLIPWAY_DASK_LEADS:-}" ]; then
    if [ -d "$HOME/.ssh" ]; then container+=(--bind "$HOME/.ssh:$HOME/.ssh:ro"); fi
    container+=(--bind "$here:@inside@")
else
    container+=(--bind "$here:@inside@:ro")
fi
# An empty line on standard error is, for SSHCluster, the end of what it has started.
exec "${container[@]}" @image@ /bin/sh -c '. @inside@/@entry@ && exec python3 "$@"' python3 "$@" \\
    2> >(exec grep --line-buffered . >&2)
"""


@dataclass(frozen=True, kw_only=True)
class Wrapper:
    """What the script starts.

    Attributes:
        cluster: the cluster's id, which all of its processes have in their environment.
        folder: of the cluster, on each host.
        image: the image, on each host.
        code: the tree of code there.
        data: the folder of datasets there.
        weights: the folder of weights there.
        home: whether the container gets the user's home folder.
        gpus: whether it gets the host's GPUs.
    """

    cluster: str
    folder: PurePosixPath
    image: PurePosixPath
    code: PurePosixPath
    data: PurePosixPath
    weights: PurePosixPath
    home: bool = False
    gpus: bool = False


def render_wrapper(wrapper: Wrapper, site: Site) -> str:
    """The script's text.

    Raises:
        ConfigError: the site starts containers by something else than Apptainer.
    """
    command = site.container.command
    if command not in ("apptainer", "singularity"):
        raise ConfigError(
            f"{site.file}: container.command is {command}, and Dask's workers are started by apptainer or "
            "singularity; write one of these, or start the cluster in a job (docs/dask.md)"
        )
    modules = [f"{shlex.join(['module', 'load', name])} || exit" for name in site.modules]
    values = {
        "before": "\n".join([*modules, *site.before.splitlines()]),
        "here": shlex.quote(str(wrapper.folder)),
        "container": shlex.join(_container(wrapper, site)),
        "cluster": wrapper.cluster,
        "passed": " ".join(_PASSED),
        "prefix": f"{command.upper()}ENV",
        "inside": str(INSIDE),
        "image": shlex.quote(str(wrapper.image)),
        "entry": ENTRY,
    }
    return re.sub(r"@(\w+)@", lambda found: values[found[1]], _TEXT)


def _container(wrapper: Wrapper, site: Site) -> Sequence[str]:
    binds = (
        f"{wrapper.code}:/code:ro",
        f"{wrapper.data}:/data:ro",
        f"{wrapper.weights}:/weights:ro",
        *site.container.binds,
    )
    return [
        site.container.command,
        "exec",
        "--cleanenv",
        *([] if wrapper.home else ["--no-home"]),
        "--pwd",
        "/code",
        *(["--nv"] if wrapper.gpus else []),
        *site.container.flags,
        *(word for bind in binds for word in ("--bind", bind)),
    ]


def render_entry(environment: Mapping[str, str]) -> str:
    """What the container's shell reads before it starts Python: the profile's variables, and Dask's own.

    SSHCluster knows by what is logged on the level `info` that a worker runs.
    """
    own = {"DASK_LOGGING__DISTRIBUTED": "info"}
    lines = [f"export {name}={shlex.quote(value)}" for name, value in {**environment, **own}.items()]
    # /code is read-only, and what starts in it would put its files there.
    lines.append("export DASK_TEMPORARY_DIRECTORY=${DASK_TEMPORARY_DIRECTORY:-/tmp}")
    lines.append(f"export PYTHONPATH={INSIDE}${{PYTHONPATH:+:$PYTHONPATH}}")
    return "\n".join([*lines, ""])
