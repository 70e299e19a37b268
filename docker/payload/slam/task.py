"""The two things the program does, from the files it reads to the files it writes."""

from __future__ import annotations

import platform
import time
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import numpy as np

from slam.dataset.groundtruth import read_groundtruth, units_of_truth
from slam.dataset.sequence import Sequence, Units
from slam.engine.estimate import Estimate, Settings
from slam.engine.worker import Engine, run_engine
from slam.errors import InputError
from slam.evaluate.absolute import Comparison, Evaluation, compare, require_matches
from slam.evaluate.relative import Drift, Step, measure_drift
from slam.output import results
from slam.output.cache import writable_cache
from slam.output.cloud import write_cloud
from slam.output.plot import describe_error, draw
from slam.progress import say
from slam.trajectory import Trajectory, read_trajectory, write_trajectory


def infer(
    sequence: Sequence,
    settings: Settings,
    comparison: Comparison,
    *,
    engine: str,
    out: Path,
    source: str,
    arguments: Mapping[str, object],
) -> None:
    """Estimate a sequence's trajectory and cloud, and compare with its ground truth where it has one.

    ``source``, where in the data root the sequence lies, and ``arguments`` go into the summary as they are.

    Raises:
        InputError: the ground truth is malformed, of another sequence, or allows no alignment; in the last
            case all but the error has been written.
        SlamError: something else went wrong; then nothing is written.
    """
    began = time.monotonic()
    truth = _read_truth(sequence, comparison)
    say(f"sequence   {sequence.name}: {sequence.length} images of {sequence.width}x{sequence.height}")
    for note in sequence.notes:
        say(f"note       {note}")
    say(f"engine     {engine}, {settings.threads} threads")
    with results.workspace(out) as workspace, writable_cache(workspace):
        estimate = run_engine(load_engine(engine), sequence, settings, workspace)
        summary = summarize(sequence, estimate, seconds=time.monotonic() - began)
        evaluation, problem = _evaluate(truth, estimate, comparison)
        frames = f"{len(estimate.trajectory)} of {sequence.length}"
        with results.together(out) as folder:
            results.adopt(estimate.files, folder)
            write_trajectory(folder / results.TRAJECTORY, estimate.trajectory)
            if truth is not None:
                write_trajectory(folder / results.TRUTH, truth)
            write_cloud(folder / results.CLOUD, estimate.cloud)
            results.write_json(
                folder / results.SUMMARY,
                {
                    **summary,
                    "source": source,
                    "engine": engine,
                    "threads": settings.threads,
                    "arguments": dict(arguments),
                },
            )
            if evaluation is not None:
                results.write_json(folder / results.ATE, evaluation.summarize())
            draw(
                folder / results.FIGURE,
                title="\n".join(
                    filter(None, (f"{sequence.name}: {frames} frames placed by {engine}", estimate.caveat))
                ),
                positions=estimate.trajectory.positions,
                evaluation=evaluation,
                cloud=estimate.cloud,
                units=sequence.units,
                is_metric=sequence.is_metric,
            )
    if problem is not None:
        raise problem
    say_result(
        frames=f"{frames} registered",
        points=f"{len(estimate.cloud):,}",
        **_describe_fit(estimate),
        error=describe_error(evaluation, sequence.units) if evaluation else "no ground truth",
        time=f"{time.monotonic() - began:.1f} s",
        files=str(out),
    )


def _describe_fit(estimate: Estimate) -> dict[str, str]:
    if estimate.mean_reprojection_error_px is None:
        return {}
    return {"pixels": f"{estimate.mean_reprojection_error_px:.2f} px mean reprojection error"}


def _read_truth(sequence: Sequence, comparison: Comparison) -> Trajectory | None:
    """The ground truth, if there is one; that it fits is checked before the work and not after it."""
    if sequence.groundtruth is None:
        return None
    truth = read_groundtruth(sequence.groundtruth)
    stamps = np.array([float(stamp) for stamp in sequence.stamps])
    require_matches(truth.times, stamps, comparison.max_difference_s)
    return truth


def _evaluate(
    truth: Trajectory | None, estimate: Estimate, comparison: Comparison
) -> tuple[Evaluation | None, InputError | None]:
    """The error, or why there is none: the trajectory is worth keeping whatever the ground truth is like."""
    if truth is None:
        return None, None
    try:
        return compare(truth, estimate.trajectory, comparison), None
    except InputError as problem:
        return None, problem


def load_engine(name: str) -> Engine:
    """The function that estimates; only the chosen engine's libraries are needed.

    Raises:
        InputError: there is no such engine.
    """
    if name == "colmap":
        from slam.engine import colmap

        return colmap.estimate
    if name == "droid":
        from slam.engine.droid import engine

        return engine.estimate
    raise InputError(f"there is no engine {name!r}")


def summarize(sequence: Sequence, estimate: Estimate, *, seconds: float) -> dict[str, object]:
    """What goes to ``summary.json`` of the sequence and of what was found in it."""
    libraries = {name: version(name) for name in ("numpy", "evo", "matplotlib", "pillow")}
    return {
        "dataset": sequence.name,
        "frames": sequence.length,
        "frames_registered": len(estimate.trajectory),
        "points": len(estimate.cloud),
        "mean_reprojection_error_px": estimate.mean_reprojection_error_px,
        "seconds": round(seconds, 3),
        "image_size": [sequence.width, sequence.height],
        "intrinsics_known": sequence.intrinsics is not None,
        "camera": dict(estimate.camera),
        **estimate.facts,
        **({"caveat": estimate.caveat} if estimate.caveat else {}),
        **({"notes": list(sequence.notes)} if sequence.notes else {}),
        "versions": {"python": platform.python_version(), **estimate.versions, **libraries},
    }


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


def say_result(**rows: str) -> None:
    """Print the table at the end."""
    say("result")
    for name, value in rows.items():
        say(f"  {name:<8} {value}")
