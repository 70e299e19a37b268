"""What a job asks SLURM for."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from slipway.errors import ParseError, UsageError
from slipway.scheduler.slurm.option import check_option


def _form(pattern: str, form: str) -> AfterValidator:
    compiled = re.compile(pattern)

    def check(value: str | None) -> str | None:
        if value is not None and not compiled.fullmatch(value):
            raise ValueError(f"write it as {form}")
        return value

    return AfterValidator(check)


# No cluster has longer numbers.
_TIME = r"[0-9]{1,9}(:[0-9]{1,2}){0,2}|[0-9]{1,9}-[0-9]{1,2}(:[0-9]{1,2}){0,2}"
_TIME_FORM = "minutes, H:MM:SS or D-HH:MM:SS"
_MEMORY = r"[0-9]{1,15}[KMGTkmgt]?"
_MEMORY_FORM = "a number with K, M, G or T behind it, such as 4G"
Time = Annotated[str | None, _form(_TIME, _TIME_FORM)]
Memory = Annotated[str | None, _form(_MEMORY, _MEMORY_FORM)]
_Gpus = Annotated[
    str | None,
    _form(r"[0-9]{1,6}|[A-Za-z][\w.-]*(:[0-9]{1,6})?", "a number, or a type and a number such as a100:2"),
]
_Name = Annotated[str | None, _form(r"[\w.,@+-]+", "a name of letters, digits and . , _ @ + -")]
_Constraint = Annotated[
    str | None,
    _form(r"[\w.,:&|*()\[\]=-]+", "features of nodes, with & | and brackets between them, such as a100&ib"),
]
# The tasks of one run: SLURM itself takes 1001 of them, unless a site says otherwise (MaxArraySize).
MOST_TASKS = 100_000
_RANGE = r"[0-9]{1,9}(-[0-9]{1,9}(:[0-9]{1,9})?)?"
_ARRAY = rf"{_RANGE}(,{_RANGE})*(%[0-9]{{1,9}})?"
_ARRAY_FORM = "numbers and ranges, such as 0-9, 1,3,5 or 0-99%4"
_Array = Annotated[str | None, _form(_ARRAY, _ARRAY_FORM), AfterValidator(lambda value: _check_array(value))]
_JOB = r":[0-9]+(_[0-9]+)?(\+[0-9]+)?"
_AFTER = rf"(after|afterany|afterok|afternotok|aftercorr|afterburstbuffer)({_JOB})+"
_Dependency = Annotated[
    str | None,
    _form(
        rf"{_AFTER}(,{_AFTER})*|{_AFTER}(\?{_AFTER})*", "a condition and SLURM's job ids, such as afterok:123"
    ),
]
# What pydantic calls a value of the wrong kind (https://docs.pydantic.dev/latest/errors/validation_errors/).
_WORDS = {
    "int_parsing": "write a whole number",
    "int_type": "write a whole number",
    "bool_parsing": "write yes or no",
    "bool_type": "write true or false",
    "string_type": "write it in quotes",
    "tuple_type": "write a list, such as [one, two]",
    "dict_type": "write keys with values",
    "model_type": "write keys with values",
    "model_attributes_type": "write keys with values",
}
_MEBIBYTES = {"K": 1 / 1024, "M": 1, "G": 1024, "T": 1024 * 1024}
_Option = Annotated[str, AfterValidator(check_option)]


class Resources(BaseModel):
    """What a job asks SLURM for; ``None`` leaves it to whoever is asked next.

    ``mem`` and ``gpus`` are for each node. ``sbatch`` has other options of sbatch: ``--comment=mine``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    time: Time = None
    cpus: int | None = Field(default=None, ge=1)
    mem: Memory = None
    gpus: _Gpus = None
    nodes: int | None = Field(default=None, ge=1)
    exclusive: bool | None = None
    partition: _Name = None
    account: _Name = None
    qos: _Name = None
    constraint: _Constraint = None
    array: _Array = None
    dependency: _Dependency = None
    sbatch: tuple[_Option, ...] = ()

    def over(self, other: Resources) -> Resources:
        """These, with what they leave open taken from ``other``; further options come behind the other's."""
        mine = {key: value for key, value in self.model_dump().items() if value is not None}
        return other.model_copy(update={**mine, "sbatch": (*other.sbatch, *self.sbatch)})

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


def parse_resources(words: Mapping[str, str | None], options: Sequence[str] = ()) -> Resources:
    """What the command line asks for.

    Args:
        words: by the names of :class:`Resources`.
        options: other options of sbatch.

    Raises:
        UsageError: a value is of the wrong kind.
    """
    try:
        return read_resources({key: str(value) for key, value in words.items() if value is not None}, options)
    except ValidationError as error:
        problem = error.errors()[0]
        raise UsageError(f"--{problem['loc'][0]} {problem['input']}: {explain(problem)}") from error


def read_resources(words: Mapping[str, str], options: Sequence[str]) -> Resources:
    """Resources from text, as a dotenv file or the command line has it.

    Raises:
        ValidationError: a value is of the wrong kind.
    """
    others = Resources.model_validate({"sbatch": tuple(options)})
    return Resources.model_validate_strings(dict(words)).over(others)


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


def explain(problem: Any) -> str:
    """What to write instead: one of the errors that pydantic has found, in plain words."""
    kind = problem["type"]
    if kind == "greater_than_equal":
        return f"write {problem['ctx']['ge']} or more"
    if kind == "less_than_equal":
        return f"write {problem['ctx']['le']} or less"
    if kind == "literal_error":
        return f"write {problem['ctx']['expected']}"
    message: str = problem["msg"]
    return _WORDS.get(kind) or message.removeprefix("Value error, ")
