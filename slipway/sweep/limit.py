"""Time limits of elements: from an expression and lengths, in steps, so that there are few arrays. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from math import ceil, isfinite, log

from slipway.errors import ParseError, UsageError
from slipway.quantity import minutes as parse_minutes
from slipway.sweep.expression import minutes_of
from slipway.sweep.parameter import Values
from slipway.text.nearest import nearest

# Numbers by name, for each value of a parameter: {"xyz": {"frames": 798, "seconds": 26.6}}.
Lengths = Mapping[str, Mapping[str, float]]

# Elements share an array where the time of one is at most a quarter more than that of another.
_STEP = 1.25
_NUMBER = re.compile(r"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")
_NAMED = 5


def is_expression(time: str) -> bool:
    """True where a time is none that SLURM takes: it is to be computed."""
    try:
        parse_minutes(time)
    except ParseError:
        return True
    return False


def compute_minutes(
    times: Sequence[str], elements: Sequence[Values], lengths: Lengths | None
) -> list[int | None]:
    """How many minutes each element may take; ``None`` where its time is one that SLURM takes.

    Args:
        times: what is written for each, with its values filled in.
        elements: their values; those that are numbers can stand in an expression.
        lengths: more numbers, for each value of one of the parameters.

    Raises:
        UsageError: a time cannot be computed.
    """
    if not any(map(is_expression, times)):
        return [None] * len(times)
    rows = _rows(elements, lengths) if lengths else [{} for _ in elements]
    return [
        minutes_of(time, {**row, **_numbers(values)}) if is_expression(time) else None
        for time, values, row in zip(times, elements, rows, strict=True)
    ]


def step_of(minutes: int) -> int:
    """The number of the step that a time is in; each is a quarter longer than the one before."""
    return ceil(round(log(minutes, _STEP), 9))


def _numbers(values: Values) -> dict[str, float]:
    found = {name: float(value) for name, value in values.items() if _NUMBER.fullmatch(value)}
    return {name: value for name, value in found.items() if isfinite(value)}


def _rows(elements: Sequence[Values], lengths: Lengths) -> list[Mapping[str, float]]:
    """The numbers of each element, by the parameter whose values ``lengths`` has."""
    names = list(elements[0]) if elements else []
    found = {name: [find_key(one[name], lengths) for one in elements] for name in names}
    fitting = [name for name, keys in found.items() if None not in keys]
    if len(fitting) > 1:
        raise UsageError(f"lengths: both {fitting[0]} and {fitting[1]} have values that stand there")
    if not fitting:
        raise _missing(elements, found, lengths)
    return [lengths[key] for key in found[fitting[0]] if key is not None]


def find_key(value: str, keys: Mapping[str, object]) -> str | None:
    """The key that a value means: itself, else the only one that ends in it, behind ``/`` or ``_``."""
    if value in keys:
        return value
    ends = ("/" + value, "_" + value)
    fitting = [key for key in keys if value and key.endswith(ends)]
    return fitting[0] if len(fitting) == 1 else None


def _missing(
    elements: Sequence[Values], found: Mapping[str, Sequence[str | None]], lengths: Lengths
) -> UsageError:
    """Why no parameter has lengths: what is missing of the one that has most."""
    nearly = max(found, key=lambda name: sum(key is not None for key in found[name]), default=None)
    if nearly is None or not any(found[nearly]):
        return UsageError(
            f"lengths: no parameter has values that stand there; they are {', '.join([*lengths][:_NAMED])}"
        )
    values = [one[nearly] for one, key in zip(elements, found[nearly], strict=True) if key is None]
    missing = list(dict.fromkeys(values))
    more = f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
    return UsageError(
        f"lengths: nothing stands there for {nearly}={', '.join(missing[:_NAMED])}{more}"
        f"{nearest(missing[0], lengths)}"
    )
