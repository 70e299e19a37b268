"""JSON: from outside, read so that nothing in it can do more than be refused, and for others to read."""

from __future__ import annotations

import json
from typing import Any

# Python's fast encoder writes no lines, and the other one takes seconds for thousands of objects.
_MANY = 100
# Deeper nesting is refused: what reads and writes values recursively has a limit, too.
_DEEPEST = 50


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


def _indented(value: Any) -> str:
    if _is_long(value):
        return "[\n  " + ",\n  ".join(map(json.dumps, value)) + "\n]"
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
        inner = (one.values() if isinstance(one, dict) else one for one in level)
        level = [part for parts in inner for part in parts if type(part) in (dict, list)]
    return not level
