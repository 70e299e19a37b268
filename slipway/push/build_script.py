"""The script by which a cluster builds an image, and what is made of what it leaves."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from slipway.errors import ConversionError, ImageError, RemoteError, RemoteSpaceError
from slipway.host.scratch import Scratch
from slipway.jsontext import load_json
from slipway.push.pull_script import fill_script
from slipway.sif.definition.base import FOLDER
from slipway.sif.definition.definition import Definition
from slipway.sif.definition.generated import hash_files
from slipway.sif.definition.make import explain_definition
from slipway.site import Site

_MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}
_NOT_FOUND, _OTHER_MACHINE, _NO_NAMESPACE = 127, 65, 66
_FULL = re.compile(r"no space left on device|disk quota exceeded", re.I)
_UNREACHABLE = re.compile(r"dial tcp|no such host|i/o timeout|connection refused|Temporary failure", re.I)
_ONE_ID = re.compile(r"setgroups|seteuid|chown.*(Invalid argument|not permitted)", re.I)
_HERE = "`invoke sif --from-def` builds it on this machine, and `invoke push` sends it"


@dataclass(frozen=True, kw_only=True)
class SentBase:
    """A file of an image that a definition starts from, which the cluster keeps for other builds.

    Attributes:
        file: the file here.
        place: where the definition has it, in the build's folder.
        sha256: of the file, in hex.
        path: where the cluster keeps it.
    """

    file: Path
    place: str
    sha256: str
    path: PurePosixPath


def find_sent_bases(definition: Definition, scratch: Scratch, memory: Path) -> list[SentBase]:
    """The files of images that a definition starts from; ``memory`` is the folder of remembered hashes."""
    found = []
    for one in definition.files:
        if one.place.startswith(f"{FOLDER}/") and one.path is not None and one.path.is_file():
            digest = hash_files(one.path.parent, [one.path.name], memory)[one.path.name]
            path = scratch.root / "cache" / f"base-{digest[:16]}"
            found.append(SentBase(file=one.path, place=one.place, sha256=digest, path=path))
    return found


def render_build(
    site: Site,
    definition: Definition,
    bases: Sequence[SentBase],
    scratch: Scratch,
    compression: str,
    template: str,
) -> str:
    """The text of the script that builds.

    Raises:
        ConfigError: the template lacks one of its lines ``# @name@``.
    """
    machine = definition.platform.partition("/")[2]
    links = shlex.join(f"{one.place}={one.path}" for one in bases)
    settings = {
        "container": site.container.command,
        "cache": str(scratch.root / "cache"),
        "compression": compression,
        "machine": _MACHINES.get(machine, machine),
    }
    return fill_script(site, settings, [f"bases=({links})"], template, "cluster/build.sh")


def explain_failure(
    target: str, code: int, lines: Sequence[str], definition: Definition
) -> ConversionError | RemoteError | ImageError:
    """The error for a build that failed there, by its exit code and what it said."""
    last = list(dict.fromkeys(line for line in lines if not line.startswith("INFO:")))[-12:]
    words = "".join(f"\n  {line}" for line in last) or "\n  it said nothing"
    begun = f"{target} could not build {definition.name}, and nothing of it was left there"
    if code == _NOT_FOUND:
        return RemoteError(f"{begun}:{words}")
    if code == _OTHER_MACHINE:
        return ImageError(f"{begun}:{words}\nset PLATFORM in the profile")
    if code == _NO_NAMESPACE:
        return RemoteError(f"{begun}:{words}\nonly its administrators can change that; {_HERE}")
    text = "\n".join(lines)
    if _FULL.search(text):
        return RemoteSpaceError(f"{begun}, since there is not enough room:{words}")
    error = ConversionError(f"{begun} (exit code {code}):{words}")
    if _UNREACHABLE.search(text):
        error = ConversionError(
            f"{error}\nnodes that jobs run on often reach nothing outside: leave out --as-job, or name a "
            "file of the base image in BASES"
        )
    elif _ONE_ID.search(text):
        error = ConversionError(
            f"{error}\nthe build has one user id there, and nothing can be given to another user, which "
            f"packages often want: that takes a range of ids in its /etc/subuid, or the program "
            f"`fakeroot`; {_HERE}"
        )
    return explain_definition(error, list(lines), definition)


def parse_facts(inspected: bytes | None, environment: bytes | None) -> dict[str, Any]:
    """What was found in an image there, as :func:`slipway.sif.check.compare` takes it."""
    try:
        labels = load_json(inspected or b"")["data"]["attributes"]["labels"]
    except (ValueError, KeyError, TypeError):
        labels = None
    facts: dict[str, Any] = {"labels": labels, "runscript": "", "config": None, "attempt": "--fakeroot"}
    if environment is None:
        return {**facts, "environment": None, "why_not_run": "it did not start there"}
    words = environment.decode("utf-8", "surrogateescape").split("\0")
    return {**facts, "environment": [word for word in words if word]}
