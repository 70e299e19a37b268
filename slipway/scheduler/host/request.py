"""What a job asks the queue of a host for. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

from slipway.errors import JobError
from slipway.quantity import mebibytes, minutes, parse_array
from slipway.resources import Resources
from slipway.scheduler.host.site import HostSite

_CONDITION = re.compile(r"(?:after|afterany|afterok|afternotok)(?::[0-9]+)+")


def options(*, name: str, log: PurePosixPath, resources: Resources, site: HostSite) -> list[str]:
    """What is asked for, as words ``--key=value``; a job script has them as comments.

    Raises:
        JobError: a single machine cannot do that.
    """
    if (resources.nodes or 1) > 1:
        raise JobError(
            f"{resources.nodes} nodes are asked for, and {site.name} is one machine; leave --nodes out"
        )
    named = {
        "time": resources.time,
        "cpus": resources.cpus,
        "mem": resources.mem,
        "gpus": resources.gpus if resources.gpu_count else None,
        "array": resources.array,
        "dependency": resources.dependency,
        "places": site.places,
    }
    found = [f"--name={name}", f"--log={log}", f"--grace={site.grace_s}"]
    return found + [f"--{key}={value}" for key, value in named.items() if value is not None]


def parse_options(words: list[str]) -> dict[str, str]:
    """The words of :func:`options`, by their keys."""
    pairs = (word.removeprefix("--").partition("=") for word in words)
    return {key: value for key, _, value in pairs}


def wanted(script: PurePosixPath, words: list[str]) -> dict[str, Any]:
    """The same for the queue's program: numbers in its units.

    Raises:
        JobError: a dependency is of a kind that only SLURM has.
    """
    asked = parse_options(words)
    array, dependency = asked.get("array"), asked.get("dependency")
    own = Resources(gpus=asked.get("gpus"))
    limit_min = minutes(asked["time"]) if "time" in asked else float("inf")
    return {
        "name": asked["name"],
        "script": str(script),
        "log": asked["log"],
        "grace_s": int(asked["grace"]),
        "time_s": None if limit_min == float("inf") else round(limit_min * 60),
        "cpus": int(asked["cpus"]) if "cpus" in asked else None,
        "mem_mib": round(mebibytes(asked["mem"])) or None if "mem" in asked else None,
        "gpus": own.gpu_count,
        "gpu_type": own.gpu_type,
        "tasks": parse_array(array) if array else [],
        "throttle": int(array.partition("%")[2]) if array and "%" in array else None,
        "dependency": _dependency(dependency) if dependency else None,
        "places": int(asked["places"]) if "places" in asked else None,
    }


def _dependency(written: str) -> str:
    parts = written.split(",")
    for part in parts:
        if not _CONDITION.fullmatch(part):
            raise JobError(
                f"dependency {written}: a host knows after, afterany, afterok and afternotok, with ids of "
                "whole jobs, such as afterok:12, and commas between them"
            )
    return written


def unused(resources: Resources) -> Iterator[str]:
    """What a profile or a command line asks for that a host has nothing of, in words."""
    for key in ("partition", "account", "qos", "constraint", "exclusive"):
        value = getattr(resources, key, None)
        if value:
            yield f"{key} {value}" if value is not True else key
    yield from getattr(resources, "sbatch", ())
    yield from getattr(resources, "qsub", ())
