"""Nested values as one level of keys, for what compares them. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any


def flatten(values: Mapping[str, Any]) -> dict[str, str]:
    """The values with keys such as ``container.flags``; what is not set, and what is empty, is left out."""
    return dict(_pairs("", values))


def _pairs(prefix: str, values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _pairs(f"{prefix}{key}.", value)
        elif value not in (None, "", [], ()):
            yield f"{prefix}{key}", value if isinstance(value, str) else json.dumps(value)
