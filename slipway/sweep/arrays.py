"""Elements as arrays: those that ask for the same share one, as many as a cluster takes. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence


def share(asked: Sequence[Mapping[str, str]], most: int | None) -> list[list[int]]:
    """The elements of each array, by their numbers, in order.

    Args:
        asked: what each element asks for.
        most: tasks that an array may have; ``None`` for any.
    """
    groups: dict[str, list[int]] = {}
    for number, resources in enumerate(asked):
        groups.setdefault(json.dumps(sorted(resources.items())), []).append(number)
    size = most or max(len(asked), 1)
    return [group[start : start + size] for group in groups.values() for start in range(0, len(group), size)]


def array_of(count: int, throttle: int | None) -> str:
    """The ``--array`` of so many elements, of which so many run at once."""
    return f"0-{count - 1}{f'%{throttle}' if throttle else ''}"
