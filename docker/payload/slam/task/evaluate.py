"""A trajectory beside the truth."""

from __future__ import annotations

from pathlib import Path

from slam.dataset.groundtruth import read_groundtruth, units_of_truth
from slam.dataset.sequence import Units
from slam.evaluate.absolute import Comparison, compare
from slam.evaluate.relative import Drift, Step, measure_drift
from slam.output import results
from slam.output.plot import describe_error, draw
from slam.progress import say_result
from slam.trajectory import read_trajectory


def evaluate(estimate: Path, groundtruth: Path, comparison: Comparison, step: Step, *, out: Path) -> None:
    """Compare a trajectory file with a ground truth file: absolutely, and over each ``step``.

    Raises:
        InputError: a file is missing or malformed, or their timestamps do not match.
        OutputError: what came of it cannot be written.
    """
    truth, guess = read_groundtruth(groundtruth), read_trajectory(estimate)
    evaluation = compare(truth, guess, comparison)
    drift = measure_drift(truth, guess, comparison, step)
    units = units_of_truth(groundtruth)
    with results.together(out) as folder:
        results.write_json(folder / results.ATE, evaluation.summarize())
        results.write_json(folder / results.RPE, drift.summarize())
        draw(
            folder / results.FIGURE,
            title=f"{estimate.name} and {groundtruth.name}",
            positions=guess.positions,
            evaluation=evaluation,
            units=units,
        )
    say_result(
        poses=f"{len(evaluation.errors)} of {len(guess)} have a ground truth",
        error=describe_error(evaluation, units),
        **{name: f"{value:.6g}" for name, value in evaluation.statistics.items()},
        drift=describe_drift(drift, units),
        files=str(out),
    )


def describe_drift(drift: Drift, units: Units) -> str:
    """The relative error in a few words."""
    return (
        f"RPE rmse {drift.translation['rmse']:.4g} {units.length} and {drift.rotation['rmse']:.4g} degrees "
        f"over {drift.step}, {drift.pairs} pairs"
    )
