"""What comes with Slipway beside its code: Dockerfiles, the job script, the box, sites and profiles."""

from __future__ import annotations

from pathlib import Path


def share_folder() -> Path:
    """The folder with the ``docker/``, ``singularity/``, ``cluster/`` and ``env/`` that come with Slipway.

    A wheel has them in the package, a checkout beside it.
    """
    package = Path(__file__).resolve().parent
    packed = package / "share"
    return packed if packed.is_dir() else package.parent
