"""A table over many runs: printed, as CSV and JSON for other programs, and for papers."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from slam.evaluate import markup
from slam.output.results import replacing, write_json
from slam.progress import say

CSV = "table.csv"
JSON = "table.json"
NAMES = (CSV, JSON, *markup.NAMES)

Row = Mapping[str, object]


def write_table(folder: Path, rows: Sequence[Row]) -> None:
    """Write the table as CSV, JSON, Markdown and LaTeX; a value that a row has not is empty or left out."""
    with replacing(folder / CSV) as part, part.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns(rows), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    write_json(folder / JSON, {"rows": [dict(row) for row in rows]})
    markup.write_markup(folder, rows)


def say_table(rows: Sequence[Row]) -> None:
    """Print rows below one another, numbers to the right."""
    names = columns(rows)
    cells = [[format_cell(row.get(name)) for name in names] for row in rows]
    widths = [max(len(line[place]) for line in [names, *cells]) for place in range(len(names))]
    is_number = [any(isinstance(row.get(name), int | float) for row in rows) for name in names]
    for line in [names, *cells]:
        parts = zip(line, widths, is_number, strict=True)
        say(
            "  ".join(
                f"{cell:>{width}}" if right else f"{cell:<{width}}" for cell, width, right in parts
            ).rstrip()
        )


def columns(rows: Sequence[Row]) -> list[str]:
    """The names of all columns, in the order in which they come up."""
    return list(dict.fromkeys(name for row in rows for name in row))


def format_cell(value: object) -> str:
    """A value as it is printed: four digits after the point, a dash where there is none."""
    if value is None or value == "":
        return "-"
    return f"{value:.4f}" if isinstance(value, float) else str(value)
