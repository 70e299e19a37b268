"""What an engine of your own is given, and what it returns.

An engine is a folder with ``engine.py`` in it, which has one function::

    def estimate(sequence: Sequence, settings: Settings, workspace: Path) -> Result: ...

``--engine ./my_engine`` runs it, in a process of its own. What it needs is imported from here and stays as
it is: the names in ``__all__``; of a sequence ``name``, ``frames``, ``width``, ``height``, ``intrinsics``,
``mode``, ``baseline_m`` and ``pictures``; of the settings ``threads``, ``seed`` and ``options``, which are
the ``--engine-option KEY=VALUE`` of the command line, as text. ``workspace`` is an empty folder for files on
the way, removed afterwards. ``docs/engines.md`` has an example.

``sequence.frames`` are the files as they were taken. With the line ``PICTURES = True`` in ``engine.py``,
``sequence.pictures`` has them undistorted and resized as DROID-SLAM takes them, with depth in metres, and
``width`` and ``height`` are theirs; the sequence then needs a calibration.

Raise ``InputError`` where the images are not what the engine can work on, and ``ReconstructionError`` where
no trajectory comes out of them: both are told in one line. ``say`` prints a line to the log.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence as Several
from dataclasses import dataclass, field
from pathlib import Path

import numpy.typing as npt

from slam.dataset.camera import Intrinsics
from slam.dataset.sequence import Frame, Picture, Sequence
from slam.engine.estimate import Settings
from slam.errors import InputError, ReconstructionError
from slam.progress import say

__all__ = [
    "Frame",
    "InputError",
    "Intrinsics",
    "Picture",
    "ReconstructionError",
    "Result",
    "Sequence",
    "Settings",
    "say",
]


@dataclass(frozen=True, kw_only=True)
class Result:
    """Where the camera was, and what it saw, in one world of any unit of length.

    ``poses`` [n, 4, 4] bring points from the camera (x right, y down, z ahead) to the world; the last column
    is the camera's centre. ``frames`` are the n places in the sequence, from 0, that have a pose, in order;
    ``None`` where all have one. ``points`` [m, 3] are in the world, ``colors`` [m, 3] their red, green and
    blue from 0 to 255; without colors they are grey. ``intrinsics`` are those of the files, needed where the
    sequence has none. ``facts``, what JSON can hold, go to ``summary.json``,
    ``versions`` of libraries too. ``files`` are more results, by their names. ``caveat`` is written on the
    figures, where the results mean nothing.
    """

    poses: npt.ArrayLike
    frames: Several[int] | None = None
    points: npt.ArrayLike = ()
    colors: npt.ArrayLike | None = None
    intrinsics: Intrinsics | None = None
    facts: Mapping[str, object] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, Path] = field(default_factory=dict)
    caveat: str | None = None
