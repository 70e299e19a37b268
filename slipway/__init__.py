"""Slipway: from a research container to results from a SLURM cluster.

``from slipway import Project`` is the Python API. Nothing of it is loaded before it is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from slipway import errors
    from slipway.api import Amount, Call, Progress, Project, Results, Run, State, call

__all__ = ["Amount", "Call", "Progress", "Project", "Results", "Run", "State", "call", "errors"]
__version__: str

if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        from importlib import import_module

        if name == "errors":
            return import_module("slipway.errors")
        if name in __all__:
            return getattr(import_module("slipway.api"), name)
        # Read when asked for: what reads it takes longer to load than most of Slipway.
        if name == "__version__":
            from importlib.metadata import PackageNotFoundError, version

            try:
                return version("slipway")
            except PackageNotFoundError:
                return "0.0.0"
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
