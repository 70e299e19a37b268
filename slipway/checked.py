"""Types of values that are checked when they are read, by pydantic or without it: it is slow to load.

They are annotations of plain dataclasses, and do what ``InstanceOf[str]``, ``Field(ge=…, le=…)``,
``AwareDatetime``, ``AfterValidator`` and ``BeforeValidator`` of pydantic do. Its documentation has how it is
told so: ``__get_pydantic_core_schema__``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic_core import CoreSchema


@dataclass(frozen=True)
class AnyText:
    """Any text; pydantic's own ``str`` refuses what is no UTF-8."""

    def __get_pydantic_core_schema__(self, source: Any, handler: Callable[[Any], CoreSchema]) -> CoreSchema:
        """Pydantic's schema."""
        from pydantic_core import core_schema

        return core_schema.is_instance_schema(str)


@dataclass(frozen=True)
class Between:
    """A number that is neither smaller nor larger; of floating-point numbers, a finite one."""

    least: int
    most: float | None = None

    def check(self, value: float) -> None:
        """Refuse another number.

        Raises:
            ValueError: it is one.
        """
        if not self.least <= value or (self.most is not None and not value <= self.most):
            # Pydantic has the words.
            raise ValueError("out of bounds")

    def __get_pydantic_core_schema__(self, source: Any, handler: Callable[[Any], CoreSchema]) -> CoreSchema:
        """Pydantic's schema."""
        limits: dict[str, Any] = {"ge": self.least}
        if self.most is not None:
            limits["le"] = self.most
        if source is float:
            limits["allow_inf_nan"] = False
        schema: Any = {**handler(source), **limits}
        return schema  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Zoned:
    """A time with its zone."""

    def __get_pydantic_core_schema__(self, source: Any, handler: Callable[[Any], CoreSchema]) -> CoreSchema:
        """Pydantic's schema."""
        schema: Any = {**handler(source), "tz_constraint": "aware"}
        return schema  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Check:
    """A value that a function does not refuse: by a ValueError, which says what to write."""

    function: Callable[[Any], object]

    def check(self, value: Any) -> None:
        """Refuse another value.

        Raises:
            ValueError: it is one.
        """
        self.function(value)

    def __get_pydantic_core_schema__(self, source: Any, handler: Callable[[Any], CoreSchema]) -> CoreSchema:
        """Pydantic's schema."""
        from pydantic_core import core_schema

        def check(value: Any) -> Any:
            self.check(value)
            return value

        return core_schema.no_info_after_validator_function(check, handler(source))


@dataclass(frozen=True)
class Before:
    """What a function makes of a value, before it is read."""

    function: Callable[[Any], Any]

    def __get_pydantic_core_schema__(self, source: Any, handler: Callable[[Any], CoreSchema]) -> CoreSchema:
        """Pydantic's schema."""
        from pydantic_core import core_schema

        return core_schema.no_info_before_validator_function(self.function, handler(source))


def form(pattern: str, shown: str) -> Check:
    """Text, or ``None``, that has to match a pattern as a whole; ``shown`` says how it is written."""

    def check(value: str | None) -> None:
        # `re` keeps what it has compiled.
        if value is not None and not re.fullmatch(pattern, value):
            raise ValueError(f"write it as {shown}")

    return Check(check)


Text = Annotated[str, AnyText()]
Whole = Annotated[int, Between(-(1 << 40), 1 << 40)]
Count = Annotated[int, Between(0, 1 << 62)]
Positive = Annotated[int, Between(1)]
Amount = Annotated[float, Between(0, 1e18)]
Moment = Annotated[datetime, Zoned()]
