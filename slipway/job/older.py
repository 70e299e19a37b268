"""Records of runs as older Slipways wrote them, brought to the form of today. They are read for ever."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from slipway.errors import ParseError
from slipway.job.run import Reason
from slipway.job.secret import without_commands, without_values
from slipway.quantity import parse_array

_REASONS = frozenset(reason.value for reason in Reason)


def to_current(values: Mapping[str, Any], version: int = 1) -> dict[str, Any]:
    """The keys of a record as they are called today; what is no record is left to whoever reads it."""
    current = dict(values)
    if version == 1:
        current |= _without_secrets(current)
    if isinstance(status := current.get("status"), Mapping):
        current["status"] = _status(status)
    if "task_indices" not in current:
        current["task_indices"] = _indices(current.get("resources"))
    return current


def _without_secrets(values: Mapping[str, Any]) -> dict[str, Any]:
    """Version 1 had the values of the environment, and all of the site's lines."""
    hide = {"profile_values": without_values, "site_values": without_commands}
    return {key: hidden(values[key]) for key, hidden in hide.items() if isinstance(values.get(key), Mapping)}


def _status(values: Mapping[str, Any]) -> dict[str, Any]:
    status = dict(values)
    # Other schedulers have a word of their own, too.
    if "slurm_state" in status:
        status.setdefault("native_state", status.pop("slurm_state"))
        # One field had both: our reason for an end, and SLURM's for a job that waits.
        if "pending_reason" not in status and status.get("reason") not in (None, *_REASONS):
            status["pending_reason"] = status.pop("reason")
    return status


def _indices(resources: object) -> list[int]:
    """An array's tasks, which were to be counted out from what was asked for."""
    spec = resources.get("array") if isinstance(resources, Mapping) else None
    if spec is None:
        return []
    try:
        return parse_array(str(spec))
    except ParseError:
        return []
