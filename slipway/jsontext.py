"""JSON: from outside, read so that nothing in it can do more than be refused, and for others to read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

# Python's fast encoder writes no lines, and the other one takes seconds for thousands of objects.
_MANY = 100
# Deeper nesting is refused: what reads and writes values recursively has a limit, too.
_DEEPEST = 50
# What json.dumps writes between two objects of a list.
_BETWEEN = "}, {"


def load_json(text: str | bytes) -> Any:
    """What a JSON text holds.

    Raises:
        ValueError: it is not JSON, is nested too deeply, or has a number that is not finite or far too long.
    """
    try:
        value = json.loads(text, parse_constant=_finite, parse_float=_finite)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"it is not JSON, or cut: {error}") from error
    if not _is_flat(value):
        raise ValueError("it is nested too deeply")
    return value


def format_json(value: Any) -> str:
    """JSON with indents; of a list of many, at the top or one below, each is one line."""
    if not isinstance(value, dict) or not any(map(_is_long, value.values())):
        return _indented(value)
    lines = (f"{json.dumps(key)}: {_indented(one)}".replace("\n", "\n  ") for key, one in value.items())
    return "{\n  " + ",\n  ".join(lines) + "\n}"


def dump_each(values: Sequence[Any]) -> list[str]:
    """The JSON of each value, as ``json.dumps`` writes it; objects are written in one go."""
    if all(type(value) is dict for value in values):
        inner = json.dumps(values)[2:-2].split(_BETWEEN)
        # One that has this in a text, or objects in a list, makes them more.
        if len(inner) == len(values):
            return [f"{{{one}}}" for one in inner]
    return [json.dumps(value) for value in values]


def _indented(value: Any) -> str:
    if _is_long(value):
        return "[\n  " + ",\n  ".join(dump_each(value)) + "\n]"
    return json.dumps(value, indent=2)


def _is_long(value: Any) -> bool:
    return isinstance(value, list) and len(value) > _MANY


def _finite(text: str) -> float:
    number = float(text)
    if number - number != 0:
        raise ValueError(f"{text[:20]} is not a finite number")
    return number


def _is_flat(value: Any) -> bool:
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(_DEEPEST):
        if not level:
            return True
        level = [
            part
            for one in level
            for part in (one.values() if type(one) is dict else one)
            if type(part) is dict or type(part) is list
        ]
    return not level
