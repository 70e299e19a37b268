"""The files of a cluster's folder, as its container has them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

FOLDER = Path("/dask")
ORDER, STATE, STOP, LOGS = "order.json", "state.json", "stop", "logs"


def read(name: str) -> dict[str, Any]:
    """One of the files; nothing where it is not there."""
    try:
        values: dict[str, Any] = json.loads((FOLDER / name).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return values


def write_state(values: dict[str, Any]) -> None:
    """Write how the cluster stands, as a whole."""
    part = FOLDER / f"{STATE}.{os.getpid()}.part"
    part.write_text(json.dumps(values), encoding="utf-8")
    part.replace(FOLDER / STATE)


def is_stopped(cluster: str) -> bool:
    """Whether somebody wants the cluster to end."""
    return (FOLDER / f"{STOP}-{cluster}").exists()
