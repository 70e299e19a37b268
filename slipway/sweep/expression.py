"""Times that are computed: ``5m + 0.2s*frames``, of durations, numbers, names and ``+ - * / ( )``. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import ceil, isfinite

from slipway.errors import UsageError
from slipway.text.nearest import nearest

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_MOST_LETTERS = 200
_DEEPEST = 20
# A year; no cluster lets a job run for longer.
_MOST_MINUTES = 366 * 24 * 60
_PLACEHOLDER = re.compile(r"\{\w+\}")
_TOKEN = re.compile(
    r"(?P<number>(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)(?P<unit>[A-Za-z_]\w*)?"
    r"|(?P<name>[A-Za-z_]\w*)"
    r"|(?P<sign>[-+*/()])"
)


@dataclass(frozen=True)
class _Quantity:
    """A number, or a duration in seconds."""

    value: float
    is_time: bool


@dataclass(frozen=True)
class _Token:
    text: str
    kind: str
    place: int
    unit: str | None = None


def find_names(text: str) -> set[str]:
    """The names in an expression, in which values may still be missing; none where it is no expression."""
    try:
        return {one.text for one in _tokens(_PLACEHOLDER.sub("1", text)) if one.kind == "name"}
    except UsageError:
        return set()


def minutes_of(text: str, numbers: Mapping[str, float]) -> int:
    """What a time comes to, in whole minutes: rounded up, and at least 1.

    Args:
        text: the expression.
        numbers: what its names stand for.

    Raises:
        UsageError: it is no expression, has an unknown name, is no time, or no time that a job could have.
    """
    found = _Reader(text, numbers).read()
    if not found.is_time:
        raise UsageError(
            f"{_shown(text)} is a number and no time: write a unit (s, m, h, d), as in 0.2s*frames"
        )
    if not isfinite(found.value) or found.value < 0 or found.value > _MOST_MINUTES * 60:
        raise UsageError(f"{_shown(text)} is {found.value:.6g} s, and no job can have that time")
    # Without the crumbs of binary fractions: 0.1s*600 is one minute.
    return max(1, ceil(round(found.value / 60, 9)))


class _Reader:
    """Reads an expression by its grammar: sums of products of factors."""

    def __init__(self, text: str, numbers: Mapping[str, float]) -> None:
        self._text = text
        self._numbers = numbers
        self._tokens = list(_tokens(text))
        self._next = 0
        self._depth = 0

    def read(self) -> _Quantity:
        found = self._sum()
        if (one := self._peek()) is not None:
            raise self._error(one, f"{one.text} does not belong here")
        return found

    def _sum(self) -> _Quantity:
        found = self._product()
        while (sign := self._take("+", "-")) is not None:
            other = self._product()
            if other.is_time != found.is_time:
                raise self._error(sign, f"a time {sign.text} a number; write a unit (s, m, h, d)")
            value = found.value + other.value if sign.text == "+" else found.value - other.value
            found = _Quantity(value, found.is_time)
        return found

    def _product(self) -> _Quantity:
        found = self._factor()
        while (sign := self._take("*", "/")) is not None:
            found = self._combine(sign, found, self._factor())
        return found

    def _combine(self, sign: _Token, one: _Quantity, other: _Quantity) -> _Quantity:
        if sign.text == "*":
            if one.is_time and other.is_time:
                raise self._error(sign, "a time * a time is none; leave one unit out")
            return _Quantity(one.value * other.value, one.is_time or other.is_time)
        if other.is_time and not one.is_time:
            raise self._error(sign, "a number / a time is no time")
        if other.value == 0:
            raise self._error(sign, "what stands behind it is 0")
        return _Quantity(one.value / other.value, one.is_time and not other.is_time)

    def _factor(self) -> _Quantity:
        minus = 0
        while (sign := self._take("+", "-")) is not None:
            minus += sign.text == "-"
        found = self._atom()
        return _Quantity(-found.value, found.is_time) if minus % 2 else found

    def _atom(self) -> _Quantity:
        one = self._peek()
        if one is None:
            raise UsageError(f"{_shown(self._text)} ends too early: a number, a name or ( is missing")
        self._next += 1
        if one.kind == "number":
            return self._number(one)
        if one.kind == "name":
            if one.text not in self._numbers:
                known = ", ".join(self._numbers) or "none"
                raise self._error(
                    one, f"{one.text} is no number here{nearest(one.text, self._numbers)}; there are: {known}"
                )
            return _Quantity(self._numbers[one.text], False)
        if one.text != "(":
            raise self._error(one, f"{one.text} does not belong here")
        return self._inner(one)

    def _inner(self, opening: _Token) -> _Quantity:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise self._error(opening, "it is nested too deeply")
        found = self._sum()
        if self._take(")") is None:
            raise self._error(opening, "its ) is missing")
        self._depth -= 1
        return found

    def _number(self, one: _Token) -> _Quantity:
        if one.unit is not None and one.unit not in _UNITS:
            raise self._error(one, f"{one.unit} is no unit; write s, m, h or d")
        value = float(one.text) * _UNITS.get(one.unit or "", 1.0)
        return _Quantity(value, one.unit is not None)

    def _peek(self) -> _Token | None:
        return self._tokens[self._next] if self._next < len(self._tokens) else None

    def _take(self, *signs: str) -> _Token | None:
        one = self._peek()
        if one is None or one.kind != "sign" or one.text not in signs:
            return None
        self._next += 1
        return one

    def _error(self, one: _Token, words: str) -> UsageError:
        return UsageError(f"{_shown(self._text)}, letter {one.place + 1}: {words}")


def _tokens(text: str) -> Iterator[_Token]:
    if len(text) > _MOST_LETTERS:
        raise UsageError(f"{_shown(text)} is longer than {_MOST_LETTERS} letters")
    place = 0
    while place < len(text):
        if text[place].isspace():
            place += 1
            continue
        found = _TOKEN.match(text, place)
        if found is None:
            raise UsageError(f"{_shown(text)}, letter {place + 1}: {text[place]!r} does not belong here")
        kind = found.lastgroup if found.lastgroup != "unit" else "number"
        yield _Token(found[kind or 0], kind or "", place, found["unit"])
        place = found.end()


def _shown(text: str) -> str:
    return f'"{text[:_MOST_LETTERS]}"'
