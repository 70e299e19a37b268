"""What is written of a sequence that an engine has done: one function for each kind of file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from slam.dataset.sequence import Sequence
from slam.engine.estimate import Estimate
from slam.evaluate.absolute import Evaluation
from slam.output import results
from slam.output.cloud import write_cloud
from slam.output.plot import draw
from slam.trajectory import Trajectory, write_trajectory


@dataclass(frozen=True, kw_only=True)
class Finished:
    """A sequence and what came of it; ``summary`` is what goes to ``summary.json``."""

    sequence: Sequence
    estimate: Estimate
    engine: str
    summary: Mapping[str, object]
    truth: Trajectory | None = None
    evaluation: Evaluation | None = None

    @property
    def frames(self) -> str:
        """How many of how many frames have a pose."""
        return f"{len(self.estimate.trajectory)} of {self.sequence.length}"


def write_results(finished: Finished, out: Path) -> None:
    """Write all files, which are there together or not at all.

    Raises:
        OutputError: they cannot be written.
    """
    with results.together(out) as folder:
        for write in WRITERS:
            write(finished, folder)


def _write_engine_files(finished: Finished, folder: Path) -> None:
    results.adopt(finished.estimate.files, folder)


def _write_trajectories(finished: Finished, folder: Path) -> None:
    write_trajectory(folder / results.TRAJECTORY, finished.estimate.trajectory)
    if finished.truth is not None:
        write_trajectory(folder / results.TRUTH, finished.truth)


def _write_cloud(finished: Finished, folder: Path) -> None:
    write_cloud(folder / results.CLOUD, finished.estimate.cloud)


def _write_figures(finished: Finished, folder: Path) -> None:
    if finished.evaluation is not None:
        results.write_json(folder / results.ATE, finished.evaluation.summarize())
    results.write_json(folder / results.SUMMARY, finished.summary)


def _draw(finished: Finished, folder: Path) -> None:
    sequence, estimate = finished.sequence, finished.estimate
    placed = f"{sequence.name}: {finished.frames} frames placed by {finished.engine}"
    draw(
        folder / results.FIGURE,
        title="\n".join(filter(None, (placed, estimate.caveat))),
        positions=estimate.trajectory.positions,
        evaluation=finished.evaluation,
        cloud=estimate.cloud,
        units=sequence.units,
        is_metric=sequence.is_metric,
    )


WRITERS = (_write_engine_files, _write_trajectories, _write_cloud, _write_figures, _draw)
