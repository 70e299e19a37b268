"""Tables of figures as text: for a terminal, and as CSV, Markdown and LaTeX. Pure."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from slipway.report.metric_table import Measured, MetricTable, Row, row_values
from slipway.report.sweep_table import describe_failure
from slipway.text.wording import one_line, text_width

_LONGEST = 100
_LARGE = 1e12
# Elements that are named one by one.
_NAMED = 20
_COUNTS = {"FAILED": "failed", "NOT OVER": "not_over", "NOT HOME": "not_home", "NO FIGURE": "no_figure"}
# What Markdown would take for markup.
_MARKDOWN = re.compile(r"[\\`*\[\]<>|]|(?<!\w)_|_(?!\w)")
_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",
    **{letter: f"\\{letter}" for letter in "&%$#_{}"},
}


def figure_word(value: float | None, digits: int = 4) -> str:
    """A figure with so many digits; a large one with all before its point."""
    if value is None:
        return ""
    word = f"{value:.{digits}g}"
    return f"{value:.0f}" if "e+" in word and abs(value) < _LARGE else word


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column: its title, a cell for each row, and whether these are words, which begin below each other."""

    title: str
    cells: Sequence[str]
    is_words: bool = False

    @property
    def aligned(self) -> Column:
        """The same with figures below each other: with their points in one place."""
        if self.is_words:
            return self
        behind = max((_behind(cell) for cell in self.cells), default=0)
        padded = [cell + " " * (behind - _behind(cell)) for cell in self.cells]
        width = max(map(text_width, (self.title, *padded)))
        return Column(title=self.title, cells=[cell.rjust(width) for cell in padded])


def _behind(cell: str) -> int:
    """How much of a figure stands behind its whole part."""
    whole = re.match(r"-?[0-9]*", cell)
    return len(cell) - (whole.end() if whole else 0)


def metric_columns(table: MetricTable) -> list[Column]:
    """The columns of a table; the mean of its rows is the last row.

    Counts of those that are not among the figures are there where there are any.
    """
    mean = [table.mean] if table.mean else []
    rows = [*table.rows, *mean]
    columns = [
        Column(
            title=one_line(name, _LONGEST),
            cells=[one_line(row.key.get(name, ""), _LONGEST) for row in rows],
            is_words=True,
        )
        for name in table.rows[0].key
    ]
    counts = [f"{len(row.figures)}/{row.elements}" for row in table.rows]
    columns.append(Column(title="N", cells=[*counts, *("" for _ in mean)]))
    columns.append(Column(title="MEAN", cells=[figure_word(row.mean) for row in rows]))
    spread: dict[str, Callable[[Row], float | None]] = {
        "MEDIAN": lambda row: row.median,
        "SD": lambda row: row.deviation,
        "MIN": lambda row: row.least,
        "MAX": lambda row: row.most,
    }
    for title, of in spread.items():
        digits = 2 if title == "SD" else 4
        cells = [figure_word(of(row), digits) for row in table.rows]
        columns.append(Column(title=title, cells=[*cells, *("" for _ in mean)]))
    columns += [
        Column(title=one.title, cells=[figure_word(row.reference.get(one.title)) for row in rows])
        for one in table.references
    ]
    columns += [
        Column(title=title, cells=[str(getattr(row, key)) for row in rows])
        for title, key in _COUNTS.items()
        if any(getattr(row, key) for row in rows)
    ]
    return columns


def metrics_csv(tables: Sequence[MetricTable]) -> str:
    """All tables as one in CSV, a line for each row of each figure; figures have all their digits."""
    names = list(tables[0].rows[0].key)
    titles = list(dict.fromkeys(one.title for table in tables for one in table.references))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    keys = [key for key in row_values(tables[0].rows[0]) if key not in ("values", "reference")]
    writer.writerow([*names, "metric", *keys, *titles])
    for table in tables:
        for row in table.rows:
            values = row_values(row)
            cells = [*(row.key[name] for name in names), str(table.metric), *(values[key] for key in keys)]
            writer.writerow([*cells, *(row.reference.get(title) for title in titles)])
    return text.getvalue()


def metric_markdown(table: MetricTable) -> str:
    """A table in Markdown."""
    columns = metric_columns(table)
    titles = [markdown_text(column.title) for column in columns]
    rules = ["---" if column.is_words else "---:" for column in columns]
    rows = [[markdown_text(cell) for cell in cells] for cells in _rows(columns)]
    lines = [f"| {' | '.join(cells)} |" for cells in (titles, rules, *rows)]
    return f"{markdown_text(str(table.metric))}\n\n" + "\n".join(lines) + "\n"


def _rows(columns: Sequence[Column]) -> list[tuple[str, ...]]:
    return [*zip(*(column.cells for column in columns), strict=True)]


def markdown_text(words: str) -> str:
    """Text of which nothing is markup."""
    return _MARKDOWN.sub(lambda found: f"\\{found[0]}", words)


def metric_latex(table: MetricTable) -> str:
    """A table in LaTeX that needs no package; what was measured is a comment before it."""
    columns = metric_columns(table)
    kinds = "".join("l" if column.is_words else "r" for column in columns)
    rows = _rows(columns)
    ours, mean = (rows[:-1], rows[-1:]) if table.mean else (rows, [])
    lines = [
        f"% {one_line(str(table.metric), _LONGEST)}",
        f"\\begin{{tabular}}{{{kinds}}}",
        "\\hline",
        _latex_row([column.title for column in columns]),
        "\\hline",
        *map(_latex_row, ours),
        *(["\\hline"] if mean else []),
        *map(_latex_row, mean),
        "\\hline",
        "\\end{tabular}",
    ]
    return "\n".join(lines) + "\n"


def _latex_row(cells: Sequence[str]) -> str:
    return " & ".join(map(latex_text, cells)) + r" \\"


def latex_text(words: str) -> str:
    """Text of which nothing is a command."""
    return "".join(_LATEX.get(letter, letter) for letter in words)


def outside_lines(measured: Sequence[Measured]) -> list[str]:
    """Those that have failed, by their values."""
    failed = [one for one in measured if one.state.has_failed]
    lines = [f"failed: {len(failed)} of {len(measured)}"] if failed else []
    lines += [f"  {describe_failure(one.state)}" for one in failed[:_NAMED]]
    if len(failed) > _NAMED:
        lines.append(f"  and {len(failed) - _NAMED:,} more; --json has all of them")
    return lines


def outside_notes(measured: Sequence[Measured], tables: Sequence[MetricTable]) -> list[str]:
    """What is to be said of the others that are not among the figures, and what helps."""
    sweeps = " ".join(dict.fromkeys(f"--sweep {one.sweep.sweep_id}" for one in measured))
    done = [one for one in measured if one.state.is_ok]
    not_home = sum(one.numbers is None for one in done)
    not_over = len(measured) - len(done) - sum(one.state.has_failed for one in measured)
    notes = []
    if not_home:
        notes.append(
            f"{not_home} done, but not home: `invoke pull {sweeps}` brings all, --pull here their JSON files"
        )
    if not_over:
        notes.append(f"{not_over} not over when last asked, or not submitted; `invoke status {sweeps}` asks")
    for table in tables:
        if count := sum(row.no_figure for row in table.rows):
            notes.append(f"{count} done and home, but without {table.metric}")
    return notes
