"""What a person writes into a file or on a command line, as frozen dataclasses whose values are checked.

They are read without pydantic, which is slow to load, where every value is what it should be. Where one is
not, however little it differs, pydantic reads it all again, and says what is wrong.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import cache
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, cast

from slipway.plain import read_plain

if TYPE_CHECKING:
    from pydantic import TypeAdapter

_Kind = TypeVar("_Kind")
_Model = TypeVar("_Model", bound="Model")
# Metadata of a field that is no part of what the model says.
ASIDE: Mapping[str, bool] = {"aside": True}
# No value is taken for another kind's, and no key that there is not is passed over.
STRICT: Mapping[str, object] = {"extra": "forbid", "strict": True}


class WrongValueError(ValueError):
    """A value is not what it should be.

    Args:
        problem: what is wrong first, as pydantic has it: ``type``, ``loc``, ``msg``, ``input``, ``ctx``.
    """

    def __init__(self, problem: Mapping[str, Any]) -> None:
        super().__init__(f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}")
        self.problem = problem


class Model:
    """What such dataclasses have, by the names that pydantic's models have."""

    __pydantic_config__: ClassVar[Mapping[str, object]] = STRICT

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        """The names of the fields, and their values."""
        return ((name, getattr(self, name)) for name in field_names(type(self)))

    def model_copy(self: _Model, *, update: Mapping[str, Any] | None = None) -> _Model:
        """The same with other values, which are not checked.

        Raises:
            TypeError: there is no such field.
        """
        if unknown := [*(update or {}).keys() - field_names(type(self))]:
            raise TypeError(f"{type(self).__name__} has no {unknown[0]}")
        same = object.__new__(type(self))
        same.__dict__.update({**self.__dict__, **(update or {})})
        return same

    def model_dump(
        self, *, mode: str = "python", exclude: Collection[str] = (), exclude_none: bool = False
    ) -> dict[str, Any]:
        """The values by the names of the fields, and those of models in it likewise.

        Args:
            mode: ``json`` for values as JSON has them.
            exclude: leave these out.
            exclude_none: leave out what is ``None``.
        """
        aside = {field.name for field in fields(self) if field.metadata == ASIDE}  # type: ignore[arg-type]
        return {
            name: _dumped(value, mode == "json", exclude_none)
            for name, value in self
            if name not in aside and name not in exclude and not (exclude_none and value is None)
        }

    def model_dump_json(self) -> str:
        """The values as JSON."""
        return json.dumps(self.model_dump(mode="json"))


def field_names(kind: type[Model]) -> list[str]:
    """The names of the fields that a reader fills in, in order."""
    return [field.name for field in fields(kind) if field.init]  # type: ignore[arg-type]


def read_json(kind: type[_Kind], text: str) -> _Kind:
    """Read a model from JSON.

    Raises:
        WrongValueError: something in it is unknown, missing or of the wrong kind.
    """
    try:
        values = json.loads(text)
    except ValueError:
        values = None
    found = read_plain(kind, values)
    return found if found is not None else _read_by_pydantic(kind, text, is_json=True)


def read_values(kind: type[_Kind], values: Mapping[str, Any]) -> _Kind:
    """Read a model from values, of which text may be what is no text in the model: ``"2"``, ``"yes"``.

    Raises:
        WrongValueError: something in it is unknown, missing or of the wrong kind.
    """
    found = read_plain(kind, values, as_text=True)
    return found if found is not None else _read_by_pydantic(kind, values, is_json=False)


def _read_by_pydantic(kind: type[_Kind], source: Any, *, is_json: bool) -> _Kind:
    from pydantic import ValidationError

    adapter: TypeAdapter[_Kind] = _adapter(cast("Any", kind))
    try:
        return adapter.validate_json(source) if is_json else adapter.validate_python(source, strict=False)
    except ValidationError as error:
        raise WrongValueError(error.errors(include_url=False)[0]) from error


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    from pydantic import TypeAdapter

    return TypeAdapter(kind)


def _dumped(value: Any, is_json: bool, exclude_none: bool) -> Any:
    if isinstance(value, Model):
        return value.model_dump(mode="json" if is_json else "python", exclude_none=exclude_none)
    if isinstance(value, Mapping):
        return {key: _dumped(one, is_json, exclude_none) for key, one in value.items()}
    if isinstance(value, (tuple, list)):
        found = [_dumped(one, is_json, exclude_none) for one in value]
        return found if is_json else tuple(found)
    if not is_json:
        return value
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, PurePath):
        return str(value)
    if is_dataclass(value):
        values = {field.name: getattr(value, field.name) for field in fields(value)}
        return _dumped(values, True, exclude_none)
    return value
