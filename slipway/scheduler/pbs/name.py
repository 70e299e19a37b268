"""Names and ids of jobs. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

# PBS wants a letter first, and a run's id may begin with a digit. No id of a run has a dash at this place.
_PREFIX = "x-"
# "123.server", of an array "123[].server", of one of its tasks "123[4].server".
_ID = re.compile(r"([0-9]{1,18})(\[([0-9]{0,9})\])?((?:\.[\w-]+)*)")


@dataclass(frozen=True, kw_only=True)
class JobId:
    """An id: the number, the index in an array (``None``: no array, or all of it), and what stands behind.

    Attributes:
        number: PBS's number of the job, or of the array.
        is_array: whether it is of an array, or of a part of one.
        index: the index in it.
        server: ``.server``, or nothing.
    """

    number: str
    is_array: bool = False
    index: int | None = None
    server: str = ""

    @property
    def whole(self) -> str:
        """The id of the job, or of the whole array."""
        return f"{self.number}{'[]' if self.is_array else ''}{self.server}"

    def of_index(self, index: int) -> str:
        """The id of one part of the array."""
        return f"{self.number}[{index}]{self.server}"


def parse_id(text: str) -> JobId | None:
    """An id as PBS prints it; ``None`` where it is none."""
    match = _ID.fullmatch(text)
    if match is None:
        return None
    index = int(match[3]) if match[3] else None
    return JobId(number=match[1], is_array=match[2] is not None, index=index, server=match[4])


def job_name(name: str) -> str:
    """The name that a job has in PBS."""
    return name if name[:1].isalpha() else f"{_PREFIX}{name}"


def own_name(name: str, index: int | None) -> str:
    """The name that a job has here. Torque puts ``-4`` behind that of an array's part."""
    plain = name.removeprefix(_PREFIX)
    return plain if index is None else plain.removesuffix(f"-{index}")
