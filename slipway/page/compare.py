"""Several runs on one page, side by side: what differs, and what came of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from slipway.page.chart import Series, line_chart, number
from slipway.page.differences import differences
from slipway.page.document import document
from slipway.page.markup import Html, element, facts, href, join, more, table
from slipway.page.read.align import compare
from slipway.page.read.figures import Figure
from slipway.page.scene import Line, Scene, lines_of, viewer_data
from slipway.page.sections.curves import read_curves
from slipway.page.sections.error import error_lines
from slipway.page.sections.figures import words
from slipway.page.sections.overview import badge, command_words, how_it_stands, moment
from slipway.page.sections.view import viewer
from slipway.page.subject import Section, Subject
from slipway.text.wording import one_line

# A page tells no more lines apart.
MOST_RUNS = 8
_MOST_ROWS = 400
_MOST_CHARTS = 16

_Rows = list[Sequence[str | None]]


def compare_page(subjects: Sequence[Subject]) -> str:
    """The page of two or more runs, of which the first is what the others are compared with."""
    makers: Sequence[Callable[[Sequence[Subject]], Section | None]] = (
        _differences,
        _figures,
        _view,
        _error,
        _curves,
    )
    sections = [one for make in makers if (one := make(subjects)) is not None]
    title = ", ".join(one_line(subject.name, 60) for subject in subjects)
    return document(f"{title} · Slipway", _header(subjects), sections)


def _header(subjects: Sequence[Subject]) -> Html:
    cards = [_card(subject, place) for place, subject in enumerate(subjects)]
    return element(
        "header",
        element("p", "Slipway", class_="eyebrow"),
        element("h1", f"{len(subjects)} runs, side by side"),
        element("div", *cards, class_="runs"),
    )


def _card(subject: Subject, place: int) -> Html:
    run = subject.run
    return element(
        "div",
        element("h2", element("a", one_line(subject.name, 120), href=href(f"{run.run_id}/index.html"))),
        element("p", badge(run), element("span", how_it_stands(run)), class_="status"),
        facts(
            [
                ("run", run.run_id if run.name else None),
                ("site", run.site),
                ("profile", run.profile),
                ("submitted", moment(run)),
            ]
        ),
        element("p", element("code", one_line(command_words(run), 300))),
        None if subject.found.is_home else element("p", "Its results are not here.", class_="notes"),
        class_=f"s{place}",
    )


def _differences(subjects: Sequence[Subject]) -> Section:
    rows = differences([subject.run for subject in subjects])
    body = (
        table(("", *_names(subjects)), rows, class_="compare")
        if rows
        else element("p", "Image, code, arguments and resources are the same.")
    )
    return Section(key="differences", title="What differs", body=join(body))


def _figures(subjects: Sequence[Subject]) -> Section | None:
    by_run = [_values(subject) for subject in subjects]
    keys = list(dict.fromkeys(key for values in by_run for key in values))
    if not keys:
        return None
    differing: _Rows = []
    same: _Rows = []
    for key in keys[:_MOST_ROWS]:
        values = [one.get(key) for one in by_run]
        row = [key, *_cells(values)]
        (same if all(value == values[0] for value in values) else differing).append(row)
    head = ("", *_names(subjects))
    body = join(
        table(head, differing, class_="compare") if differing else element("p", "All figures are the same."),
        more(f"{len(same):,} that are the same", table(head, same, class_="compare")) if same else None,
        element("p", f"{len(keys) - _MOST_ROWS:,} more are not listed.", class_="notes")
        if len(keys) > _MOST_ROWS
        else None,
    )
    return Section(key="figures", title="Figures", body=body)


def _values(subject: Subject) -> dict[str, Figure]:
    values: dict[str, Figure] = {}
    scene = _scene(subject)
    if scene and scene.error and not any(file.name.endswith("ate.json") for file in subject.figures):
        values["error, rmse"] = scene.error.rmse
    for file in subject.figures:
        values |= {f"{file.name.removesuffix('.json')} {key}": value for key, value in file.values.items()}
    return values


def _cells(values: Sequence[Figure | None]) -> list[Html]:
    first = values[0]
    cells = []
    for value in values:
        shown = "—" if value is None else words(value)
        delta = _delta(first, value) if value is not first else None
        cells.append(join(shown, element("span", delta, class_="delta") if delta else None))
    return cells


def _delta(first: Figure | None, value: Figure | None) -> str | None:
    """How much more a number is than the first run's."""
    if not isinstance(first, float) or not isinstance(value, float):
        return None
    more_by = value - first
    if more_by == 0 or more_by - more_by != 0:
        return None
    share = f", {100 * more_by / abs(first):+.3g} %" if first else ""
    return f"{'+' if more_by > 0 else '-'}{number(abs(more_by))}{share}"


