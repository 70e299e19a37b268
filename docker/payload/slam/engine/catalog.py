"""Which engines there are. A new one is a module with ``estimate``, and an entry here."""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from slam.engine.colmap import options as colmap
from slam.engine.droid import options as droid
from slam.errors import UsageError
from slam.grammar import one_of

if TYPE_CHECKING:
    from slam.dataset.sequence import Mode
    from slam.engine.worker import Engine


@dataclass(frozen=True, kw_only=True)
class Entry:
    """What of a sequence an engine works on, and the module with its function ``estimate``.

    ``reads_files`` is for one that opens the image files itself: nothing of them is undistorted or resized.
    ``options`` is the dataclass of what the command line may set of it, ``None`` where there is nothing.
    """

    module: str | None = None
    options: type | None = None
    modes: tuple[Mode, ...] = ("mono", "stereo", "rgbd")
    reads_files: bool = False


# By the name that the command line has for it; a module is imported when its engine is chosen.
ENTRIES = {
    "colmap": Entry(
        module="slam.engine.colmap.engine", options=colmap.Options, modes=("mono",), reads_files=True
    ),
    "droid": Entry(module="slam.engine.droid.engine", options=droid.Options),
    "open3d": Entry(module="slam.engine.open3d.engine", modes=("rgbd",)),
}
ENGINES = tuple(ENTRIES)
_OPTIONS = {"mono": "", "stereo": "--stereo", "rgbd": "--depth"}


def engine_name(text: str) -> str:
    """The name of an engine, or a path to a folder of the user's own, which has a ``/`` in it."""
    if not is_folder(text):
        try:
            one_of(ENGINES)(text)
        except argparse.ArgumentTypeError as error:
            raise argparse.ArgumentTypeError(f"{error}; a folder of your own is ./{text}") from error
    return text


def is_folder(name: str) -> bool:
    """Whether it is a user's own engine."""
    return os.sep in name


def find_engine(name: str) -> Entry:
    """What an engine works on.

    Raises:
        InputError: it is a folder without an engine.
    """
    if is_folder(name):
        from slam.engine.own import takes_pictures

        return Entry(reads_files=not takes_pictures(Path(name)))
    return ENTRIES[name]


def require_engine(name: str, mode: Mode, *, has_options: bool) -> None:
    """Make sure that an engine is there, works on such frames, and takes ``--engine-option`` if there is one.

    Raises:
        InputError: it is a folder without an engine.
        UsageError: it does something else.
    """
    modes = find_engine(name).modes
    if has_options and not is_folder(name):
        raise UsageError(f"--engine-option is for an engine of your own (--engine ./FOLDER); {name} has none")
    if mode in modes:
        return
    if mode == "mono":
        raise UsageError(f"{name} needs more than the images of one camera; add {_OPTIONS[modes[0]]}")
    others = [other for other, entry in ENTRIES.items() if mode in entry.modes]
    raise UsageError(
        f"{name} has no use for {_OPTIONS[mode]}; leave it out, or use --engine {' or '.join(others)}"
    )


def load_engine(name: str) -> Engine:
    """The function that estimates; only the chosen engine's libraries are needed.

    Raises:
        InputError: it is a folder without an engine.
    """
    if is_folder(name):
        from slam.engine.own import OwnEngine, find_file

        return OwnEngine(folder=find_file(Path(name)).parent)
    module = ENTRIES[name].module
    assert module is not None  # noqa: S101 - only a folder's entry has none
    engine: Engine = import_module(module).estimate
    return engine
