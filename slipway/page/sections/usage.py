"""What GPUs did, by the samples of usage.csv that a job takes."""

from __future__ import annotations

from array import array
from math import isnan
from pathlib import Path

from slipway.page.chart import Series, line_chart
from slipway.page.found import Attempt
from slipway.page.markup import Html, element, join, notes
from slipway.page.read.tables import Table, read_table
from slipway.page.subject import Section, Subject
from slipway.text.wording import one_line

_MOST_FILES = 8
_NAMES = {
    "utilization_percent": ("GPU use", "%"),
    "memory_mb": ("GPU memory", "MB"),
    "power_w": ("GPU power", "W"),
}


def section(subject: Subject) -> Section | None:
    """A chart for each column of the samples, a line for each GPU."""
    lines: dict[str, list[Series]] = {}
    said: list[str] = []
    # The last attempts are those that people ask for.
    files = [(one, file) for one in subject.found.attempts[::-1] for file in _files(one.folder)]
    if len(files) > _MOST_FILES:
        said.append(f"{len(files) - _MOST_FILES} more files of samples are not drawn")
    for attempt, file in files[:_MOST_FILES]:
        try:
            _add(lines, attempt, file.stem, read_table(file), len(files) > 1)
        except (OSError, ValueError) as error:
            said.append(
                f"{attempt.name}, {one_line(file.name, 80)} is not drawn: {one_line(str(error), 200)}"
            )
    charts = [_chart(name, series) for name, series in lines.items()]
    if not charts and not said:
        return None
    return Section(
        key="usage",
        title="GPU use over time",
        body=join(element("div", *charts, class_="charts"), notes(said)),
    )


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("usage*.csv"))


def _add(lines: dict[str, list[Series]], attempt: Attempt, stem: str, table: Table, is_one: bool) -> None:
    if "time" not in table.columns:
        raise ValueError("it has no column time")
    times, gpus = table.columns["time"], table.columns.get("gpu")
    first = next((one for one in times if not isnan(one)), 0.0)
    who = f"{attempt.name}, {stem.removeprefix('usage').lstrip('-')}".rstrip(", ") if is_one else ""
    for gpu in sorted({one for one in gpus if not isnan(one)})[:8] if gpus else [None]:
        rows = [place for place in range(len(times)) if gpus is None or gpus[place] == gpu]
        for column, values in table.columns.items():
            if column in ("time", "gpu") or all(isnan(values[place]) for place in rows):
                continue
            name = ", ".join(filter(None, (who, "" if gpu is None else f"GPU {gpu:.0f}"))) or column
            lines.setdefault(column, []).append(
                Series(
                    name=name,
                    xs=array("d", ((times[place] - first) / 60 for place in rows)),
                    ys=array("d", (values[place] for place in rows)),
                    colour=len(lines[column]) if column in lines else 0,
                )
            )


def _chart(column: str, series: list[Series]) -> Html:
    title, unit = _NAMES.get(column, (one_line(column.replace("_", " "), 60), ""))
    return line_chart(
        series, title=title, x_name="minutes since the first sample", y_name=unit, from_zero=True
    )
