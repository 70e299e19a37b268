"""A sequence's trajectory and cloud."""

from __future__ import annotations

import platform
import time
from collections.abc import Mapping
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

from slam.dataset.recording import unpack
from slam.dataset.sequence import Sequence
from slam.engine.catalog import find_engine, load_engine
from slam.engine.estimate import Estimate, Settings
from slam.engine.worker import run_engine
from slam.evaluate.absolute import Comparison
from slam.evaluate.relative import Step
from slam.output import results
from slam.output.cache import writable_cache
from slam.output.figure.style import Drawing
from slam.output.figure.words import describe_error
from slam.progress import say, say_result
from slam.task.note import notes_of
from slam.task.truth import find_truth
from slam.task.up import find_up, in_own_world
from slam.task.write import Finished, write_results


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

    A ground truth that does not fit forbids nothing: the error is left out, and said why.

    Raises:
        InputError: the comparison is required, and there is no ground truth, or it does not fit; where that
            shows only at the end, all but the error has been written.
        SlamError: something else went wrong; then nothing is written.
    """
    began = time.monotonic()
    truth = find_truth(sequence, comparison)
    say(f"sequence   {sequence.name}: {sequence.length} images of {sequence.width}x{sequence.height}")
    say(f"camera     {sequence.calibration or f'not known; {engine} estimates it'}")
    for note in sequence.notes:
        say(f"note       {note}")
    truth.tell()
    say(f"engine     {engine}, {settings.threads} threads")
    image_folder = str(sequence.image_folder)  # of a video, the video
    with results.workspace(out) as workspace, writable_cache(workspace):
        if find_engine(engine).reads_files or settings.exports.undistort or settings.exports.rerun:
            sequence = unpack(sequence, workspace)
        estimate = run_engine(load_engine(engine), sequence, settings, workspace)
        estimate = replace(estimate, trajectory=replace(estimate.trajectory, frame=sequence.frame))
        evaluation, drift, truth = truth.compare(estimate.trajectory, step)
        summary = {
            **summarize(sequence, estimate, seconds=time.monotonic() - began),
            "source": source,
            "image_folder": image_folder,
            "engine": engine,
            "threads": settings.threads,
            "arguments": dict(arguments),
            "ground_truth": truth.summarize(),
        }
        for note in notes_of(sequence, estimate):
            say(f"note       {note}")
        up = find_up(drawing.up, sequence, estimate, truth.pair, evaluation)
        finished = Finished(
            sequence=sequence,
            estimate=estimate,
            engine=engine,
            settings=settings,
            summary={**summary, "up": in_own_world(up, evaluation).summarize()},
            drawing=drawing,
            up=up,
            out=out,
            truth=truth.trajectory,
            evaluation=evaluation,
            complaint=truth.complaint,
            drift=drift,
        )
        write_results(finished, out)
    say_result(
        frames=f"{finished.frames} registered",
        points=f"{len(estimate.cloud):,}",
        **_describe_fit(estimate),
        error=describe_error(evaluation, sequence.units) if evaluation else f"no ATE: {truth.reason}",
        time=f"{time.monotonic() - began:.1f} s",
        files=str(out),
    )
    truth.finish()


def _describe_fit(estimate: Estimate) -> dict[str, str]:
    if estimate.mean_reprojection_error_px is None:
        return {}
    return {"pixels": f"{estimate.mean_reprojection_error_px:.2f} px mean reprojection error"}


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
        **({"frame": sequence.frame} if sequence.frame else {}),
        "intrinsics_known": sequence.intrinsics is not None,
        "calibration": sequence.calibration or None,
        "camera": estimate.camera.summarize(),
        **estimate.facts,
        **({"caveat": estimate.caveat} if estimate.caveat else {}),
        **({"notes": notes} if notes else {}),
        "versions": {"python": platform.python_version(), **estimate.versions, **libraries},
    }
