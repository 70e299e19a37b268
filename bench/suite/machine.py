"""What the figures depend on: the machine, versions, the moment."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Sequence
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path

from slipway import __version__


def facts(root: Path) -> dict[str, str]:
    """The facts, by what a person calls them. They name no machine, and no folder of one."""
    return {
        "on": f"{datetime.now(timezone.utc):%-d %B %Y}",
        "cores": str(os.cpu_count()),
        "memory": f"{_memory_gb():.0f} GB",
        "load before": f"{os.getloadavg()[0]:.1f}",
        "Linux": platform.release().split("-")[0],
        "Python": platform.python_version(),
        "Invoke": version("invoke"),
        "engine": _first(["docker", "version", "--format", "{{.Server.Version}}"]),
        "rsync": (_first(["rsync", "--version"]).split() or ["", "", ""])[2],
        "Slipway": f"{__version__} ({_first(['git', '-C', str(root), 'rev-parse', '--short', 'HEAD'])})",
    }


def _memory_gb() -> float:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9


def _first(argv: Sequence[str]) -> str:
    """The first line that a program prints."""
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
    except OSError:
        return "none"
    return (done.stdout.splitlines() or ["none"])[0]
