"""What is written of a sequence that an engine has done: one function for each kind of file."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from slam.dataset.mask import read_mask, write_mask
from slam.dataset.original import read_originals
from slam.dataset.sequence import Bytes, Sequence
from slam.engine.estimate import Estimate, Settings
from slam.evaluate.absolute import Evaluation
from slam.evaluate.frame_error import write_errors
from slam.evaluate.relative import Drift
from slam.output import results
from slam.output.cloud import write_cloud
from slam.output.figure.frustum import field_of
from slam.output.figure.style import Drawing
from slam.output.figure.trajectory import Subject, draw
from slam.output.figure.words import wrap_first
from slam.output.frustum import measure_depth, write_frustums
from slam.output.model import write_model
from slam.output.nerf import write_transforms
from slam.output.pose import poses_of_files, write_euroc, write_kitti, write_poses
from slam.output.rerun import pictured, write_recording
from slam.output.undistortion import name_masks, write_undistorted
from slam.output.up import Up
from slam.output.view import render
from slam.progress import say
from slam.task.note import why_no_transforms
from slam.task.up import in_own_world
from slam.trajectory import Trajectory, write_trajectory


@dataclass(frozen=True, kw_only=True)
class Finished:
    """A sequence and what came of it; ``summary`` is what goes to ``summary.json``.

    ``up`` is in the ground truth's world where there is an evaluation, else in the estimate's. ``out`` is
    where the files will lie.
    """

    sequence: Sequence
    estimate: Estimate
    engine: str
    settings: Settings
    summary: Mapping[str, object]
    drawing: Drawing
    up: Up
    out: Path
    truth: Trajectory | None = None
    evaluation: Evaluation | None = None
    complaint: str | None = None
    drift: Drift | None = None

    @property
    def frames(self) -> str:
        """How many of how many frames have a pose."""
        return f"{len(self.estimate.trajectory)} of {self.sequence.length}"

    @property
    def names(self) -> tuple[str, ...]:
        """The images' names of these frames."""
        names = self.sequence.image_names
        return tuple(names[frame] for frame in self.estimate.places)

    @property
    def masks(self) -> Iterator[Bytes] | None:
        """The masks [h, w] of these frames, read one by one; ``None`` where no frame has one."""
        sequence = self.sequence
        if not any(frame.mask for frame in sequence.frames):
            return None
        size = sequence.file_size or (sequence.width, sequence.height)
        return (read_mask(sequence.frames[frame].mask, size) for frame in self.estimate.places)

    @property
    def shots(self) -> Trajectory:
        """The poses of the camera that took the files."""
        return poses_of_files(self.estimate.trajectory, self.estimate.camera)


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


def _write_poses(finished: Finished, folder: Path) -> None:
    """The same poses in the formats of others, and the frames that have none."""
    estimate, sequence = finished.estimate, finished.sequence
    write_kitti(folder / results.KITTI, estimate.trajectory)
    write_euroc(folder / results.EUROC, estimate.trajectory)
    parts = (estimate.places, *estimate.parts)
    write_poses(
        folder / results.POSES,
        estimate.trajectory,
        names=sequence.image_names,
        stamps=sequence.stamps,
        placed=estimate.places,
        # A frame may be in several models; the largest of them comes first.
        models={frame: number for number, part in reversed([*enumerate(parts)]) for frame in part},
    )


def _write_model(finished: Finished, folder: Path) -> None:
    """What other programs go on from, where the engine has not written it itself."""
    estimate = finished.estimate
    if results.MODELS not in estimate.files:
        write_model(
            folder / results.MODELS / "0",
            estimate.camera,
            finished.shots,
            finished.names,
            estimate.cloud,
            text=finished.settings.exports.colmap_text,
        )


