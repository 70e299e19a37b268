"""Frozen dataclasses whose methods are made when they are first used.

The standard library compiles six methods for each class where it is defined. That takes a millisecond a
class, at each command, and most of the classes that a command loads make no value in it. ``fields``,
``replace``, ``asdict`` and pydantic take these for what they are: dataclasses.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import cache
from operator import attrgetter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass
else:

    def dataclass(kind=None, /, *, frozen=False, kw_only=False, **options):
        """As the standard library's, and by it where the class is not frozen or has other options."""
        if kind is not None or options or not frozen:
            return dataclasses.dataclass(kind, frozen=frozen, kw_only=kw_only, **options)
        return lambda kind: _frozen(kind, kw_only)


def _frozen(kind: Any, kw_only: bool) -> Any:
    """Make a class a frozen dataclass."""
    own = vars(kind)
    has_hash = own.get("__hash__") is not None
    kind = dataclasses.dataclass(init=False, repr=False, eq=False, kw_only=kw_only)(kind)

    def make(self: Any, /, *args: Any, **values: Any) -> None:
        kind.__init__ = _init(kind)
        kind.__init__(self, *args, **values)

    kind.__init__ = make
    kind.__setattr__, kind.__delattr__ = _refuse_set, _refuse_delete
    for name, method in (("__repr__", _repr), ("__eq__", _eq)):
        if name not in own:
            setattr(kind, name, method)
    if not has_hash:
        kind.__hash__ = _hash
    return kind


def _init(kind: Any) -> Callable[..., None]:
    """What fills in the fields, compiled for this class as the standard library does it."""
    known: dict[str, Any] = {"_MISSING": dataclasses.MISSING}
    words: dict[bool, list[str]] = {False: [], True: []}
    lines = ["_values = _self.__dict__"]
    for field in dataclasses.fields(kind):
        name = field.name
        value = default = f"_default_{name}"
        if field.default is not dataclasses.MISSING:
            known[default] = field.default
        elif field.default_factory is not dataclasses.MISSING:
            known[default] = field.default_factory
            value = f"{default}()"
        if field.init:
            word = name
            if default in known:
                is_made = value != default
                word = f"{name}={'_MISSING' if is_made else default}"
                value = f"{value} if {name} is _MISSING else {name}" if is_made else name
            else:
                value = name
            words[bool(field.kw_only)].append(word)
        elif default not in known:
            continue
        lines.append(f"_values[{name!r}] = {value}")
    if hasattr(kind, "__post_init__"):
        lines.append("_self.__post_init__()")
    by_name = ["*", *words[True]] if words[True] else []
    head = ", ".join(["_self", *words[False], *by_name])
    exec("\n    ".join([f"def __init__({head}):", *lines]), known)  # noqa: S102 - names of fields alone
    made: Callable[..., None] = known["__init__"]
    return made


@cache
def _key(kind: type[Any], of: str) -> Callable[[Any], Any]:
    """What takes from a value of this class what it is compared by, or hashed."""
    names = [field.name for field in dataclasses.fields(kind) if _counts(field, of)]
    return attrgetter(*names) if names else lambda value: ()


def _counts(field: dataclasses.Field[Any], of: str) -> bool:
    return field.compare if of == "eq" or field.hash is None else field.hash


def _eq(self: Any, other: object) -> bool:
    if other.__class__ is not self.__class__:
        return NotImplemented  # type: ignore[no-any-return]
    if self is other:
        return True
    kind: Any = type(self)
    key = _key(kind, "eq")
    return bool(key(self) == key(other))


def _hash(self: Any) -> int:
    kind: Any = type(self)
    return hash(_key(kind, "hash")(self))


def _repr(self: Any) -> str:
    shown = (
        f"{field.name}={getattr(self, field.name)!r}" for field in dataclasses.fields(self) if field.repr
    )
    return f"{self.__class__.__qualname__}({', '.join(shown)})"


def _refuse_set(self: Any, name: str, value: object) -> None:
    raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")


def _refuse_delete(self: Any, name: str) -> None:
    raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")
