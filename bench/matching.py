"""What COLMAP's matchers cost as a sequence gets longer; see README.md.

``PYTHONPATH=docker/payload python -m bench.matching FOLDER WORKSPACE --frames 100 200`` takes the first
frames of a sequence. Features are found once for each length, then each matcher works on a copy of them.
"""

from __future__ import annotations

import argparse
import shutil
import time
from dataclasses import replace
from pathlib import Path

from slam.dataset.layout import open_sequence
from slam.dataset.sequence import Choice
from slam.engine.colmap.attempt import place_images
from slam.engine.colmap.engine import open_project, start_colmap
from slam.engine.colmap.feature import extract_features
from slam.engine.colmap.matching import count_pairs, match_features
from slam.engine.colmap.options import QUALITIES
from slam.engine.colmap.project import Project
from slam.engine.estimate import Settings

MATCHERS: dict[str, dict[str, object]] = {
    "sequential": {"matcher": "sequential", "loops": False},
    "sequential with loops": {"matcher": "sequential"},
    "vocabtree": {"matcher": "vocabtree"},
    "exhaustive": {"matcher": "exhaustive"},
}


class Clock:
    """Seconds since it was made, of the clock on the wall and of all cores."""

    def __init__(self) -> None:
        self._wall, self._cores = time.monotonic(), time.process_time()

    def __str__(self) -> str:
        return f"{time.monotonic() - self._wall:.0f} s | {time.process_time() - self._cores:.0f} s"


def prepare(folder: Path, workspace: Path, frames: int, settings: Settings) -> Project:
    """Find the features of the first frames."""
    import pycolmap

    sequence = open_sequence(folder, Choice(max_frames=frames, as_taken=True))
    workspace.mkdir(parents=True)
    project = open_project(sequence, settings, workspace)
    start_colmap(0)
    clock = Clock()
    with pycolmap.Database.open(project.database) as database:
        extract_features(project, database)
    print(f"| {frames} | features | | {clock} |", flush=True)
    return project


def measure(project: Project, name: str, *, maps: bool) -> None:
    """Match a copy of the features by one matcher, and place the images."""
    import pycolmap

    place = project.database.with_name(name.replace(" ", "-"))
    place.mkdir()
    shutil.copy(project.database, place / "database.db")
    project = replace(
        project,
        database=place / "database.db",
        settings=replace(project.settings, options={**project.settings.options, **MATCHERS[name]}),
    )
    with pycolmap.Database.open(project.database) as database:
        clock = Clock()
        match_features(project, database)
        rows = [f"| {len(project.names)} | {name} | {count_pairs(database)[0]:,} pairs | {clock} |"]
        if maps:
            clock = Clock()
            placed = place_images(project, database)
            rows.append(f"| {len(project.names)} | {name} | {placed.largest} images placed | {clock} |")
    print("\n".join(rows), flush=True)


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("workspace", type=Path, help="a folder that is not there yet")
    parser.add_argument("--frames", type=int, nargs="+", default=[100, 200])
    parser.add_argument("--matchers", nargs="+", choices=MATCHERS, default=list(MATCHERS))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--quality", choices=QUALITIES, help="(default: COLMAP's defaults)")
    parser.add_argument("--map", action="store_true", help="place the images, too")
    arguments = parser.parse_args()
    print("| frames | work | | on the clock | of all cores |\n| --- | --- | --- | --- | --- |")
    settings = Settings(threads=arguments.threads, options={"quality": arguments.quality})
    for frames in arguments.frames:
        project = prepare(arguments.folder, arguments.workspace / str(frames), frames, settings)
        for matcher in arguments.matchers:
            measure(project, matcher, maps=arguments.map)


if __name__ == "__main__":
    main()
