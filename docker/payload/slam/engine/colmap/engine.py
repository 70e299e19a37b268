"""Structure from motion by COLMAP (https://colmap.github.io), through pycolmap, on the CPU.

On one machine, runs with the same seed and one thread write the same bytes. With more threads features and
matches are still the same, but bundle adjustment adds numbers up in the order that its threads come by: poses
agree to about nine digits, and now and then an observation near a threshold is kept in one run only.
"""

from __future__ import annotations

import signal
from dataclasses import replace
from pathlib import Path

from slam.dataset.image import describe_pixels
from slam.dataset.sequence import Sequence
from slam.engine.colmap.attempt import Placed, place_images
from slam.engine.colmap.feature import extract_features
from slam.engine.colmap.focal import compare_focal_length
from slam.engine.colmap.image import link_images, write_masks
from slam.engine.colmap.matching import match_features
from slam.engine.colmap.model import read_models, write_models
from slam.engine.colmap.project import Project
from slam.engine.colmap.undistortion import undistort
from slam.engine.estimate import Estimate, Settings
from slam.errors import ReconstructionError
from slam.output import results


def estimate(sequence: Sequence, settings: Settings, workspace: Path) -> Estimate:
    """Reconstruct a sequence; COLMAP's files go to ``workspace``, an empty folder.

    Raises:
        InputError: COLMAP cannot read one of the images.
        ReconstructionError: COLMAP fails, or places fewer than three frames together.
    """
    project = open_project(sequence, settings, workspace)
    start_colmap(settings.seed)
    import pycolmap

    try:
        # This connection only watches; the steps open their own.
        with pycolmap.Database.open(project.database) as database:
            extract_features(project, database)
            matcher = match_features(project, database)
            if matcher == "sequential":
                # Also a plain folder that was found to be a video, or said to be one.
                project = replace(project, sequence=replace(sequence, is_video=True))
            placed = place_images(project, database)
        facts = describe_work(project, placed, matcher)
        models = placed.models
        found = read_models(models, project)
        files = {results.MODELS: workspace / results.MODELS}
        write_models(models, project, files[results.MODELS])
        if settings.exports.undistort:
            files[results.UNDISTORTED] = workspace / results.UNDISTORTED
            undistort(project, found, files[results.MODELS] / "0", files[results.UNDISTORTED])
    except (RuntimeError, ValueError) as error:
        raise ReconstructionError(f"COLMAP gave up on {sequence.name}: {error}") from error
    return replace(found, files=files, facts={**found.facts, "colmap": facts})


def open_project(sequence: Sequence, settings: Settings, workspace: Path) -> Project:
    """The images and their masks as COLMAP reads them."""
    # First the images: Pillow's JPEG library and pycolmap's get in each other's way once both are loaded.
    names = link_images(sequence, workspace / "images")
    return Project(
        sequence=sequence,
        settings=settings,
        images=workspace / "images",
        names=names,
        masks=write_masks(sequence, names, workspace / "masks"),
        pixels=describe_pixels([frame.image for frame in sequence.frames]),
        database=workspace / "database.db",
    )


def describe_work(project: Project, placed: Placed, matcher: str) -> dict[str, object]:
    """What the summary says of how COLMAP has worked, and of the calibration."""
    focal_length = compare_focal_length(project, placed)
    return {
        "quality": project.options.quality or "default",
        "matcher": matcher,
        "mapper": placed.attempt.mapper,
        "attempt": placed.attempt.name,
        **({"focal_length": focal_length.summarize()} if focal_length else {}),
    }


def start_colmap(seed: int) -> None:
    """Load COLMAP and make it quiet and repeatable."""
    terminate = signal.getsignal(signal.SIGTERM)
    import pycolmap

    # Its logging library takes SIGTERM for a crash, and has put a handler of its own in place.
    signal.signal(signal.SIGTERM, terminate)
    pycolmap.logging.logtostderr = True  # else it opens log files in /tmp
    pycolmap.logging.minloglevel = int(pycolmap.logging.FATAL)  # the rest arrives as exceptions or counts
    pycolmap.set_random_seed(seed)
