"""A sequence's trajectory and cloud."""

from __future__ import annotations

import platform
import time
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import numpy as np

from slam.dataset.groundtruth import read_groundtruth
from slam.dataset.recording import unpack
from slam.dataset.sequence import Sequence
from slam.engine.catalog import find_engine, load_engine
from slam.engine.estimate import Estimate, Settings
from slam.engine.worker import run_engine
from slam.errors import InputError
from slam.evaluate.absolute import Comparison, Evaluation, compare, require_matches
from slam.evaluate.relative import Drift, Step, measure_drift
from slam.output import results
from slam.output.cache import writable_cache
from slam.output.figure.style import Drawing
from slam.output.figure.words import describe_error
from slam.progress import say, say_result
from slam.task.note import notes_of
from slam.task.up import find_up
from slam.task.write import Finished, write_results
from slam.trajectory import Trajectory


def infer(
    sequence: Sequence,
    settings: Settings,
    comparison: Comparison,
    step: Step,
    drawing: Drawing,
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
    say(f"camera     {sequence.calibration or f'not known; {engine} estimates it'}")
    for note in sequence.notes:
        say(f"note       {note}")
    say(f"engine     {engine}, {settings.threads} threads")
    with results.workspace(out) as workspace, writable_cache(workspace):
        if find_engine(engine).reads_files or settings.exports.undistort or settings.exports.rerun:
            sequence = unpack(sequence, workspace)
        estimate = run_engine(load_engine(engine), sequence, settings, workspace)
        summary = {
            **summarize(sequence, estimate, seconds=time.monotonic() - began),
            "source": source,
            "engine": engine,
            "threads": settings.threads,
            "arguments": dict(arguments),
        }
        for note in notes_of(sequence, estimate):
            say(f"note       {note}")
        evaluation, problem = _evaluate(truth, estimate, comparison)
        up = find_up(drawing.up, sequence, estimate, evaluation)
        finished = Finished(
            sequence=sequence,
            estimate=estimate,
            engine=engine,
            settings=settings,
            summary={**summary, "up": up.summarize()},
            drawing=drawing,
            up=up,
            truth=truth,
            evaluation=evaluation,
            drift=_measure_drift(truth, estimate, comparison, step) if evaluation else None,
        )
        write_results(finished, out)
    if problem is not None:
        raise problem
    say_result(
        frames=f"{finished.frames} registered",
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


def _measure_drift(
    truth: Trajectory | None, estimate: Estimate, comparison: Comparison, step: Step
) -> Drift | None:
    """The relative error; what is too short for one step has none."""
    try:
        return measure_drift(truth, estimate.trajectory, comparison, step) if truth else None
    except InputError as problem:
        say(f"note       {problem}")
        return None


def summarize(sequence: Sequence, estimate: Estimate, *, seconds: float) -> dict[str, object]:
    """What goes to ``summary.json`` of the sequence and of what was found in it."""
    notes = [*sequence.notes, *notes_of(sequence, estimate)]
    libraries = {name: version(name) for name in ("numpy", "evo", "matplotlib", "pillow")}
    return {
        "dataset": sequence.name,
        "frames": sequence.length,
        "frames_registered": len(estimate.trajectory),
        "points": len(estimate.cloud),
        "mean_reprojection_error_px": estimate.mean_reprojection_error_px,
        "seconds": round(seconds, 3),
        "image_size": [sequence.width, sequence.height],
        "image_folder": str(sequence.image_folder),
        "intrinsics_known": sequence.intrinsics is not None,
        "calibration": sequence.calibration or None,
        "camera": estimate.camera.summarize(),
        **estimate.facts,
        **({"caveat": estimate.caveat} if estimate.caveat else {}),
        **({"notes": notes} if notes else {}),
        "versions": {"python": platform.python_version(), **estimate.versions, **libraries},
    }
