"""What the program in the container answers, as values. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from slipway.errors import ParseError
from slipway.jsontext import load_json

_MARK = "slipway-dask "


@dataclass(frozen=True, kw_only=True)
class Versions:
    """What an image has on one host, each with its version or ``None``; and the host's cores."""

    found: Mapping[str, str | None]
    cpus: int

    def lacks(self, *names: str) -> list[str]:
        """Which of these packages are missing."""
        return [name for name in names if not self.found.get(name)]


@dataclass(frozen=True, kw_only=True)
class WorkerState:
    """One worker that the scheduler knows."""

    name: str
    address: str
    threads: int
    memory_bytes: int
    limit_bytes: int
    cpu_percent: float
    tasks: int


@dataclass(frozen=True, kw_only=True)
class ClusterState:
    """How a cluster stands.

    Attributes:
        state: ``none``, ``starting``, ``runs``, ``failed`` or ``ended``, as its own process has noted it.
        cluster: its id.
        address: the scheduler's.
        dashboard: the dashboard's port on the first host; ``None`` where there is none.
        why: why it has failed.
        silent: why its scheduler does not answer, where it should.
        problems: of workers that do not run, by their names.
        workers: those that the scheduler knows.
        tasks: how many there are in each of Dask's states.
    """

    state: str
    cluster: str = ""
    address: str = ""
    dashboard: int | None = None
    why: str = ""
    silent: str = ""
    problems: Mapping[str, str] = field(default_factory=dict)
    workers: tuple[WorkerState, ...] = ()
    tasks: Mapping[str, int] = field(default_factory=dict)

    @property
    def is_alive(self) -> bool:
        """True where it is there, or will be."""
        return self.state in ("starting", "runs")


def parse_versions(printed: str) -> Versions:
    """What ``versions`` has printed.

    Raises:
        ParseError: it is something else.
    """
    values = _values(printed)
    found, cpus = values.get("versions"), values.get("cpus")
    if not isinstance(found, dict) or type(cpus) is not int:
        raise ParseError(f"the image's Python printed {printed[-200:]!r}; expected versions of packages")
    return Versions(
        found={str(key): None if one is None else str(one) for key, one in found.items()}, cpus=cpus
    )


def parse_status(printed: str) -> ClusterState:
    """What ``status`` has printed.

    Raises:
        ParseError: it is something else.
    """
    return read_state(_values(printed))


def parse_state(content: bytes | None) -> ClusterState:
    """What the cluster's own process has noted; ``None`` where there is no such file.

    Raises:
        ParseError: it is something else.
    """
    if content is None:
        return ClusterState(state="none")
    try:
        values = load_json(content)
    except ValueError as error:
        raise ParseError(f"what the cluster has noted of itself is no JSON: {content[:200]!r}") from error
    return read_state(values)


def read_state(values: Any) -> ClusterState:
    """A cluster's state from JSON.

    Raises:
        ParseError: it is something else.
    """
    try:
        scheduler = values.get("scheduler") or {}
        problems: Mapping[str, Any] = values.get("problems") or {}
        return ClusterState(
            state=str(values.get("state", "none")),
            cluster=str(values.get("cluster", "")),
            address=str(values.get("address", "")),
            dashboard=scheduler.get("dashboard"),
            why=str(values.get("why", "")),
            silent=str(values.get("silent", "")),
            problems={str(name): str(words) for name, words in problems.items()},
            workers=tuple(
                sorted((_worker(one) for one in scheduler.get("workers", ())), key=lambda one: one.name)
            ),
            tasks={str(name): int(count) for name, count in scheduler.get("tasks", {}).items()},
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ParseError(f"this is not how a cluster stands: {values!r:.200}") from error


def _worker(values: Mapping[str, Any]) -> WorkerState:
    return WorkerState(
        name=str(values["name"]),
        address=str(values["address"]),
        threads=int(values["threads"]),
        memory_bytes=int(values["memory_bytes"]),
        limit_bytes=int(values["limit_bytes"]),
        cpu_percent=float(values["cpu"]),
        tasks=int(values["tasks"]),
    )


def _values(printed: str) -> dict[str, Any]:
    lines = [line.removeprefix(_MARK) for line in printed.splitlines() if line.startswith(_MARK)]
    try:
        values = load_json(lines[-1])
    except (IndexError, ValueError) as error:
        raise ParseError(f"the image's Python printed {printed[-200:]!r}; expected a line of JSON") from error
    if not isinstance(values, dict):
        raise ParseError(f"the image's Python printed {values!r:.200}; expected a JSON object")
    return values
