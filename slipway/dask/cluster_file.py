"""GTSfM's ``cluster.yaml``, and files like it: the hosts of a Dask cluster, the first one its scheduler.

What GTSfM has of them (``gtsfm/configs`` in its repository, and ``docs/deployment/CLUSTER.md``)::

    workers:                            workers:
      - host1.cc.gatech.edu               - host: localhost
      - host2.cc.gatech.edu                 gpus: 1
                                            system_memory: "10GB"

and, beside such workers, ``username``, and ``scheduler`` with its ``port`` and the ``dashboard``'s.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from slipway.errors import ConfigError
from slipway.yaml_file import read_keys

_EXPECTED = "expected `workers`, a list of hosts, as GTSfM's cluster.yaml has it"
_HOST = re.compile(r"[A-Za-z0-9_][\w.-]*")
_MEMORY = re.compile(r"(\d{1,12}) ?([KMGT])i?B?|(\d{1,15}) ?B?", re.IGNORECASE)
# What of a worker's entry is not ours to know, and does no harm.
_OTHERS = frozenset({"use_ucx", "gpu_memory_pool"})


@dataclass(frozen=True, kw_only=True)
class ClusterFile:
    """What such a file says, in the words of a site's file.

    Attributes:
        logins: the hosts, each once, as ``login`` and ``hosts`` have them.
        options: what the file says of workers, as ``dask`` has it.
    """

    logins: tuple[Mapping[str, Any], ...]
    options: Mapping[str, Any] = field(default_factory=dict)


def read_cluster_file(file: Path) -> ClusterFile:
    """Read one.

    Raises:
        ConfigError: it cannot be read, or is another file.
    """
    content = read_keys(file, _EXPECTED)
    workers = content.get("workers")
    if not isinstance(workers, list) or not workers:
        raise ConfigError(f"{file}: workers: {_EXPECTED}; it is {workers!r:.200}")
    entries = [_entry(file, place, one) for place, one in enumerate(workers)]
    user = content.get("username")
    if user is not None and not isinstance(user, str):
        raise ConfigError(f"{file}: username: write a user's name; it is {user!r:.200}")
    own = {"user": user} if user else {}
    counts = Counter(one["host"] for one in entries)
    if len(set(counts.values())) > 1:
        said = ", ".join(f"{host:.99} {count} times" for host, count in [*counts.items()][:20])
        raise ConfigError(
            f"{file}: workers: {said}; "
            "a host that is written several times has so many workers, and here each has equally many"
        )
    return ClusterFile(
        logins=tuple({"host": host, **own} for host in counts),
        options={**_worker_options(file, entries, max(counts.values())), **_ports(file, content)},
    )


def _entry(file: Path, place: int, one: object) -> dict[str, Any]:
    entry = {"host": one} if isinstance(one, str) else one
    host = entry.get("host") if isinstance(entry, dict) else None
    if not isinstance(entry, dict) or not isinstance(host, str) or not _HOST.fullmatch(host):
        raise ConfigError(
            f"{file}: workers[{place}]: write a host's name, or host: NAME with gpus and system_memory; "
            f"it is {one!r:.200}"
        )
    others = [key for key in entry if key not in {"host", "gpus", "system_memory", *_OTHERS}]
    if others:
        raise ConfigError(f"{file}: workers[{place}].{others[0]} is not a key of a worker here")
    return entry


def _worker_options(file: Path, entries: list[dict[str, Any]], count: int) -> dict[str, Any]:
    """What all workers have; one number stands for all, as in Dask's own SSHCluster."""
    options: dict[str, Any] = {"workers": count}
    gpus, memory = ({one.get(key) for one in entries} for key in ("gpus", "system_memory"))
    for key, found in (("gpus", gpus), ("system_memory", memory)):
        if len(found) > 1:
            raise ConfigError(f"{file}: workers: {key} differs; Dask's SSHCluster has one for all workers")
    if (each := gpus.pop()) is not None:
        if type(each) is not int or each < 0:
            raise ConfigError(f"{file}: workers: gpus: write a number; it is {each!r:.200}")
        options["gpus"] = each * count
    if (size := memory.pop()) is not None:
        options["memory"] = _memory(file, size)
    return options


def _memory(file: Path, size: object) -> str:
    """Memory as Dask writes it (10GB, 9.5GiB is not among it) in the words of a site's file."""
    found = _MEMORY.fullmatch(str(size).strip())
    if not found:
        raise ConfigError(f"{file}: workers: system_memory: write such as 10GB; it is {size!r:.200}")
    number, unit, size_bytes = found.groups()
    return f"{number}{unit.upper()}" if unit else f"{max(1, int(size_bytes) >> 20)}M"


def _ports(file: Path, content: Mapping[Any, Any]) -> dict[str, Any]:
    scheduler = content.get("scheduler")
    if scheduler is None:
        return {}
    if not isinstance(scheduler, dict):
        raise ConfigError(
            f"{file}: scheduler: expected its port and the dashboard's; it is {scheduler!r:.200}"
        )
    ports = {key: scheduler[key] for key in ("port", "dashboard") if key in scheduler}
    for key, port in ports.items():
        if type(port) is not int or not 0 <= port <= 65535:
            raise ConfigError(f"{file}: scheduler.{key}: write a port's number; it is {port!r:.200}")
    return ports
