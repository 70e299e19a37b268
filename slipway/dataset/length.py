"""How long sequences are: a JSON file of numbers, such as ``{"xyz": {"frames": 798, "seconds": 26.6}}``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from slipway.errors import ConfigError, ParseError, UsageError
from slipway.jsontext import load_json

_MARK = "lengths "
_NONE = (
    "the program has measured nothing; what it has printed is above. An image that was built before it knew "
    "`--task lengths` is built again by `invoke build`"
)


def read_lengths(file: Path) -> dict[str, dict[str, float]]:
    """The numbers of each sequence in a file; what is not known of one is left out.

    Raises:
        UsageError: there is no such file.
        ConfigError: it is not of this form.
    """
    try:
        content = _load(file)
    except FileNotFoundError as error:
        raise UsageError(f"{file}: there is no such file; `invoke data.lengths` writes one") from error
    return {
        name: {key: value for key, value in row.items() if type(value) in (int, float)}
        for name, row in content.items()
    }


def add_lengths(file: Path, lengths: Mapping[str, Any]) -> str:
    """The text of a file with these lengths, in which those of other sequences stay.

    Raises:
        ConfigError: there is a file that holds something else.
    """
    try:
        content = _load(file)
    except FileNotFoundError:
        content = {}
    rows = sorted({**content, **lengths}.items())
    lines = [f"  {json.dumps(name)}: {json.dumps(row)}" for name, row in rows]
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _load(file: Path) -> dict[str, dict[str, Any]]:
    try:
        content = load_json(file.read_bytes())
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:
        raise ConfigError(f"{file} cannot be read: {error}") from error
    if not isinstance(content, dict) or not all(isinstance(row, dict) for row in content.values()):
        raise ConfigError(f'{file}: expected numbers for each value, such as {{"xyz": {{"frames": 798}}}}')
    return content


def parse_lengths(printed: str) -> dict[str, Any]:
    """What the payload's ``--task lengths`` has printed.

    Raises:
        ParseError: it has printed no lengths.
    """
    lines = [line for line in printed.splitlines() if line.startswith(_MARK)]
    try:
        content = load_json(lines[-1].removeprefix(_MARK))
    except (IndexError, ValueError) as error:
        raise ParseError(_NONE) from error
    if not isinstance(content, dict):
        raise ParseError(_NONE)
    return content
