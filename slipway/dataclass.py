"""Frozen dataclasses whose methods are not compiled, but the same functions for all of them.

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
        # Not before it is used: most are not.
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
    """What fills in the fields of this class."""
    known = [field for field in dataclasses.fields(kind) if field.init]
    places = [field.name for field in known if not field.kw_only]
    template = {field.name: field.default for field in known}
    made_anew = {
        field.name: field.default_factory
        for field in dataclasses.fields(kind)
        if field.default_factory is not dataclasses.MISSING
    }
    needed = {name for name, value in template.items() if value is dataclasses.MISSING} - made_anew.keys()
    # Whatever is not given by those who make a value.
    fixed = {
        field.name: field.default
        for field in dataclasses.fields(kind)
        if not field.init and field.default is not dataclasses.MISSING
    }
    is_looked_at = hasattr(kind, "__post_init__")

    def fill(self: Any, /, *args: Any, **values: Any) -> None:
        if args:
            given = dict(zip(places, args, strict=False))
            if len(args) > len(places) or given.keys() & values.keys():
                raise TypeError(f"{kind.__qualname__} takes {len(places)} values by their places, each once")
            values |= given
        made = {**template, **values}
        if len(made) > len(template) or not needed <= values.keys():
            wrong = sorted(values.keys() - template.keys()) or sorted(needed - values.keys())
            raise TypeError(
                f"{kind.__qualname__}: fields that are missing, or that it does not have: {wrong}"
            )
        for name, make in made_anew.items():
            if name not in values:
                made[name] = make()
        self.__dict__.update(made, **fixed)
        if is_looked_at:
            self.__post_init__()

    return fill


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