def _write_transforms(finished: Finished, folder: Path) -> None:
    """Cameras for NeRF, of the images where they lie; with masks, where there are any."""
    sequence, estimate = finished.sequence, finished.estimate
    if why_no_transforms(sequence, estimate) is not None:
        return
    masks = name_masks(finished.names) if finished.masks else []
    for name, mask in zip(masks, finished.masks or (), strict=True):
        write_mask(mask, folder / name)
    images = (sequence.frames[frame].image for frame in estimate.places)
    write_transforms(
        folder / results.TRANSFORMS,
        estimate.camera,
        finished.shots,
        [Path(os.path.relpath(image.absolute(), finished.out.absolute())).as_posix() for image in images],
        cloud=results.CLOUD,
        masks=masks,
    )


def _write_undistorted(finished: Finished, folder: Path) -> None:
    """Images for what knows pinhole cameras only, where the engine has not written them itself."""
    estimate, sequence = finished.estimate, finished.sequence
    if not finished.settings.exports.undistort or results.UNDISTORTED in estimate.files:
        return
    say(f"undistort  {len(estimate.trajectory)} images")
    write_undistorted(
        folder / results.UNDISTORTED,
        estimate.camera,
        finished.shots,
        finished.names,
        read_originals(sequence, estimate.places),
        estimate.cloud,
        masks=finished.masks,
        text=finished.settings.exports.colmap_text,
        threads=finished.settings.threads,
    )


def _write_scene(finished: Finished, folder: Path) -> None:
    """What viewers show."""
    estimate = finished.estimate
    depth = measure_depth(estimate.trajectory, estimate.cloud)
    write_frustums(folder / results.CAMERAS, estimate.camera, finished.shots, depth)
    if finished.settings.exports.rerun:
        shown = [estimate.places[place] for place in pictured(len(estimate.places))]
        write_recording(
            folder / results.RECORDING,
            estimate.camera,
            finished.shots,
            estimate.cloud,
            frames=estimate.places,
            images=read_originals(finished.sequence, shown),
        )


def _write_cloud(finished: Finished, folder: Path) -> None:
    write_cloud(folder / results.CLOUD, finished.estimate.cloud)


def _write_figures(finished: Finished, folder: Path) -> None:
    if finished.evaluation is not None:
        results.write_json(folder / results.ATE, finished.evaluation.summarize())
    if finished.drift is not None:
        results.write_json(folder / results.RPE, finished.drift.summarize())
    results.write_json(folder / results.SUMMARY, finished.summary)


def _write_errors(finished: Finished, folder: Path) -> None:
    if finished.evaluation is None:
        return
    trajectory = finished.estimate.trajectory
    images = dict(zip(trajectory.stamps, finished.names, strict=True))
    write_errors(folder / results.ERRORS, finished.evaluation, finished.drift, trajectory, images)


def _draw(finished: Finished, folder: Path) -> None:
    sequence, estimate = finished.sequence, finished.estimate
    placed = f"{sequence.name}: {finished.frames} frames placed by {finished.engine}"
    subject = Subject(
        title="\n".join([placed, *filter(None, [estimate.caveat]), *wrap_first(finished.complaint)]),
        trajectory=estimate.trajectory,
        up=finished.up,
        units=sequence.units,
        evaluation=finished.evaluation,
        drift=finished.drift,
        cloud=estimate.cloud,
        is_metric=sequence.is_metric,
        field=field_of(estimate.camera),
    )
    draw(folder / results.FIGURE, subject, finished.drawing)


def _draw_cloud(finished: Finished, folder: Path) -> None:
    up = in_own_world(finished.up, finished.evaluation)
    render(folder / results.VIEW, finished.estimate.cloud, finished.estimate.trajectory, up.direction)


WRITERS = (
    _write_engine_files,
    _write_trajectories,
    _write_poses,
    _write_cloud,
    _write_model,
    _write_transforms,
    _write_undistorted,
    _write_scene,
    _write_figures,
    _write_errors,
    _draw,
    _draw_cloud,
)
