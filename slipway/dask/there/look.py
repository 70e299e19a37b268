"""What the image has, and how the cluster stands."""

from __future__ import annotations

import importlib
import os
import platform
from typing import Any

from . import place

_PATIENCE_S = 20
PACKAGES = ("dask", "distributed", "asyncssh", "dask_jobqueue", "bokeh")


def versions() -> dict[str, Any]:
    """The versions of what Dask's cluster needs, with nothing for what is not there; and the host's cores."""
    found: dict[str, Any] = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            module = importlib.import_module(name)
        except ImportError:
            found[name] = None
        else:
            found[name] = str(getattr(module, "__version__", "?"))
    return {"versions": found, "cpus": len(os.sched_getaffinity(0))}


def status() -> dict[str, Any]:
    """How the cluster stands, by what its process has noted and by what its scheduler says."""
    state = place.read(place.STATE)
    if state.get("state") == "runs":
        try:
            state["scheduler"] = _ask(state["address"])
        except Exception as error:
            # An error of the network, a timeout, or another version at the other end.
            state["silent"] = f"{type(error).__name__}: {error}"
    return state


def _ask(address: str) -> dict[str, Any]:
    from distributed import Client

    with Client(address, timeout=_PATIENCE_S, set_as_default=False) as client:
        found: dict[str, Any] = client.run_on_scheduler(_collect)
    return found


def _collect(dask_scheduler: Any) -> dict[str, Any]:
    """What the scheduler knows: it is run there."""
    counts: dict[str, int] = {}
    for task in dask_scheduler.tasks.values():
        counts[task.state] = counts.get(task.state, 0) + 1
    workers = [
        {
            "name": str(one.name),
            "address": one.address,
            "threads": one.nthreads,
            "memory_bytes": int(one.metrics.get("memory") or 0),
            "limit_bytes": int(one.memory_limit or 0),
            "cpu": float(one.metrics.get("cpu") or 0),
            "tasks": len(one.processing),
        }
        for one in dask_scheduler.workers.values()
    ]
    port = dask_scheduler.services["dashboard"].port if "dashboard" in dask_scheduler.services else None
    return {"workers": workers, "tasks": counts, "dashboard": port}
