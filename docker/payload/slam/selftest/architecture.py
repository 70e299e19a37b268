"""GPU architectures: which code runs on which GPU.

A GPU's compute capability is a major and a minor number. Machine code (``sm_80``) runs on GPUs of its major
number from its minor number on. PTX (``compute_80``) is compiled by the driver for every GPU from its number
on. Of ``sm_90a`` neither holds: it runs on 9.0 alone.
https://docs.nvidia.com/cuda/cuda-compiler-driver-nvcc/#gpu-compilation
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

_WORD = re.compile(r"(\d+)\.(\d)(a?)(\+PTX)?")
_FLAG = re.compile(r"(sm|compute)_(\d+)(\d)(a?)")


@dataclass(frozen=True, order=True)
class Architecture:
    """Code for one architecture, as machine code or as PTX."""

    major: int
    minor: int
    is_ptx: bool = False
    is_exact: bool = False

    def runs_on(self, major: int, minor: int) -> bool:
        """Whether it runs on a GPU of this compute capability."""
        if self.is_exact:
            return (major, minor) == (self.major, self.minor)
        if self.is_ptx:
            return (major, minor) >= (self.major, self.minor)
        return major == self.major and minor >= self.minor

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}{'a' * self.is_exact}{'+PTX' * self.is_ptx}"


def parse_list(text: str) -> list[Architecture]:
    """The words of a ``TORCH_CUDA_ARCH_LIST``: ``7.0;8.0;9.0+PTX`` is machine code for three, and PTX.

    Raises:
        ValueError: a word is not of that form, or there is none.
    """
    found = []
    for word in re.split(r"[;\s]+", text.strip("; \t")):
        match = _WORD.fullmatch(word)
        if match is None:
            raise ValueError(f"{word!r} is not an architecture; write numbers such as 7.0;8.0;9.0 or 9.0+PTX")
        major, minor, is_exact = int(match[1]), int(match[2]), bool(match[3])
        found.append(Architecture(major, minor, is_exact=is_exact))
        if match[4]:
            found.append(Architecture(major, minor, is_ptx=True, is_exact=is_exact))
    return found


def parse_flags(words: Iterable[str]) -> list[Architecture]:
    """Those of ``sm_80`` and ``compute_80``, as CUDA's tools write them; other words are passed over."""
    matches = (_FLAG.fullmatch(word) for word in words)
    return [
        Architecture(int(match[2]), int(match[3]), is_ptx=match[1] == "compute", is_exact=bool(match[4]))
        for match in matches
        if match
    ]


def covers(code: Iterable[Architecture], major: int, minor: int) -> bool:
    """Whether any of this code runs on a GPU of this compute capability."""
    return any(one.runs_on(major, minor) for one in code)
