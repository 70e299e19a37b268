"""Runs and their results as a terminal shows them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from rich.text import Text

from slipway.job.output import Output
from slipway.job.run import Run
from slipway.report.array_bar import Part, array_parts
from slipway.report.run_table import run_table, widest
from slipway.report.values import figure_words, run_values
from slipway.terminal.terminal import Terminal, row_text, safe_text
from slipway.text.wording import one_line, text_width

_COLOURS = {
    "COMPLETED": "green",
    "RUNNING": "cyan",
    "COMPLETING": "cyan",
    "PENDING": "yellow",
    "SUBMITTING": "yellow",
    "UNKNOWN": "magenta",
}
_BAR_COLOURS = {"done": "green", "failed": "red", "running": "cyan", "waiting": "yellow"}


def show_runs(screen: Terminal, runs: Sequence[Run], home: Collection[str] = ()) -> None:
    """A table of runs, of which there is one at least, and what else is to be said; ``home`` as below."""
    for line in run_lines(runs, screen.width, home):
        screen.show(line)


def run_lines(runs: Sequence[Run], width: int | None, home: Collection[str] = ()) -> list[Text]:
    """The lines of a table of runs: its header, a row for each, a bar below an array, and notes.

    Args:
        runs: of which there is one at least.
        width: how many columns there are; ``None`` for no limit.
        home: the ids of those whose results are home.
    """
    values = [run_values(run, home=run.run_id in home) for run in runs]
    table = run_table(values, width)
    widths = [widest(table, title) for title in table]
    lines = [row_text([(title, "bold") for title in table], widths)]
    for run, cells in zip(values, zip(*table.values(), strict=True), strict=True):
        styles = {"STATE": _COLOURS.get(run["state"], "red")}
        row = [(cell, styles.get(title, "")) for title, cell in zip(table, cells, strict=True)]
        lines.append(row_text(row, widths))
        if run["tasks"]:
            lines.append(_array_line(array_parts(run["tasks"])))
    notes = (f"{run.shown}: {one_line(run.status.note, 400)}" for run in runs if run.status.note)
    return [*lines, *(safe_text(note, "dim") for note in notes)]


def _array_line(parts: Sequence[Part]) -> Text:
    """``  ███▒▒···  3 done, 2 running, 3 waiting``."""
    bar = safe_text("  ")
    for part in parts:
        bar.append(part.mark * part.length, _BAR_COLOURS.get(part.word, ""))
    return bar.append(f"  {', '.join(f'{part.count:,} {part.word}' for part in parts)}")


def show_figures(screen: Terminal, figures: Mapping[str, Mapping[str, Any]]) -> None:
    """A program's own figures: each JSON file's numbers and short words."""
    for name, content in figures.items():
        screen.say(one_line(name, 400), style="italic")
        rows = [(one_line(key, 100), one_line(value, 100)) for key, value in figure_words(content)]
        widest_key = max((text_width(key) for key, _ in rows), default=0)
        for key, value in rows:
            screen.row([(f"  {key}", ""), (value, "")], [widest_key + 2, 0])


def show_output(screen: Terminal, output: Output) -> None:
    """A run's output: its figures, its files, and what is not shown of them."""
    show_figures(screen, output.figures)
    for line in output.listing:
        screen.say(line)
    for note in output.notes:
        screen.note(note)
