"""What a profile says of its container on this machine: mounts and ports. Pure."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from slipway.tilde import expand

# What a job has there, and what a mount would take away.
OWN = ("/code", "/data", "/weights", "/out", "/previous", "/cache")


@dataclass(frozen=True, kw_only=True)
class Mount:
    """A folder or file of this machine, and where the container has it."""

    here: Path
    there: PurePosixPath
    writable: bool = False


@dataclass(frozen=True, kw_only=True)
class Port:
    """A port in the container, and the one of this machine's 127.0.0.1 that leads there."""

    here: int
    there: int


def parse_mount(word: str, folder: Path) -> Mount:
    """Read ``HERE:THERE``, ``HERE:THERE:ro`` or ``HERE:THERE:rw``.

    Args:
        word: the word.
        folder: what a relative ``HERE`` starts from.

    Raises:
        ValueError: it is of another form.
    """
    parts = word.split(":")
    mode = parts.pop() if len(parts) > 2 and parts[-1] in ("ro", "rw") else "ro"
    here, there = ":".join(parts[:-1]), PurePosixPath(parts[-1])
    if not here or not there.is_absolute() or ".." in there.parts or there == PurePosixPath("/"):
        raise ValueError(
            f"{word!r:.200} is no mount; write HERE:/THERE, or HERE:/THERE:rw to have it written to"
        )
    if str(there) in OWN:
        raise ValueError(f"{word!r:.200}: {there} is the job's own; mount it at another place")
    path = os.path.normpath(folder / expand(here))
    return Mount(here=Path(path), there=there, writable=mode == "rw")


def parse_port(word: str, folder: Path) -> Port:
    """Read ``PORT`` or ``HERE:THERE``.

    Raises:
        ValueError: it is of another form.
    """
    if not re.fullmatch(r"[0-9]{1,5}(:[0-9]{1,5})?", word):
        raise ValueError(
            f"{word!r:.200} is no port; write a number such as 8888, or HERE:THERE such as 9000:8888"
        )
    here, _, there = word.partition(":")
    numbers = int(here), int(there or here)
    if not all(0 < number < 65536 for number in numbers):
        raise ValueError(f"{word!r}: ports are numbers from 1 to 65535")
    return Port(here=numbers[0], there=numbers[1])
