"""Times, memory and lists of tasks as text, as SLURM writes them. Pure, and without pydantic."""

from __future__ import annotations

import re

from slipway.errors import ParseError

# No cluster has longer numbers.
TIME = r"[0-9]{1,9}(:[0-9]{1,2}){0,2}|[0-9]{1,9}-[0-9]{1,2}(:[0-9]{1,2}){0,2}"
TIME_FORM = "minutes, H:MM:SS or D-HH:MM:SS"
MEMORY = r"[0-9]{1,15}[KMGTkmgt]?"
MEMORY_FORM = "a number with K, M, G or T behind it, such as 4G"
_RANGE = r"[0-9]{1,9}(-[0-9]{1,9}(:[0-9]{1,9})?)?"
ARRAY = rf"{_RANGE}(,{_RANGE})*(%[0-9]{{1,9}})?"
ARRAY_FORM = "numbers and ranges, such as 0-9, 1,3,5 or 0-99%4"
# The tasks of one run: SLURM itself takes 1001 of them, unless a site says otherwise (MaxArraySize).
MOST_TASKS = 100_000
_MEBIBYTES = {"K": 1 / 1024, "M": 1, "G": 1024, "T": 1024 * 1024}


def minutes(time: str) -> float:
    """A wall time as SLURM writes it, in minutes (``man sbatch``, ``--time``).

    The forms are ``minutes``, ``minutes:seconds``, ``hours:minutes:seconds``, ``days-hours``,
    ``days-hours:minutes`` and ``days-hours:minutes:seconds``. Zero is no limit.

    Raises:
        ParseError: it is of another form.
    """
    if not re.fullmatch(TIME, time):
        raise ParseError(f"{time[:100]!r} is no time; expected {TIME_FORM}")
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
    if not re.fullmatch(MEMORY, memory):
        raise ParseError(f"{memory[:100]!r} is no size of memory; expected {MEMORY_FORM}")
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
    if not re.fullmatch(ARRAY, spec):
        raise ParseError(f"{spec[:100]!r} is no list of tasks; expected {ARRAY_FORM}")
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
