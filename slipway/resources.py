"""What a job asks a scheduler for."""

from __future__ import annotations

import re
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from slipway.errors import ParseError
from slipway.validation import form

# No cluster has longer numbers.
_TIME = r"[0-9]{1,9}(:[0-9]{1,2}){0,2}|[0-9]{1,9}-[0-9]{1,2}(:[0-9]{1,2}){0,2}"
_TIME_FORM = "minutes, H:MM:SS or D-HH:MM:SS"
_MEMORY = r"[0-9]{1,15}[KMGTkmgt]?"
_MEMORY_FORM = "a number with K, M, G or T behind it, such as 4G"
Time = Annotated[str | None, form(_TIME, _TIME_FORM)]
Memory = Annotated[str | None, form(_MEMORY, _MEMORY_FORM)]
_Gpus = Annotated[
    str | None,
    form(r"[0-9]{1,6}|[A-Za-z][\w.-]*(:[0-9]{1,6})?", "a number, or a type and a number such as a100:2"),
]
Name = Annotated[str | None, form(r"[\w.,@+-]+", "a name of letters, digits and . , _ @ + -")]
# The tasks of one run: SLURM itself takes 1001 of them, unless a site says otherwise (MaxArraySize).
MOST_TASKS = 100_000
# The links of a run that goes on after its time limit, where nobody says how many.
LINKS = 10
MOST_LINKS = 1000
_RANGE = r"[0-9]{1,9}(-[0-9]{1,9}(:[0-9]{1,9})?)?"
_ARRAY = rf"{_RANGE}(,{_RANGE})*(%[0-9]{{1,9}})?"
_ARRAY_FORM = "numbers and ranges, such as 0-9, 1,3,5 or 0-99%4"
_Array = Annotated[str | None, form(_ARRAY, _ARRAY_FORM), AfterValidator(lambda value: _check_array(value))]
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

_MEBIBYTES = {"K": 1 / 1024, "M": 1, "G": 1024, "T": 1024 * 1024}
_Kind = TypeVar("_Kind", bound="Resources")


class Resources(BaseModel):
    """What a job asks any scheduler for; ``None`` leaves it to whoever is asked next.

    ``mem`` and ``gpus`` are for each node. A scheduler adds fields of its own in a derived model.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    time: Time = None
    cpus: int | None = Field(default=None, ge=1)
    mem: Memory = None
    gpus: _Gpus = None
    nodes: int | None = Field(default=None, ge=1)
    exclusive: bool | None = None
    partition: Name = None
    account: Name = None
    array: _Array = None
    dependency: _Dependency = None
    # How many times a job that ends by its time limit may begin again; it is for each task of an array.
    continue_after_limit: int | None = Field(default=None, ge=0, le=MOST_LINKS)

    def over(self: _Kind, other: Resources) -> _Kind:
        """These, with what they leave open taken from ``other``; lists are put behind the other's."""
        mine: dict[str, Any] = {}
        for key in type(self).model_fields:
            value = getattr(self, key)
            if isinstance(value, tuple):
                mine[key] = (*getattr(other, key, ()), *value)
            elif value is not None:
                mine[key] = value
        # Another scheduler's defaults have not all of the fields that a profile may have.
        whole = other if isinstance(other, type(self)) else type(self)().model_copy(update=dict(other))
        return whole.model_copy(update=mine)

    @property
    def gpu_count(self) -> int:
        """GPUs on each node."""
        last = (self.gpus or "0").rpartition(":")[2]
        return int(last) if last.isdigit() else 1

    @property
    def gpu_type(self) -> str | None:
        """Which GPUs, or ``None`` for any."""
        first = (self.gpus or "0").partition(":")[0]
        return None if first.isdigit() else first


def minutes(time: str) -> float:
    """A wall time as SLURM writes it, in minutes (``man sbatch``, ``--time``).

    The forms are ``minutes``, ``minutes:seconds``, ``hours:minutes:seconds``, ``days-hours``,
    ``days-hours:minutes`` and ``days-hours:minutes:seconds``. Zero is no limit.

    Raises:
        ParseError: it is of another form.
    """
    if not re.fullmatch(_TIME, time):
        raise ParseError(f"{time[:100]!r} is no time; expected {_TIME_FORM}")
    days, dash, rest = time.rpartition("-")
    parts = [int(part) for part in rest.split(":")]
    if dash:
        hours, mins, seconds = (*parts, 0, 0)[:3]
    elif len(parts) == 3:
        hours, mins, seconds = parts
    else:
        hours, mins, seconds = 0, parts[0], (parts[1] if len(parts) > 1 else 0)
    return int(days or 0) * 1440 + hours * 60 + mins + seconds / 60 or float("inf")


def mebibytes(memory: str) -> float:
    """Memory as SLURM writes it (``man sbatch``, ``--mem``), in MiB; a number alone is MiB.

    Raises:
        ParseError: it is of another form.
    """
    if not re.fullmatch(_MEMORY, memory):
        raise ParseError(f"{memory[:100]!r} is no size of memory; expected {_MEMORY_FORM}")
    unit = memory[-1].upper()
    return int(memory[:-1]) * _MEBIBYTES[unit] if unit in _MEBIBYTES else int(memory)


def parse_array(spec: str) -> list[int]:
    """The indices of an array's tasks, in order.

    Args:
        spec: as ``--array`` has it: ``0-9``, ``1,3,5``, ``0-9:3%2``.

    Raises:
        ParseError: it is of another form, has a step of 0, a range that ends before it begins, or more than
            :data:`MOST_TASKS` tasks.
    """
    if not re.fullmatch(_ARRAY, spec):
        raise ParseError(f"{spec[:100]!r} is no list of tasks; expected {_ARRAY_FORM}")
    indices: set[int] = set()
    count = 0
    for part in spec.partition("%")[0].split(","):
        ends, _, step = part.partition(":")
        first, _, last = ends.partition("-")
        some = _range(part, int(first), int(last or first), int(step or 1))
        count += len(some)
        if count > MOST_TASKS:
            raise ParseError(f"there are more tasks than the {MOST_TASKS} of one run")
        indices.update(some)
    return sorted(indices)


def _range(part: str, first: int, last: int, step: int) -> range:
    if step == 0:
        raise ParseError(f"{part} has a step of 0")
    if last < first:
        raise ParseError(f"{part} ends before it begins")
    return range(first, last + 1, step)


def _check_array(value: str | None) -> str | None:
    try:
        return value if value is None or parse_array(value) else None
    except ParseError as error:
        raise ValueError(str(error)) from error
