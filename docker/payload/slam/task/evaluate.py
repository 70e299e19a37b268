"""A trajectory beside the truth."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from slam.dataset.sequence import Units
from slam.errors import InputError
from slam.evaluate.absolute import Comparison, Evaluation, compare
from slam.evaluate.frame_error import write_errors
from slam.evaluate.pair import Pair, find_warning, read_pair
from slam.evaluate.relative import Drift, Step, measure_drift
from slam.output import results
from slam.output.figure.frustum import USUAL_FIELD
from slam.output.figure.style import Drawing
from slam.output.figure.trajectory import Subject, draw
from slam.output.figure.words import describe_error, wrap_first
from slam.output.up import Up
from slam.progress import say, say_result
from slam.task.up import UNKNOWN, find_up_of_truth
from slam.trajectory import BODY


@dataclass(frozen=True, kw_only=True)
class Compared:
    """What an estimate's errors are, and the truth that gave them; ``up`` is in the truth's world."""

    groundtruth: Path
    evaluation: Evaluation
    units: Units
    up: Up


def evaluate(
    estimate: Path, groundtruth: Path, comparison: Comparison, step: Step, drawing: Drawing, *, out: Path
) -> Compared:
    """Compare a trajectory file with a ground truth file: absolutely, and over each ``step``.

    Raises:
        InputError: a file is missing or malformed, or their timestamps do not match.
        OutputError: what came of it cannot be written.
    """
    pair = read_pair(estimate, groundtruth, comparison)
    pair.tell()
    evaluation = compare(pair.truth, pair.estimate, comparison)
    drift = measure_drift(pair.truth, pair.estimate, comparison, step)
    warning = find_warning(pair, evaluation, drift.places)
    untidy = measure_as_it_stands(pair, comparison, step)
    up = find_up_of_truth(drawing.up, pair, evaluation)
    with results.together(out) as folder:
        read = describe_reading(pair, comparison, warning)
        _write_figures(folder / results.ATE, evaluation, untidy[0] if untidy else None, read)
        _write_figures(folder / results.RPE, drift, untidy[1] if untidy else None, read)
        write_errors(folder / results.ERRORS, evaluation, drift, pair.estimate)
        subject = Subject(
            title="\n".join([f"{estimate.name} and {groundtruth.name}", *wrap_first(warning)]),
            trajectory=pair.estimate,
            up=up,
            units=pair.units,
            evaluation=evaluation,
            drift=drift,
            # Poses that are held in all ways may be those of anything, and not of a camera.
            field=None if pair.frame == BODY or up.source == UNKNOWN else USUAL_FIELD,
        )
        draw(folder / results.FIGURE, subject, drawing)
    say_result(
        poses=f"{len(evaluation.errors)} of {len(pair.estimate)} have a ground truth",
        error=describe_error(evaluation, pair.units),
        **{name: f"{value:.6g}" for name, value in evaluation.statistics.items()},
        drift=describe_drift(drift, pair.units),
        files=str(out),
    )
    if untidy is not None and len(untidy[0].errors) != len(evaluation.errors):
        say(
            "note       with the rows that were left out, as evo compares these files: "
            f"{describe_error(untidy[0], pair.units)}; {describe_drift(untidy[1], pair.units)}"
        )
    if warning:
        say(f"warning    {warning}")
    return Compared(groundtruth=groundtruth, evaluation=evaluation, units=pair.units, up=up)


def describe_reading(pair: Pair, comparison: Comparison, warning: str | None) -> dict[str, object]:
    """What goes to the figures' files of how the two files were read."""
    return {
        "frame": pair.frame,
        "time_offset": comparison.time_offset_s,
        **({"notes": list(pair.notes)} if pair.notes else {}),
        **({"warning": warning} if warning else {}),
    }


def _write_figures(
    path: Path, own: Evaluation | Drift, untidy: Evaluation | Drift | None, read: dict[str, object]
) -> None:
    other = {"as_it_stands": untidy.summarize()} if untidy else {}
    results.write_json(path, {**own.summarize(), **read, **other})


def measure_as_it_stands(pair: Pair, comparison: Comparison, step: Step) -> tuple[Evaluation, Drift] | None:
    """The errors with double and unsorted rows, which evo compares, too; ``None`` where there are none.

    Of a moment's rows in the longer file evo takes the first, and of the shorter file it takes all.
    """
    untidy = pair.as_it_stands
    if untidy is None:
        return None
    try:
        return (
            compare(untidy.truth, untidy.estimate, comparison),
            measure_drift(untidy.truth, untidy.estimate, comparison, step),
        )
    except InputError:
        return None


def describe_drift(drift: Drift, units: Units) -> str:
    """The relative error in a few words."""
    return (
        f"RPE rmse {drift.translation['rmse']:.4g} {units.length} and {drift.rotation['rmse']:.4g} degrees "
        f"over {drift.step}, {drift.pairs} pairs"
    )
