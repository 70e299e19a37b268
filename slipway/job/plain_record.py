"""Records whose values are of the very types that a run has: read without pydantic, which is slow to load.

What is not, however little it differs, is not judged here: pydantic reads it, or says what is wrong.
"""

from __future__ import annotations

import re
import types
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from datetime import datetime
from enum import Enum
from functools import cache
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

from slipway.checked import AnyText, Between
from slipway.job.run import Run

# As datetime.isoformat writes a time of UTC.
_MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{6})?\+00:00")
_NUMBER = re.compile(r"0|[1-9][0-9]{0,8}")

# Of more tasks, pydantic is the faster one.
_MANY = 1000

_Read = Callable[[Any], Any]


class _UnsureError(Exception):
    """A value is not of its very type."""


def read_plain(values: Mapping[str, Any]) -> Run | None:
    """The run of a record's values; ``None`` where one of them is not of its very type, or there are many."""
    of_tasks = (values.get(key) for key in ("elements", "task_statuses"))
    if sum(len(one) for one in of_tasks if isinstance(one, dict)) > _MANY:
        return None
    try:
        run: Run = _reader(Run)(values)
    except (_UnsureError, ValueError, OverflowError):
        return None
    return run


@cache
def _reader(kind: Any) -> _Read:
    """What reads a value of a type."""
    origin, args = get_origin(kind), get_args(kind)
    if kind is Any:
        return lambda value: value
    if is_dataclass(kind):
        return _of_dataclass(kind)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return _of_enum(kind)
    if origin is Annotated:
        return _of_annotated(args[0], args[1])
    if origin in (Union, types.UnionType):
        return _of_optional(args)
    if origin is tuple:
        return _of_tuple(args[0])
    if origin is Mapping:
        return _of_mapping(*args)
    return _of_exact(kind)


def _sure(is_sure: bool) -> None:
    if not is_sure:
        raise _UnsureError


def _of_exact(kind: Any) -> _Read:
    _sure(kind in (str, int, bool))

    def read(value: Any) -> Any:
        # Pydantic's own text is UTF-8.
        _sure(type(value) is kind and (kind is not str or value.isascii()))
        return value

    return read


def _of_annotated(kind: Any, rule: object) -> _Read:
    def read(value: Any) -> Any:
        if isinstance(rule, AnyText):
            _sure(type(value) is str)
        elif isinstance(rule, Between):
            # Up to here, whole numbers and those with a fraction are the same.
            is_whole = type(value) is int and abs(value) <= 1 << 53
            _sure(type(value) is kind or (kind is float and is_whole))
            _sure(rule.least <= value <= rule.most)
            return kind(value)
        else:
            _sure(kind is datetime and type(value) is str and _MOMENT.fullmatch(value) is not None)
            return datetime.fromisoformat(value)
        return value

    return read


def _of_optional(kinds: tuple[Any, ...]) -> _Read:
    (inner,) = (_reader(kind) for kind in kinds if kind is not type(None))
    return lambda value: None if value is None else inner(value)


def _of_enum(kind: type[Enum]) -> _Read:
    known = {member.value: member for member in kind}

    def read(value: Any) -> Any:
        _sure(type(value) is str and value in known)
        return known[value]

    return read


def _of_tuple(kind: Any) -> _Read:
    inner = _reader(kind)

    def read(value: Any) -> Any:
        _sure(type(value) is list)
        return tuple(map(inner, value))

    return read


def _of_mapping(key: Any, kind: Any) -> _Read:
    inner, of_key = _reader(kind), _number if _is_number(key) else _reader(key)

    def read(value: Any) -> Any:
        _sure(type(value) is dict)
        return {of_key(name): inner(one) for name, one in value.items()}

    return read


def _is_number(kind: Any) -> bool:
    return kind is int or (get_origin(kind) is Annotated and get_args(kind)[0] is int)


def _number(name: Any) -> int:
    """A whole number as JSON has it for the name of a value."""
    _sure(type(name) is str and _NUMBER.fullmatch(name) is not None)
    return int(name)


def _of_dataclass(kind: Any) -> _Read:
    hints = get_type_hints(kind, include_extras=True)
    readers = {field.name: _reader(hints[field.name]) for field in fields(kind)}
    needed = {
        field.name for field in fields(kind) if field.default is MISSING and field.default_factory is MISSING
    }

    def read(value: Any) -> Any:
        _sure(type(value) is dict and readers.keys() >= value.keys() >= needed)
        return kind(**{name: readers[name](one) for name, one in value.items()})

    return read
