"""Values that are of the very types that a dataclass has: read without pydantic, which is slow to load.

What is not, however little it differs, is not judged here: pydantic reads it, or says what is wrong.
"""

from __future__ import annotations

import re
import types
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from datetime import datetime
from enum import Enum
from functools import cache
from pathlib import PurePath
from typing import Annotated, Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from slipway.checked import AnyText, Before, Between, Zoned

# As datetime.isoformat writes a time of UTC.
_MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{6})?\+00:00")
_MOST = 10**9
_WORDS = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}

_Kind = TypeVar("_Kind")
_Read = Callable[[Any], Any]


class _UnsureError(Exception):
    """A value is not of its very type."""


def read_plain(kind: type[_Kind], values: object, *, as_text: bool = False) -> _Kind | None:
    """A dataclass of its values; ``None`` where one of them is not of its very type.

    Args:
        kind: the dataclass.
        values: by the names of the fields, as JSON has them.
        as_text: numbers, truth values and paths may be text, and dataclasses may be there already.
    """
    try:
        found: _Kind = _reader(cast("Any", kind), as_text)(values)
    except (_UnsureError, KeyError, ValueError, OverflowError):
        return None
    return found


@cache
def _reader(kind: Any, as_text: bool) -> _Read:
    """What reads a value of a type."""
    origin, args = get_origin(kind), get_args(kind)
    if kind is Any:
        return lambda value: value
    if is_dataclass(kind):
        return _of_dataclass(kind, as_text)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return _of_enum(kind)
    if isinstance(kind, type) and issubclass(kind, PurePath):
        return _of_path(kind)
    if origin is Annotated:
        return _of_annotated(args[0], args[1:], as_text)
    if origin is Literal:
        return _of_literal(args)
    if origin in (Union, types.UnionType):
        return _of_optional(args, as_text)
    if origin is tuple:
        return _of_tuple(args[0], as_text)
    if origin is Mapping:
        return _of_mapping(args[0], args[1], as_text)
    return _of_text(kind) if as_text and kind in (int, bool) else _of_exact(kind)


def _sure(is_sure: bool) -> None:
    if not is_sure:
        raise _UnsureError


def _of_exact(kind: Any) -> _Read:
    _sure(kind in (str, int, bool, float))

    def read(value: Any) -> Any:
        if type(value) is not kind:
            raise _UnsureError
        if kind is str and not value.isascii():
            # Pydantic's own text is UTF-8, too; half a character is a ValueError.
            value.encode()
        return value

    return _float if kind is float else read


def _float(value: Any) -> Any:
    # Up to here, whole numbers and those with a fraction are the same.
    _sure(type(value) is float or (type(value) is int and abs(value) <= 1 << 53))
    return float(value)


def _of_text(kind: Any) -> _Read:
    def read(value: Any) -> Any:
        if type(value) is kind:
            return value
        _sure(type(value) is str)
        if kind is bool:
            _sure(value in _WORDS)
            return _WORDS[value]
        return _number(value)

    return read


def _of_path(kind: type[PurePath]) -> _Read:
    def read(value: Any) -> Any:
        if type(value) is str:
            value.encode()
            return kind(value)
        _sure(isinstance(value, kind))
        return value

    return read


def _of_annotated(kind: Any, rules: tuple[Any, ...], as_text: bool) -> _Read:
    if isinstance(rules[0], AnyText):
        return _any_text
    if isinstance(rules[0], Zoned):
        return _moment
    inner = _reader(kind, as_text)
    if kind is int and not as_text and len(rules) == 1 and isinstance(rules[0], Between):
        return _of_whole(rules[0])
    before = [rule.function for rule in rules if isinstance(rule, Before)]
    checks = [rule.check for rule in rules if not isinstance(rule, Before)]

    def read(value: Any) -> Any:
        for make in before:
            value = make(value)
        value = inner(value)
        for check in checks:
            check(value)
        return value

    return read


