"""Figures of a sweep's elements as rows: mean, median and spread, and who is not among them. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean, median, stdev
from typing import Any

from slipway.dataset.catalog import Dataset
from slipway.errors import UsageError
from slipway.job.figure import Figure
from slipway.report.sweep_table import ElementState
from slipway.sweep.limit import find_key
from slipway.sweep.record import Sweep
from slipway.text.nearest import nearest


@dataclass(frozen=True, kw_only=True)
class Measured:
    """An element: how it stands, and its numbers; ``None`` where they are not home."""

    sweep: Sweep
    state: ElementState
    numbers: Mapping[Figure, float] | None


@dataclass(frozen=True, kw_only=True)
class References:
    """Published figures that ours are laid beside.

    Attributes:
        title: what they are called in a table.
        source: whose they are, and what was measured.
        figures: by the values of a parameter, or their ends.
        mean: the mean as it was published.
    """

    title: str
    source: str
    figures: Mapping[str, float]
    mean: float | None = None


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row: the elements that have the same values of some parameters.

    Attributes:
        key: these values, by the parameters' names.
        figures: of those that have one.
        elements: how many elements there are.
        failed: how many are over, and have not ended well.
        not_over: how many are not over, as far as was asked, or were not submitted.
        not_home: how many are done, but their results are not here.
        no_figure: how many are done and home, but have no such figure.
        reference: published figures, by the titles of their columns.
    """

    key: Mapping[str, str]
    figures: tuple[float, ...]
    elements: int
    failed: int = 0
    not_over: int = 0
    not_home: int = 0
    no_figure: int = 0
    reference: Mapping[str, float] = field(default_factory=dict)

    @property
    def mean(self) -> float | None:
        """The mean of the figures."""
        return fmean(self.figures) if self.figures else None

    @property
    def median(self) -> float | None:
        """Their median."""
        return median(self.figures) if self.figures else None

    @property
    def deviation(self) -> float | None:
        """Their sample standard deviation; one figure has none."""
        return stdev(self.figures) if len(self.figures) > 1 else None

    @property
    def least(self) -> float | None:
        """The least of them."""
        return min(self.figures, default=None)

    @property
    def most(self) -> float | None:
        """The greatest of them."""
        return max(self.figures, default=None)


@dataclass(frozen=True, kw_only=True)
class MetricTable:
    """The rows of one figure.

    Attributes:
        metric: the figure.
        rows: in the order of the elements.
        mean: of the rows' means, in which each row counts the same; ``None`` where fewer
            than two rows have one.
        references: what the rows are laid beside.
    """

    metric: Figure
    rows: Sequence[Row]
    mean: Row | None
    references: Sequence[References] = ()


def published(datasets: Sequence[Dataset], metric: Figure) -> list[References]:
    """The published figures that some datasets have for a figure of ours.

    Only what a dataset's file calls an ATE rmse is laid beside one, which is ``rmse`` of ``ate.json``.
    """
    if metric.key != "rmse" or metric.file.rpartition("/")[2] != "ate":
        return []
    found = [
        (dataset, one) for dataset in datasets for one in dataset.reference if one.what.startswith("ATE rmse")
    ]
    return [
        References(
            title="PUBLISHED" if len(found) == 1 else f"PUBLISHED {number}",
            source=f"{dataset.name}, {one.what}; {one.source}",
            figures=one.figures,
            mean=one.mean,
        )
        for number, (dataset, one) in enumerate(found, 1)
    ]


def check_parameters(by: Sequence[str], sweeps: Sequence[Sweep]) -> None:
    """Refuse names that are no parameters.

    Raises:
        UsageError: one is none of a sweep's.
    """
    for sweep in sweeps:
        known = list(sweep.elements[0].values) if sweep.elements else []
        for name in by:
            if name not in known:
                raise UsageError(
                    f"--by {name[:100]}: it is no parameter of the sweep {sweep.shown}"
                    f"{nearest(name, known)}; it has {', '.join(known)}"
                )


def known_figures(measured: Sequence[Measured]) -> dict[Figure, list[float]]:
    """All figures that elements have which are home, with their values, by name."""
    found: dict[Figure, list[float]] = {}
    for one in measured:
        for figure, value in (one.numbers or {}).items():
            found.setdefault(figure, []).append(value)
    return dict(sorted(found.items()))


