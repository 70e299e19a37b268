"""Which engines there are. A new one is a module with ``estimate``, and a line here."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from slam.errors import InputError

if TYPE_CHECKING:
    from slam.engine.worker import Engine

# By the name that the command line has for it; a module is imported when its engine is chosen.
MODULES = {
    "colmap": "slam.engine.colmap.engine",
    "droid": "slam.engine.droid.engine",
}
ENGINES = tuple(MODULES)


def load_engine(name: str) -> Engine:
    """The function that estimates; only the chosen engine's libraries are needed.

    Raises:
        InputError: there is no such engine.
    """
    if name not in MODULES:
        raise InputError(f"there is no engine {name!r}; there are {', '.join(ENGINES)}")
    engine: Engine = import_module(MODULES[name]).estimate
    return engine