def _of_whole(bounds: Between) -> _Read:
    least, most = bounds.least, bounds.most

    def read(value: Any) -> Any:
        if type(value) is not int or value < least or (most is not None and value > most):
            raise _UnsureError
        return value

    return read


def _any_text(value: Any) -> Any:
    # There may be tens of thousands of them in a record.
    if type(value) is not str:
        raise _UnsureError
    return value


def _moment(value: Any) -> Any:
    _sure(type(value) is str and _MOMENT.fullmatch(value) is not None)
    return datetime.fromisoformat(value)


def _of_literal(known: tuple[Any, ...]) -> _Read:
    def read(value: Any) -> Any:
        _sure(type(value) is str and value in known)
        return value

    return read


def _of_optional(kinds: tuple[Any, ...], as_text: bool) -> _Read:
    (inner,) = (_reader(kind, as_text) for kind in kinds if kind is not type(None))
    return lambda value: None if value is None else inner(value)


def _of_enum(kind: type[Enum]) -> _Read:
    known = {member.value: member for member in kind}

    def read(value: Any) -> Any:
        if type(value) is not str or value not in known:
            raise _UnsureError
        return known[value]

    return read


def _of_tuple(kind: Any, as_text: bool) -> _Read:
    inner = _reader(kind, as_text)

    def read(value: Any) -> Any:
        _sure(type(value) is list or (as_text and type(value) is tuple))
        return tuple(map(inner, value))

    return read


def _of_mapping(key: Any, kind: Any, as_text: bool) -> _Read:
    inner, of_key = _reader(kind, as_text), _reader(key, as_text)
    keys, values = _as_it_is(key), _as_it_is(kind)

    def read(value: Any) -> Any:
        if type(value) is not dict:
            raise _UnsureError
        return {of_key(name): inner(one) for name, one in value.items()}

    def read_texts(value: Any) -> Any:
        is_read = type(value) is dict and keys.issuperset(map(type, value))
        return value if is_read and values.issuperset(map(type, value.values())) else read(value)

    def read_numbered(value: Any) -> Any:
        if type(value) is not dict:
            raise _UnsureError
        return dict(zip(_numbers(value), map(inner, value.values()), strict=True))

    if _is_number(key):
        return read_numbered
    return read_texts if keys and values else read


def _as_it_is(kind: Any) -> frozenset[type]:
    """What is a value of a type already, by its own type alone. There may be 100,000 of them in a record."""
    origin, args = get_origin(kind), get_args(kind)
    if origin is Annotated and isinstance(args[1], AnyText):
        return frozenset({str})
    if origin in (Union, types.UnionType):
        return frozenset({types.NoneType}).union(*(_as_it_is(one) for one in args))
    return frozenset()


def _is_number(kind: Any) -> bool:
    return kind is int or (get_origin(kind) is Annotated and get_args(kind)[0] is int)


def _numbers(names: Iterable[Any]) -> Iterable[int]:
    """Whole numbers as JSON has them for the names of values."""
    found = [*map(int, names)]
    # As they are written here: no sign, space or zero before one.
    _sure([*map(str, found)] == [*names] and all(0 <= number < _MOST for number in found))
    return found


def _number(word: str) -> int:
    (number,) = _numbers((word,))
    return number


def _of_dataclass(kind: Any, as_text: bool) -> _Read:
    hints = get_type_hints(kind, include_extras=True)
    filled = [field for field in fields(kind) if field.init]
    readers = {field.name: _reader(hints[field.name], as_text) for field in filled}
    as_they_are = {field.name: _as_it_is(hints[field.name]) for field in filled}
    needed = {field.name for field in filled if field.default is MISSING and field.default_factory is MISSING}

    def read(value: Any) -> Any:
        if as_text and isinstance(value, kind):
            return value
        if type(value) is not dict or not needed <= value.keys():
            raise _UnsureError
        return kind(
            **{
                name: one if type(one) in as_they_are[name] else readers[name](one)
                for name, one in value.items()
            }
        )

    return read
