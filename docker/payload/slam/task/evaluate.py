"""A trajectory beside the truth."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from slam.dataset.groundtruth import read_groundtruth, units_of_truth
from slam.dataset.sequence import Units
from slam.evaluate.absolute import Comparison, Evaluation, compare
from slam.evaluate.frame_error import write_errors
from slam.evaluate.relative import Drift, Step, measure_drift
from slam.output import results
from slam.output.figure.style import Drawing
from slam.output.figure.trajectory import Subject, draw
from slam.output.figure.words import describe_error
from slam.output.up import Up
from slam.progress import say_result
from slam.task.up import find_up_of_truth
from slam.trajectory import read_trajectory


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
    truth, guess = read_groundtruth(groundtruth), read_trajectory(estimate)
    evaluation = compare(truth, guess, comparison)
    drift = measure_drift(truth, guess, comparison, step)
    units = units_of_truth(groundtruth)
    up = find_up_of_truth(drawing.up, groundtruth, evaluation)
    with results.together(out) as folder:
        results.write_json(folder / results.ATE, evaluation.summarize())
        results.write_json(folder / results.RPE, drift.summarize())
        write_errors(folder / results.ERRORS, evaluation, drift, guess)
        subject = Subject(
            title=f"{estimate.name} and {groundtruth.name}",
            trajectory=guess,
            up=up,
            units=units,
            evaluation=evaluation,
            drift=drift,
        )
        draw(folder / results.FIGURE, subject, drawing)
    say_result(
        poses=f"{len(evaluation.errors)} of {len(guess)} have a ground truth",
        error=describe_error(evaluation, units),
        **{name: f"{value:.6g}" for name, value in evaluation.statistics.items()},
        drift=describe_drift(drift, units),
        files=str(out),
    )
    return Compared(groundtruth=groundtruth, evaluation=evaluation, units=units, up=up)


def describe_drift(drift: Drift, units: Units) -> str:
    """The relative error in a few words."""
    return (
        f"RPE rmse {drift.translation['rmse']:.4g} {units.length} and {drift.rotation['rmse']:.4g} degrees "
        f"over {drift.step}, {drift.pairs} pairs"
    )
