"""The GPUs of this machine, as PyTorch sees them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_DRIVER = Path("/proc/driver/nvidia/version")


@dataclass(frozen=True, kw_only=True)
class Gpu:
    """One GPU: its name, compute capability and memory in bytes."""

    name: str
    major: int
    minor: int
    memory_bytes: int

    def __str__(self) -> str:
        return f"{self.name}, compute capability {self.major}.{self.minor}, {self.memory_bytes / 1e9:.0f} GB"


def find_gpus() -> tuple[list[Gpu], str]:
    """The GPUs, and, where there are none, why."""
    import torch

    if torch.version.cuda is None:
        return [], f"PyTorch {torch.__version__} is one without CUDA"
    try:
        torch.cuda.init()
    except (RuntimeError, AssertionError) as error:
        return [], next(iter(str(error).splitlines()), type(error).__name__)
    found = [torch.cuda.get_device_properties(index) for index in range(torch.cuda.device_count())]
    gpus = [
        Gpu(name=one.name, major=one.major, minor=one.minor, memory_bytes=one.total_memory) for one in found
    ]
    return gpus, "" if gpus else "the job was given none"


def read_driver(file: Path = _DRIVER) -> str | None:
    """The version of NVIDIA's driver on this machine; ``None`` where there is none."""
    try:
        text = file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    match = re.search(r"Kernel Module.*?\s(\d+\.\d+(?:\.\d+)?)\s", text)
    return match[1] if match else None