def metric_table(
    measured: Sequence[Measured], metric: Figure, by: Sequence[str], references: Sequence[References] = ()
) -> MetricTable:
    """The rows of one figure.

    Args:
        measured: all elements.
        metric: the figure.
        by: parameters; elements of one sweep that have the same values of them share a row.
        references: published figures, by values of the first of these parameters.
    """
    sweeps = {one.sweep.sweep_id: one.sweep.name for one in measured}
    several = len(sweeps) > 1
    groups: dict[tuple[tuple[str, str], ...], list[Measured]] = {}
    for one in measured:
        name, sweep_id = one.sweep.name, one.sweep.sweep_id
        # Two sweeps of one name are told apart by their ids.
        shown = name if name and [*sweeps.values()].count(name) == 1 else sweep_id
        key = [("sweep", shown)] if several or not by else []
        key += [(parameter, one.state.element.values[parameter]) for parameter in by]
        groups.setdefault(tuple(key), []).append(one)
    rows = [
        _row(dict(key), group, metric, _beside(dict(key), by, references)) for key, group in groups.items()
    ]
    beside = [one for one in references if any(one.title in row.reference for row in rows)]
    mean = None if several else _mean_of(rows, beside)
    return MetricTable(metric=metric, rows=rows, mean=mean, references=beside)


def _row(
    key: Mapping[str, str], group: Sequence[Measured], metric: Figure, reference: Mapping[str, float]
) -> Row:
    done = [one for one in group if one.state.is_ok]
    home = [one.numbers for one in done if one.numbers is not None]
    figures = tuple(numbers[metric] for numbers in home if metric in numbers)
    failed = sum(one.state.has_failed for one in group)
    return Row(
        key=key,
        figures=figures,
        elements=len(group),
        failed=failed,
        not_over=len(group) - len(done) - failed,
        not_home=len(done) - len(home),
        no_figure=len(home) - len(figures),
        reference=reference,
    )


def _beside(key: Mapping[str, str], by: Sequence[str], references: Sequence[References]) -> dict[str, float]:
    if not by:
        return {}
    found = {one.title: (one, _find(key[by[0]], one.figures)) for one in references}
    return {title: one.figures[name] for title, (one, name) in found.items() if name is not None}


def _find(value: str, figures: Mapping[str, float]) -> str | None:
    """The name that a value means; a value may be longer, as ``rgbd_dataset_freiburg1_xyz`` is."""
    longer = [name for name in figures if value.endswith((f"/{name}", f"_{name}"))]
    return find_key(value, figures) or (longer[0] if len(longer) == 1 else None)


def _mean_of(rows: Sequence[Row], references: Sequence[References]) -> Row | None:
    means = tuple(row.mean for row in rows if row.mean is not None)
    if len(means) < 2:
        return None
    # A published mean is of all its sequences.
    beside = {
        one.title: one.mean
        for one in references
        if one.mean is not None
        and len([row for row in rows if one.title in row.reference]) == len(one.figures)
    }
    first = next(iter(rows[0].key))
    return Row(
        key={first: f"mean of {len(means)}"},
        figures=means,
        elements=sum(row.elements for row in rows),
        failed=sum(row.failed for row in rows),
        not_over=sum(row.not_over for row in rows),
        not_home=sum(row.not_home for row in rows),
        no_figure=sum(row.no_figure for row in rows),
        reference=beside,
    )


def table_values(
    tables: Sequence[MetricTable], measured: Sequence[Measured], by: Sequence[str]
) -> dict[str, Any]:
    """What ``table --json`` says."""
    sweeps = dict.fromkeys((one.sweep.sweep_id, one.sweep.name) for one in measured)
    return {
        "sweeps": [{"sweep_id": sweep_id, "name": name} for sweep_id, name in sweeps],
        "by": list(by),
        "tables": [
            {
                "metric": str(table.metric),
                "file": f"{table.metric.file}.json",
                "key": table.metric.key,
                "rows": [{**row_values(row), "figures": list(row.figures)} for row in table.rows],
                "mean_of_rows": table.mean.mean if table.mean else None,
                "references": [
                    {"title": one.title, "source": one.source, "mean": one.mean} for one in table.references
                ],
            }
            for table in tables
        ],
        "failed": [_failed_values(one) for one in measured if one.state.has_failed],
    }


def row_values(row: Row) -> dict[str, Any]:
    """A row by the keys of JSON, which are the titles of CSV, too."""
    return {
        "values": dict(row.key),
        "elements": row.elements,
        "n": len(row.figures),
        "mean": row.mean,
        "median": row.median,
        "deviation": row.deviation,
        "least": row.least,
        "most": row.most,
        "failed": row.failed,
        "not_over": row.not_over,
        "not_home": row.not_home,
        "no_figure": row.no_figure,
        "reference": dict(row.reference),
    }


def _failed_values(one: Measured) -> dict[str, Any]:
    element, status = one.state.element, one.state.status
    return {
        "sweep_id": one.sweep.sweep_id,
        "values": dict(element.values),
        "run_id": element.place.run_id if element.place else None,
        "task": element.place.task if element.place else None,
        "state": status.state.value if status else None,
        "reason": status.reason if status else None,
        "exit_code": status.exit_code if status else None,
    }
