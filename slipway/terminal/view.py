"""Runs and their results as a terminal shows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from slipway.job.output import Output
from slipway.job.run import Run
from slipway.report.run_table import run_table, widest
from slipway.report.values import figure_words, run_values
from slipway.terminal.terminal import Terminal
from slipway.text.wording import one_line, text_width

_COLOURS = {
    "COMPLETED": "green",
    "RUNNING": "cyan",
    "COMPLETING": "cyan",
    "PENDING": "yellow",
    "SUBMITTING": "yellow",
    "UNKNOWN": "magenta",
}


def show_runs(screen: Terminal, runs: Sequence[Run]) -> None:
    """A table of runs, of which there is one at least, and what else is to be said of them."""
    values = [run_values(run) for run in runs]
    table = run_table(values, screen.width)
    widths = [widest(table, title) for title in table]
    screen.row([(title, "bold") for title in table], widths)
    for run, cells in zip(values, zip(*table.values(), strict=True), strict=True):
        styles = {"STATE": _COLOURS.get(run["state"], "red")}
        screen.row([(cell, styles.get(title, "")) for title, cell in zip(table, cells, strict=True)], widths)
    for run in values:
        if run["note"]:
            screen.say(f"{run['run_id']}: {one_line(run['note'], 400)}", style="dim")


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
