"""How a Dask cluster stands, as values for JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from slipway.steps.dask import Standing


def standing_values(standing: Standing) -> dict[str, Any]:
    """How it stands, with the workers that are lost."""
    values = asdict(standing.state)
    values["workers"] = [asdict(worker) for worker in standing.state.workers]
    state = "dead" if standing.is_dead else standing.state.state
    return {**values, "state": state, "lost": list(standing.lost)}
