"""What a job asks SLURM for."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from slipway.errors import UsageError
from slipway.scheduler.slurm.option import check_option


def _form(pattern: str, form: str) -> AfterValidator:
    compiled = re.compile(pattern)

    def check(value: str | None) -> str | None:
        if value is not None and not compiled.fullmatch(value):
            raise ValueError(f"write it as {form}")
        return value

    return AfterValidator(check)


Time = Annotated[
    str | None,
    _form(r"[0-9]+(:[0-9]{1,2}){0,2}|[0-9]+-[0-9]{1,2}(:[0-9]{1,2}){0,2}", "minutes, H:MM:SS or D-HH:MM:SS"),
]
Memory = Annotated[
    str | None, _form(r"[0-9]+[KMGTkmgt]?", "a number with K, M, G or T behind it, such as 4G")
]
_Gpus = Annotated[
    str | None,
    _form(r"[0-9]+|[A-Za-z][\w.-]*(:[0-9]+)?", "a number, or a type and a number such as a100:2"),
]
_Name = Annotated[str | None, _form(r"[\w.,@+-]+", "a name of letters, digits and . , _ @ + -")]
_Constraint = Annotated[
    str | None,
    _form(r"[\w.,:&|*()\[\]=-]+", "features of nodes, with & | and brackets between them, such as a100&ib"),
]
_RANGE = r"[0-9]+(-[0-9]+(:[0-9]+)?)?"
_Array = Annotated[
    str | None,
    _form(rf"{_RANGE}(,{_RANGE})*(%[0-9]+)?", "numbers and ranges, such as 0-9, 1,3,5 or 0-99%4"),
]
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
    """
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
    """Memory as SLURM writes it (``man sbatch``, ``--mem``), in MiB; a number alone is MiB."""
    unit = memory[-1].upper()
    return int(memory[:-1]) * _MEBIBYTES[unit] if unit in _MEBIBYTES else int(memory)


def parse_array(spec: str) -> list[int]:
    """The indices of an array's tasks, in order.

    Args:
        spec: as ``--array`` has it: ``0-9``, ``1,3,5``, ``0-9:3%2``.
    """
    indices: set[int] = set()
    for part in spec.partition("%")[0].split(","):
        ends, _, step = part.partition(":")
        first, _, last = ends.partition("-")
        indices.update(range(int(first), int(last or first) + 1, int(step or 1)))
    return sorted(indices)


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
