"""How many threads the program may use."""

from __future__ import annotations

import os
from collections.abc import Mapping


def thread_limit(environment: Mapping[str, str], cores: int) -> int:
    """The most threads that this job was given.

    Args:
        environment: where ``SLURM_CPUS_PER_TASK`` and ``OMP_NUM_THREADS`` are looked up; a value that is no
            positive number says nothing. ``OMP_NUM_THREADS`` may be a list, one number for each level of
            nesting; the first counts.
        cores: the number of cores that the process may run on.

    Returns:
        The smallest of what is set, at least 1.
    """
    named = (environment.get(name, "").split(",")[0] for name in ("SLURM_CPUS_PER_TASK", "OMP_NUM_THREADS"))
    return max(1, min([cores, *(int(value) for value in named if value.strip().isdecimal() and int(value))]))


def core_count() -> int:
    """The number of cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def bind_threads(threads: int) -> None:
    """Hold the libraries that read it at import (OpenBLAS, OpenMP) to this number of threads."""
    os.environ["OMP_NUM_THREADS"] = str(threads)
    os.environ["OPENBLAS_NUM_THREADS"] = str(threads)
