"""The errors of single frames, as a table for other programs."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

from slam.evaluate.absolute import Evaluation
from slam.evaluate.relative import Drift
from slam.output.results import replacing
from slam.trajectory import Trajectory

COLUMNS = (
    "timestamp",
    "image",
    "ate",
    "rotation_error_deg",
    "rpe_from",
    "rpe_translation",
    "rpe_rotation_deg",
)


def write_errors(
    path: Path,
    evaluation: Evaluation,
    drift: Drift | None,
    estimate: Trajectory,
    images: Mapping[str, str] | None = None,
) -> None:
    """Write a row for each pose that was compared.

    ``ate`` and ``rpe_translation`` are in the ground truth's unit of length. ``rpe_…`` are those of the step
    that ends with this pose and began at ``rpe_from``; of several that end there, of the last that began.
    Cells are empty where there is no such step.

    Args:
        path: the CSV file.
        evaluation: the absolute errors.
        drift: the relative errors of the same poses, where they were measured.
        estimate: what was compared: its timestamps are written letter by letter.
        images: the names of images by these timestamps, as far as they are known.
    """
    names = images or {}
    own = [estimate.stamps[place] for place in evaluation.places]
    steps = {} if drift is None else {int(last): place for place, (_, last) in enumerate(drift.places)}
    with replacing(path) as part, part.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for place, stamp in enumerate(own):
            absolute = [float(errors[place]) for errors in (evaluation.errors, evaluation.rotation_errors)]
            row: list[object] = [stamp, names.get(stamp, ""), *absolute]
            if drift is not None and place in steps:
                step = steps[place]
                row += [own[drift.places[step, 0]], float(drift.lengths[step]), float(drift.angles[step])]
            writer.writerow(row + [""] * (len(COLUMNS) - len(row)))
