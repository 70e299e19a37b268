"""What a job asks a scheduler for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from slipway.checked import Between, Check, Positive, form
from slipway.errors import ParseError
from slipway.model import Model, field_names
from slipway.quantity import ARRAY, ARRAY_FORM, MEMORY, MEMORY_FORM, TIME, TIME_FORM, parse_array
from slipway.text.number import whole

Time = Annotated[str | None, form(TIME, TIME_FORM)]
Memory = Annotated[str | None, form(MEMORY, MEMORY_FORM)]
_Gpus = Annotated[
    str | None,
    form(r"[0-9]{1,6}|[A-Za-z][\w.-]*(:[0-9]{1,6})?", "a number, or a type and a number such as a100:2"),
]
Name = Annotated[str | None, form(r"[\w.,@+-]+", "a name of letters, digits and . , _ @ + -")]
# The links of a run that goes on after its time limit, where nobody says how many.
LINKS = 10
MOST_LINKS = 1000
_Array = Annotated[str | None, form(ARRAY, ARRAY_FORM), Check(lambda value: _check_array(value))]
# PBS's ids have the name of its server behind them, and an array's have brackets.
_JOB = r":[0-9]+(_[0-9]+|\[[0-9]*\])?(\.[\w-]+)*(\+[0-9]+)?"
_AFTER = rf"(after|afterany|afterok|afternotok|aftercorr|afterburstbuffer)({_JOB})+"
_Dependency = Annotated[
    str | None,
    form(
        rf"{_AFTER}(,{_AFTER})*|{_AFTER}(\?{_AFTER})*",
        "a condition and the scheduler's job ids, such as afterok:123",
    ),
]

_Kind = TypeVar("_Kind", bound="Resources")


@dataclass(frozen=True, kw_only=True)
class Resources(Model):
    """What a job asks any scheduler for; ``None`` leaves it to whoever is asked next.

    ``mem`` and ``gpus`` are for each node. A scheduler adds fields of its own in a derived class.
    """

    time: Time = None
    cpus: Positive | None = None
    mem: Memory = None
    gpus: _Gpus = None
    nodes: Positive | None = None
    exclusive: bool | None = None
    partition: Name = None
    account: Name = None
    array: _Array = None
    dependency: _Dependency = None
    # How many times a job that ends by its time limit may begin again; it is for each task of an array.
    continue_after_limit: Annotated[int, Between(0, MOST_LINKS)] | None = None

    def over(self: _Kind, other: Resources) -> _Kind:
        """These, with what they leave open taken from ``other``; lists are put behind the other's."""
        mine: dict[str, Any] = {}
        for key, value in self:
            if isinstance(value, tuple):
                mine[key] = (*getattr(other, key, ()), *value)
            elif value is not None:
                mine[key] = value
        # Another scheduler's defaults have not all of the fields that a profile may have.
        known = field_names(type(self))
        theirs = {key: value for key, value in other if key in known}
        whole = other if isinstance(other, type(self)) else type(self)(**theirs)
        return whole.model_copy(update=mine)

    @property
    def gpu_count(self) -> int:
        """GPUs on each node."""
        number = whole((self.gpus or "0").rpartition(":")[2])
        return 1 if number is None else number

    @property
    def gpu_type(self) -> str | None:
        """Which GPUs, or ``None`` for any."""
        first = (self.gpus or "0").partition(":")[0]
        return first if whole(first) is None else None


def _check_array(value: str | None) -> None:
    try:
        if value is not None:
            parse_array(value)
    except ParseError as error:
        raise ValueError(str(error)) from error
