"""Several runs that were compared with the truth, drawn together."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from slam.output.figure.runs import draw_runs
from slam.output.figure.style import Drawing
from slam.task.evaluate import Compared

NAME = "runs.png"


def draw_together(compared: Mapping[str, Compared], drawing: Drawing, *, out: Path) -> None:
    """Draw the runs of each truth that has several, by their names.

    The figure is ``runs.png``; where there are several truths, ``runs-TRUTH.png`` for each of them.
    """
    for old in out.glob("runs*.*"):
        if re.fullmatch(r"runs(-.+)?\.(png|svg|pdf)", old.name):
            old.unlink()
    truths = list(dict.fromkeys(one.groundtruth.resolve() for one in compared.values()))
    for place, truth in enumerate(truths):
        runs = {name: one for name, one in compared.items() if one.groundtruth.resolve() == truth}
        if len(runs) < 2:
            continue
        first = next(iter(runs.values()))
        draw_runs(
            out / (NAME if len(truths) == 1 else f"runs-{place + 1}-{_short(truth)}.png"),
            {name: one.evaluation for name, one in runs.items()},
            truth="/".join(truth.parts[-2:]),
            up=first.up,
            units=first.units,
            drawing=drawing,
        )


def _short(truth: Path) -> str:
    """The name of the truth's folder as a part of a file's name."""
    return re.sub(r"[^A-Za-z0-9_.]+", "-", truth.parent.name)[:60]
