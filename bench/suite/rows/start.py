"""What every command costs before it does anything."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from bench.status import make_project
from bench.suite.figure import Goal, Result, Taken, figure_of, ratio
from bench.suite.place import Place, expect
from bench.suite.process import timed
from bench.suite.row import Row, Way, take_turns

TIMES = 20
_EMPTY = '''from invoke.tasks import task


@task
def nothing(context):
    """Do nothing."""
'''


def measure(place: Place) -> Result:
    """List tasks, and runs that are all over."""
    project, empty = make_project(place.folder / "project", 10), place.folder / "empty"
    empty.mkdir()
    (empty / "tasks.py").write_text(_EMPTY)
    ways = [
        _way("`invoke --list`", "--list", project, "status"),
        _way("`invoke --list`, an empty tasks.py", "--list", empty, "nothing"),
        _way("`invoke status`, 10 runs, no network", "status", project, "COMPLETED"),
    ]
    figures = take_turns(
        place, ways, times=max(place.options.times, place.options.small(TIMES, 1)), warm=True
    )
    listed, least, status = (figure_of(figures, "", way.name) for way in ways)
    return Result(
        name=ROW.name,
        title=ROW.title,
        how="From the start of Python to its end. The empty `tasks.py` has one task that does nothing.",
        figures=tuple(figures),
        ours=ways[0].name,
        goals=(
            Goal(
                what="`--list`, beside an empty tasks.py", value=ratio(listed, least), limit=1.5, unit="times"
            ),
            Goal(what="`status`", value=status.median_s, limit=0.25, unit="s"),
        ),
    )


def _way(name: str, word: str, folder: Path, shown: str) -> Way:
    said = ""

    def act() -> Taken:
        nonlocal said
        taken, said = timed([sys.executable, "-m", "invoke", word], cwd=folder)
        return replace(taken, read_bytes=None)

    return Way(name=name, act=act, check=lambda: expect(shown in said, f"{name} printed {said}"))


ROW = Row(name="start", title="invoke --list and invoke status, without network", measure=measure)
