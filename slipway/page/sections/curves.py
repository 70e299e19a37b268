"""Training curves: scalars of TensorBoard's logs, and columns of CSV files over steps."""

from __future__ import annotations

from slipway.page.chart import Series, line_chart
from slipway.page.found import File, Found
from slipway.page.markup import element, join, notes
from slipway.page.read.events import Curve, read_events
from slipway.page.read.tables import read_table
from slipway.page.subject import Section, Subject
from slipway.text.wording import one_line

_MOST_CHARTS = 24
_MOST_FILES = 200
# So many take some seconds to read.
_MOST_VALUES = 200_000
_STEPS = ("step", "global_step", "epoch", "iteration", "iter", "time")

Curves = dict[str, dict[str, Curve]]


def section(subject: Subject) -> Section | None:
    """A chart for each scalar, a line for each folder that has it."""
    said: list[str] = []
    curves = read_curves(subject.found, said)
    if not curves and not said:
        return None
    charts = [
        line_chart(
            [
                _series(name or "output", curve, place)
                for place, (name, curve) in enumerate(by_folder.items())
            ],
            title=one_line(tag, 100),
            x_name="step",
            y_name="",
        )
        for tag, by_folder in list(curves.items())[:_MOST_CHARTS]
    ]
    if len(curves) > _MOST_CHARTS:
        left = ", ".join(list(curves)[_MOST_CHARTS : _MOST_CHARTS + 20])
        said.append(f"{len(curves) - _MOST_CHARTS} more curves are not drawn: {one_line(left, 400)}")
    return Section(
        key="curves", title="Curves", body=join(element("div", *charts, class_="charts"), notes(said))
    )


def read_curves(found: Found, said: list[str]) -> Curves:
    """Curves by their tag and the folder that they lie in."""
    curves: Curves = {}
    files = [file for file in found.files if file.name.rpartition("/")[2].startswith("events.out.tfevents.")]
    tables = found.with_ending(".csv")
    for left in (files[_MOST_FILES:], tables[_MOST_FILES:]):
        if left:
            said.append(f"{len(left):,} more files with curves are not read")
    for file in files[:_MOST_FILES]:
        _add_events(curves, file, max(1000, _MOST_VALUES // len(files)), said)
    known = {tag.rpartition("/")[2] for tag in curves}
    for file in tables[:_MOST_FILES]:
        _add_table(curves, file, known, said)
    return curves


def _add_events(curves: Curves, file: File, most: int, said: list[str]) -> None:
    by_tag: dict[str, Curve] = {}
    try:
        problem = read_events(file.path, by_tag, most)
    except OSError as error:
        problem = error.strerror or str(error)
    if problem:
        said.append(f"{one_line(file.name, 200)}: {problem}")
    for tag, curve in by_tag.items():
        # Of one folder the files follow each other: a training that went on wrote another.
        before = curves.setdefault(tag, {}).setdefault(file.folder, Curve())
        before.steps.extend(curve.steps)
        before.values.extend(curve.values)


def _add_table(curves: Curves, file: File, known: set[str], said: list[str]) -> None:
    try:
        table = read_table(file.path, _STEPS)
    except (OSError, ValueError):
        return  # Any table may be a program's output, and few are curves.
    names = list(table.columns)
    if len(table) < 2:
        return
    if table.note:
        said.append(f"{one_line(file.name, 200)}: {table.note}")
    steps = table.columns[names[0]]
    for name in names[1:]:
        # What TensorBoard has is the same, and need not be drawn twice.
        if name in known or all(value != value for value in table.columns[name]):
            continue
        curves.setdefault(name, {})[file.name] = Curve(steps=steps, values=table.columns[name])


def _series(name: str, curve: Curve, place: int) -> Series:
    pairs = sorted(zip(curve.steps, curve.values, strict=True), key=lambda pair: pair[0])
    return Series(name=one_line(name, 60), xs=[x for x, _ in pairs], ys=[y for _, y in pairs], colour=place)
