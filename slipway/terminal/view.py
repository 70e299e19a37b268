"""Runs and their results as a terminal shows them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.text import Text

from slipway.job.run import Run
from slipway.report.array_bar import Part, array_parts
from slipway.report.run_table import run_table, widest
from slipway.report.values import figure_words, run_values
from slipway.terminal.styled import fitted, row_text, safe_text
from slipway.terminal.terminal import Terminal
from slipway.text.wording import one_line, text_width

if TYPE_CHECKING:
    from slipway.job.output import Output

_COLOURS = {
    "COMPLETED": "green",
    "RUNNING": "cyan",
    "COMPLETING": "cyan",
    "PENDING": "yellow",
    "SUBMITTING": "yellow",
    "UNKNOWN": "magenta",
}
_BAR_COLOURS = {"done": "green", "failed": "red", "running": "cyan", "waiting": "yellow"}


def show_runs(
    screen: Terminal, runs: Sequence[Run], home: Collection[str] = (), *, wide: bool = False
) -> None:
    """A table of runs, and what else is to be said.

    Args:
        screen: the terminal.
        runs: of which there is one at least.
        home: the ids of those whose results are home.
        wide: have all columns, however long the lines become.
    """
    for line in _table_lines(runs, None if wide else screen.width, home):
        screen.show(line, whole=wide)
    for note in _notes(runs):
        screen.show(note)


def run_lines(runs: Sequence[Run], width: int) -> list[Text]:
    """The lines of a table of runs, of which there is one at least, and of the notes below it."""
    notes = [line for note in _notes(runs) for line in fitted(note, width).split("\n")]
    return [*_table_lines(runs, width, ()), *notes]


def _notes(runs: Sequence[Run]) -> list[Text]:
    return [
        safe_text(f"{run.shown}: {one_line(run.status.note, 400)}", "dim") for run in runs if run.status.note
    ]


def _table_lines(runs: Sequence[Run], width: int | None, home: Collection[str]) -> list[Text]:
    """A header, a row for each run, and a bar below an array."""
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
    return lines


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
    if output.listing:
        # All at once: to print a line takes longer than to find the file.
        screen.say("\n".join(output.listing))
    for note in output.notes:
        screen.note(note)
