"""What comes with Slipway beside its code: Dockerfiles, the job script, the box, sites and profiles."""

from __future__ import annotations

from pathlib import Path

# Where a wheel has them.
PACKED = Path(__file__).resolve().parent / "share"


def share_folder() -> Path:
    """The folder with the ``docker/``, ``singularity/``, ``cluster/`` and ``env/`` that come with Slipway.

    A wheel has them in the package, a checkout beside it.
    """
    return PACKED if PACKED.is_dir() else PACKED.parents[1]


def is_installed(path: Path) -> bool:
    """True for what was installed with Slipway; git has no say there, not even in a checkout's ``.venv``."""
    return path.resolve().is_relative_to(PACKED)
