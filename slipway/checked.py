"""Types of values that are checked when they are read, by pydantic, which is not loaded before that.

They are annotations of plain dataclasses, and do what ``InstanceOf[str]``, ``Field(ge=…, le=…)`` and
``AwareDatetime`` of pydantic do. Its documentation has how it is told so: ``__get_pydantic_core_schema__``.
"""

from __future__ import annotations

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
    most: float

    def __get_pydantic_core_schema__(self, source: Any, handler: Callable[[Any], CoreSchema]) -> CoreSchema:
        """Pydantic's schema."""
        limits: dict[str, Any] = {"ge": self.least, "le": self.most}
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


Text = Annotated[str, AnyText()]
Whole = Annotated[int, Between(-(1 << 40), 1 << 40)]
Count = Annotated[int, Between(0, 1 << 62)]
Amount = Annotated[float, Between(0, 1e18)]
Moment = Annotated[datetime, Zoned()]
