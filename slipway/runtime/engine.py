"""What Docker and Podman are told alike. Pure."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Sequence
from pathlib import PurePosixPath

from slipway.runtime.base import ARCHIVE, Image, Mount, Wanted

# The home folder of a program that does not get the user's; each container has one of its own.
_HOME = "/home/slipway"


def engine_words(wanted: Wanted) -> list[str]:
    """The options of ``run`` that both have; the user, GPUs and the container's name are added on the node.

    Network and shared memory are the node's, as they are with Apptainer: ports can be reached, and PyTorch's
    workers have room in ``/dev/shm``.
    """
    mounts = [word for mount in wanted.mounts for word in ("--mount", _mount(mount))]
    binds = [word for bind in wanted.binds for word in ("--volume", bind)]
    home = [] if wanted.home else ["--tmpfs", f"{_HOME}:exec,mode=1777", "--env", f"HOME={_HOME}"]
    return [
        "--rm",
        "--init",
        "--interactive",
        "--pull=never",
        "--network=host",
        "--ipc=host",
        # Where SELinux is on, folders of this user's could not be read.
        "--security-opt=label=disable",
        "--no-healthcheck",
        "--log-driver=none",
        "--workdir=/code",
        *home,
        *wanted.flags,
        *mounts,
        *binds,
    ]


def engine_settings(engine: str, wanted: Wanted, image: Image) -> list[str]:
    """The lines of a job's script that ``cluster/job/engine.sh`` reads."""
    return [
        f"engine={engine}",
        f"image_id={shlex.quote(image.image_id)}",
        f"image_tag={shlex.quote(engine_tag(image.path))}",
        f"with_gpus={'yes' if wanted.gpus else ''}",
        f"with_home={'yes' if wanted.home else ''}",
    ]


def engine_tag(path: PurePosixPath) -> str:
    """What an engine there calls the image of a file: its name, what is in it, and where it lies.

    Two who share an engine and not a scratch do not remove each other's.
    """
    name, _, digest = path.stem.rpartition("-")
    if path.suffix == ARCHIVE.link:
        # A preview does not know which image will be the newest.
        name, digest = path.stem, "newest"
    place = hashlib.sha256(str(path.parent).encode()).hexdigest()[:8]
    return f"{name}:{digest}-{place}"


def admit_command(engine: str, image: Image) -> list[str]:
    """Have the engine there know an image by its own tag, and load it where it is not there yet.

    It ends with :data:`NOT_THERE` where the engine does not have it, and there is nothing to load it from.
    """
    return [
        *("sh", "-c", _ADMIT, "slipway", engine),
        *(image.image_id, engine_tag(image.path), str(image.path)),
    ]


def forget_command(engine: str, paths: Sequence[PurePosixPath]) -> list[str]:
    """Have the engine there forget images whose files are gone; what has another name or is in use stays."""
    return ["sh", "-c", _FORGET, "slipway", engine, *map(engine_tag, paths)]


def try_engine_lines(engine: str, command: str, inside: str, more: str) -> str:
    """See :meth:`slipway.runtime.base.Runtime.try_lines`; ``more`` are words on users and GPUs."""
    return f"""id=$(sed -n 's/.*"image_id": "\\([^"]*\\)".*/\\1/p' "$image.json")
{engine} image inspect "$id" >/dev/null 2>&1 || {engine} load --quiet --input "$image" >/dev/null || exit
exec {command} {more} --mount "type=bind,source=$here,target=/out" --entrypoint /bin/sh "$id" -c {inside}"""


NOT_THERE = 3
# As in cluster/job/engine.sh.
_ADMIT = f"""
engine=$1 id=$2 tag=$3 file=$4
has() {{ "$engine" image inspect "$1" >/dev/null 2>&1; }}
if has "$tag"; then exit 0; fi
if ! has "$id"; then
    case $file in *.tar) ;; *) exit {NOT_THERE} ;; esac
    loaded=$("$engine" load --quiet --input "$file") || exit
    has "$id" || id=${{loaded##* }}
fi
"$engine" tag "$id" "$tag"
"""
_FORGET = """
engine=$1
shift
for tag; do "$engine" rmi "$tag" >/dev/null 2>&1; done
true
"""


def _mount(mount: Mount) -> str:
    return f"type=bind,source={mount.source},target={mount.target}" + (",readonly" if mount.read_only else "")
