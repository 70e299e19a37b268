"""What the results of a long sequence cost: seconds, megabytes on disk, and the most memory until then.

    PYTHONPATH=docker/payload python bench/results.py [--frames 10000] [--points 5000000]

All that is written of any engine's estimate, figures aside: poses, cloud, COLMAP's model with its text,
transforms.json, cameras as a mesh.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from pathlib import Path

import numpy as np

from slam.dataset.sequence import Frame, Sequence
from slam.engine.estimate import Estimate, Settings
from slam.output.camera import Camera
from slam.output.cloud import Cloud
from slam.output.figure.style import Drawing
from slam.output.options import Exports
from slam.output.up import along
from slam.task.write import WRITERS, Finished
from slam.trajectory import Trajectory


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--frames", type=int, default=10_000)
    parser.add_argument("--points", type=int, default=5_000_000)
    asked = parser.parse_args()
    finished = make(asked.frames, asked.points)
    tell("before", 0.0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for write in WRITERS:
            if write.__name__ == "_draw":
                continue
            began = time.monotonic()
            write(finished, folder)
            tell(write.__name__, time.monotonic() - began)
        for path in sorted(folder.rglob("*.*")):
            print(f"{path.relative_to(folder).as_posix():24} {path.stat().st_size / 1e6:8.2f} MB")


def make(frames: int, points: int) -> Finished:
    """An estimate of random poses and points."""
    random = np.random.default_rng(0)
    turns = random.normal(size=(frames, 4))
    images = (
        Frame(stamp=f"{1_700_000_000 + place / 20:.6f}", image=Path(f"/data/rgb/{place:06}.png"))
        for place in range(frames)
    )
    sequence = Sequence(name="long", frames=tuple(images), width=640, height=480)
    estimate = Estimate(
        trajectory=Trajectory(
            stamps=sequence.stamps,
            positions=random.normal(size=(frames, 3)),
            quaternions=turns / np.linalg.norm(turns, axis=1, keepdims=True),
        ),
        cloud=Cloud(
            points=random.normal(size=(points, 3)),
            colors=random.integers(0, 256, (points, 3), dtype=np.uint8),
        ),
        mean_reprojection_error_px=None,
        versions={},
        camera=Camera(model="PINHOLE", parameters=(525, 525, 320, 240), width=640, height=480),
    )
    settings = Settings(threads=1, exports=Exports(colmap_text=True))
    return Finished(
        sequence=sequence,
        estimate=estimate,
        engine="none",
        settings=settings,
        summary={},
        drawing=Drawing(),
        up=along("z", "asked for"),
    )


def tell(what: str, seconds: float) -> None:
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    print(f"{what.strip('_').replace('_', ' '):24} {seconds:8.2f} s  {memory:6.0f} MB of memory")


if __name__ == "__main__":
    main()
