"""Slipway: from a research container to results from a SLURM cluster."""

from typing import TYPE_CHECKING

__version__: str

if not TYPE_CHECKING:

    def __getattr__(name: str) -> str:
        # Read when asked for: what reads it takes longer to load than most of Slipway.
        if name == "__version__":
            from importlib.metadata import PackageNotFoundError, version

            try:
                return version("slipway")
            except PackageNotFoundError:
                return "0.0.0"
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
