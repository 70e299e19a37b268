"""How long sequences are: how many images they have, and how many seconds these span."""

from __future__ import annotations

import json
from collections.abc import Sequence
from math import isfinite
from pathlib import Path

from slam.dataset.catalog import Staged
from slam.dataset.frames import seconds_of
from slam.dataset.layout import open_sequence
from slam.dataset.sequence import SECONDS, Choice
from slam.dataset.sequence import Sequence as Frames
from slam.errors import InputError
from slam.output.results import write_json
from slam.progress import say

JSON = "lengths.json"


def measure_lengths(staged: Sequence[Staged], choice: Choice, out: Path | None) -> None:
    """Say how long each sequence of a dataset is; the last line but one has all of them as JSON.

    Args:
        staged: the sequences.
        choice: every image.
        out: where ``lengths.json`` goes; ``None`` for nowhere.

    Raises:
        InputError: some cannot be read; it has been said, and all others are there.
    """
    lengths: dict[str, object] = {}
    failed: list[str] = []
    for one in staged:
        try:
            lengths[one.name] = length_of(open_sequence(one.folder, choice))
        except InputError as error:
            say(f"failed     {one.name}: {error}")
            failed.append(one.name)
    say(f"lengths    {json.dumps(lengths)}")
    if out is not None:
        write_json(out / JSON, lengths)
    say(f"result     {len(lengths)} of {len(staged)} measured")
    if failed:
        raise InputError(f"{len(failed)} of {len(staged)} cannot be read: {', '.join(failed)}")


def length_of(sequence: Frames) -> dict[str, object]:
    """How many frames a sequence has, and how many seconds they span; ``None`` where it has no clock."""
    first, last = (seconds_of(sequence.frames[place].stamp) for place in (0, -1))
    span = last - first
    return {
        "frames": sequence.length,
        "seconds": round(span, 3) if sequence.units == SECONDS and isfinite(span) else None,
    }
