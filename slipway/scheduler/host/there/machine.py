"""What this machine has: GPUs that nobody uses, processors, memory; and what processes take of it."""
# ruff: noqa: PTH208, RUF005, UP006, UP035, UP045 - Python 3.6 has no others

import os
import subprocess
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional

_PATIENCE_S = 20
# Somebody else's program may have no process that can be seen from here, as in another container.
_IDLE_MIB = 512
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Gpu(NamedTuple):
    """A GPU: its number, its name, and whether somebody uses it."""

    number: int
    name: str
    is_used: bool


def gpus() -> List[Gpu]:
    """The GPUs, by ``nvidia-smi``; those alone that ``CUDA_VISIBLE_DEVICES`` names, where it does."""
    asked = ["--query-gpu=index,name,memory.used,uuid", "--format=csv,noheader,nounits"]
    rows = [line.split(", ") for line in _ask(asked)]
    busy = set(_ask(["--query-compute-apps=gpu_uuid", "--format=csv,noheader"]))
    visible = _visible()
    found = []
    for row in rows:
        if len(row) == 4 and row[0].isdigit() and (visible is None or row[0] in visible or row[3] in visible):
            used = int(row[2]) if row[2].isdigit() else 0
            found.append(Gpu(int(row[0]), row[1], row[3] in busy or used > _IDLE_MIB))
    return found


def _visible() -> Optional[List[str]]:
    value = os.environ.get("CUDA_VISIBLE_DEVICES")
    return None if value is None else [word.strip() for word in value.split(",") if word.strip()]


def _ask(options: List[str]) -> List[str]:
    try:
        done = subprocess.run(
            ["nvidia-smi"] + options,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=_PATIENCE_S,
        )
    except (OSError, subprocess.SubprocessError):
        return []
    lines = done.stdout.decode("utf-8", "replace").splitlines() if done.returncode == 0 else []
    return [line.strip() for line in lines if line.strip()]


def processors() -> List[int]:
    """The numbers of the processors that this user's programs may run on."""
    return sorted(os.sched_getaffinity(0))


def memory_bytes() -> int:
    """The machine's memory, or what a container in its place may have of it."""
    total = os.sysconf("SC_PHYS_PAGES") * _PAGE_BYTES
    for name in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            word = Path(name).read_text().strip()
        except OSError:
            continue
        if word.isdigit():
            total = min(total, int(word))
    return total


def descendants(pid: int) -> List[int]:
    """The processes below one, as they are now."""
    children: Dict[int, List[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                rest = Path("/proc", name, "stat").read_text(errors="replace").rpartition(")")[2].split()
            except OSError:
                continue
            children.setdefault(int(rest[1]), []).append(int(name))
    found, open_ones = [], [pid]
    while open_ones:
        below = children.get(open_ones.pop(), [])
        found += below
        open_ones += below
    return found


def resident_bytes(pid: int) -> int:
    """The memory of a process that is in RAM, 0 where it is gone."""
    try:
        return int(Path("/proc", str(pid), "statm").read_text().split()[1]) * _PAGE_BYTES
    except (OSError, ValueError, IndexError):
        return 0


def own_bytes(pid: int) -> int:
    """The same, with its part alone of what several processes share, which takes longer to find out."""
    try:
        for line in Path("/proc", str(pid), "smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    return resident_bytes(pid)