def _scene(subject: Subject) -> Scene | None:
    return next((scene for scene in subject.scenes if scene.paths), None)


def _view(subjects: Sequence[Subject]) -> Section | None:
    """All first paths in one world: each on its ground truth, else on the first run's path."""
    scenes = [(subject, scene) for subject in subjects if (scene := _scene(subject))]
    if len(scenes) < 2:
        return None
    lines: list[Line] = []
    truth = next((scene for _, scene in scenes if scene.error), None)
    if truth:
        lines += [line for line in lines_of(truth) if line.role == "truth"]
    loose = []
    for subject, scene in scenes:
        line = next(line for line in lines_of(scene) if line.role == "estimate")
        if line.error is None and (placed := _lay(line, lines)):
            line = placed
        elif line.error is None and lines:
            loose.append(one_line(subject.name, 80))
        lines.append(replace(line, name=one_line(subject.name, 80), colour=_place(subjects, subject)))
    how = (
        "Each path is laid upon its ground truth."
        if truth
        else "The others are laid upon the first, by time."
    )
    said = f" Not laid upon it, since they share no moments: {', '.join(loose)}." if loose else ""
    rows = [
        [line.name, f"{len(line.path):,}", number(line.path.length * line.similarity.scale)] for line in lines
    ]
    body = join(
        viewer([viewer_data("paths", lines)]),
        element("p", how + said, class_="small"),
        more("In numbers", table(("", "poses", "length"), rows)),
    )
    return Section(key="view", title="Paths", body=body)


def _lay(line: Line, lines: Sequence[Line]) -> Line | None:
    """A path without a ground truth, laid upon the first of the others that it shares moments with."""
    for other in lines:
        if error := compare(other.path, line.path):
            return replace(line, similarity=other.similarity.after(error.similarity))
    return None


def _error(subjects: Sequence[Subject]) -> Section | None:
    lines: list[Series] = []
    for subject in subjects:
        scene = _scene(subject)
        if scene and scene.error:
            first = error_lines(scene)[0]
            lines.append(replace(first, name=one_line(subject.name, 80), colour=_place(subjects, subject)))
    if not lines:
        return None
    chart = line_chart(
        lines,
        title="Distance from the ground truth",
        x_name="seconds since the first pose",
        y_name="in the ground truth's unit of length",
        from_zero=True,
    )
    return Section(key="error", title="Error over time", body=chart)


def _curves(subjects: Sequence[Subject]) -> Section | None:
    by_tag: dict[str, list[Series]] = {}
    for place, subject in enumerate(subjects):
        for tag, curves in read_curves(subject.found, []).items():
            for folder, curve in curves.items():
                name = one_line(subject.name if len(curves) == 1 else f"{subject.name}, {folder}", 80)
                by_tag.setdefault(tag, []).append(
                    Series(name=name, xs=curve.steps, ys=curve.values, colour=place)
                )
    if not by_tag:
        return None
    charts = [
        line_chart(lines, title=one_line(tag, 100), x_name="step", y_name="")
        for tag, lines in list(by_tag.items())[:_MOST_CHARTS]
    ]
    left = len(by_tag) - len(charts)
    return Section(
        key="curves",
        title="Curves",
        body=join(
            element("div", *charts, class_="charts"),
            element("p", f"{left} more curves are not drawn.", class_="notes") if left else None,
        ),
    )


def _names(subjects: Iterable[Subject]) -> list[str]:
    return [one_line(subject.name, 80) for subject in subjects]


def _place(subjects: Sequence[Subject], subject: Subject) -> int:
    return next(place for place, one in enumerate(subjects) if one is subject)
