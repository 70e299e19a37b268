"""The demo's input: a room that does not exist, filmed by a camera whose path is known exactly.

``python3 -m slam.demo.scene DEST`` writes a TUM RGB-D sequence of it: ``rgb/``, ``rgb.txt``,
``groundtruth.txt`` and ``calib.txt``; with ``--depth``, ``depth/`` and ``depth.txt`` as well. The same
versions of Python, numpy and pillow on the same kind of processor write the same bytes each time.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from slam.cpu import core_count, thread_limit
from slam.dataset.camera import CALIBRATION, Intrinsics
from slam.dataset.sequence import GROUND_TRUTH
from slam.dataset.tum import DEPTH_LIST, FRAME_LIST
from slam.demo.raster import make_rays, render, trace
from slam.demo.room import build_room
from slam.demo.shape import Pixels, Pose
from slam.errors import OutputError, SlamError
from slam.trajectory import Floats, Trajectory, write_trajectory

# Says that a folder was made here, and may be made anew.
MARK = "scene.json"
FIRST_S, RATE_HZ = 1_700_000_000, 10
FOCAL = 525 / 640  # a Kinect's, in widths of the image
DEPTH_PER_METRE = 5000  # as TUM's depth images have it, which reach 13 m


def camera_path(frames: int) -> list[Pose]:
    """Where the camera is: from left to right past the room, swaying a little, its eye on the middle."""
    return [_pose(share) for share in np.linspace(0, 1, frames)]


def _pose(share: float) -> Pose:
    wave = 2 * np.pi * share
    position = np.array(
        [
            1.5 + 3.0 * share,
            0.55 + 0.35 * np.sin(wave / 2) + 0.03 * np.sin(3 * wave),
            1.45 + 0.15 * np.sin(wave) + 0.02 * np.sin(4 * wave),
        ]
    )
    target = np.array([3.0 + 0.15 * np.sin(wave), 4.0, 0.95 + 0.05 * np.cos(2 * wave)])
    return Pose(position=position, rotation=_look(target - position, roll=0.03 * np.sin(1.5 * wave)))


def _look(direction: Floats, roll: float) -> Floats:
    """The rotation [3, 3] from camera (x right, y down, z ahead) to world (z up)."""
    ahead = direction / np.linalg.norm(direction)
    right = np.cross(ahead, [0, 0, 1])
    right /= np.linalg.norm(right)
    down = np.cross(ahead, right)
    cosine, sine = np.cos(roll), np.sin(roll)
    return np.stack([cosine * right + sine * down, cosine * down - sine * right, ahead], axis=1)


def quaternion(rotation: Floats) -> Floats:
    """``x y z w`` of a rotation matrix [3, 3], w not negative.

    Bar-Itzhack, "New method for extracting the quaternion from a rotation matrix" (2000): the eigenvector of
    the largest eigenvalue, which stays exact for every rotation.
    """
    r = rotation
    table = np.array(
        [
            [r[0, 0] - r[1, 1] - r[2, 2], 0, 0, 0],
            [r[1, 0] + r[0, 1], r[1, 1] - r[0, 0] - r[2, 2], 0, 0],
            [r[2, 0] + r[0, 2], r[2, 1] + r[1, 2], r[2, 2] - r[0, 0] - r[1, 1], 0],
            [r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1], np.trace(r)],
        ]
    )
    vector: Floats = np.linalg.eigh(table, UPLO="L")[1][:, -1]
    return vector if vector[3] >= 0 else -vector


def depth_image(depth: Pixels) -> npt.NDArray[np.uint16]:
    """Depths [h, w] in metres as TUM's depth images hold them; 0 where they are too far for 16 bits."""
    steps = np.rint(depth * DEPTH_PER_METRE)
    return np.where(steps <= np.iinfo(np.uint16).max, steps, 0).astype(np.uint16)


def write_scene(folder: Path, *, frames: int, width: int, depth: bool = False) -> None:
    """Write the sequence into an empty folder; images are ``width`` x 3/4 ``width`` pixels."""
    height = width * 3 // 4
    camera = Intrinsics(fx=FOCAL * width, fy=FOCAL * width, cx=width / 2, cy=height / 2)
    poses = camera_path(frames)
    stamps = tuple(f"{FIRST_S + place / RATE_HZ:.6f}" for place in range(frames))
    threads = thread_limit(os.environ, core_count())
    surfaces = build_room(threads)
    lists = (FRAME_LIST, DEPTH_LIST) if depth else (FRAME_LIST,)
    for name in lists:
        kind = Path(name).stem
        (folder / kind).mkdir(parents=True)
        lines = ["# timestamp filename", *(f"{stamp} {kind}/{stamp}.png" for stamp in stamps)]
        (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")

    def shoot(place: int) -> None:
        image = Image.fromarray(render(surfaces, camera, width, height, poses[place]))
        image.save(folder / "rgb" / f"{stamps[place]}.png")
        if depth:
            seen, _ = trace(surfaces, make_rays(camera, width, height, poses[place]))
            Image.fromarray(depth_image(seen)).save(folder / "depth" / f"{stamps[place]}.png")

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(shoot, range(frames)))
    (folder / CALIBRATION).write_text(
        f"{camera.fx:g} {camera.fy:g} {camera.cx:g} {camera.cy:g}\n", encoding="utf-8"
    )
    positions = np.array([pose.position for pose in poses])
    quaternions = np.array([quaternion(pose.rotation) for pose in poses])
    truth = Trajectory(stamps=stamps, positions=positions, quaternions=quaternions)
    write_trajectory(folder / GROUND_TRUTH, truth)
    made = {"made_by": "slam.demo.scene", "frames": frames, "width": width, "height": height, "depth": depth}
    (folder / MARK).write_text(json.dumps(made, indent=2) + "\n", encoding="utf-8")


def make_scene(
    dest: Path, *, frames: int = 40, width: int = 640, depth: bool = False, force: bool = False
) -> None:
    """Write the sequence to ``dest``, whole or not at all.

    Raises:
        OutputError: ``dest`` is a file, or a folder with something in it that was not made here.
    """
    if dest.exists() and not dest.is_dir():
        raise OutputError(f"{dest} is a file; name a folder")
    if dest.is_dir() and any(dest.iterdir()) and not (dest / MARK).is_file() and not force:
        raise OutputError(f"{dest} holds something else; name another folder, or --force to replace it")
    dest.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=f".{dest.name}.", dir=dest.parent))
    try:
        write_scene(part / "new", frames=frames, width=width, depth=depth)
        if dest.exists():
            dest.rename(part / "old")
        (part / "new").rename(dest)
    finally:
        shutil.rmtree(part)


def main(argv: list[str] | None = None) -> int:
    """Run from the command line; 0, or the error's exit code."""
    parser = argparse.ArgumentParser(
        prog="slam.demo.scene", description="Generate the demo's image sequence."
    )
    parser.add_argument("dest", type=Path, metavar="DEST", help="the folder to write")
    parser.add_argument("--frames", type=int, default=40)
    parser.add_argument("--width", type=int, default=640, help="of the images, in pixels (default: 640)")
    parser.add_argument("--depth", action="store_true", help="write depth images, too, as TUM RGB-D has them")
    parser.add_argument("--force", action="store_true", help="replace DEST whatever is in it")
    arguments = parser.parse_args(argv)
    try:
        make_scene(
            arguments.dest,
            frames=arguments.frames,
            width=arguments.width,
            depth=arguments.depth,
            force=arguments.force,
        )
    except SlamError as error:
        print(f"slam: {error}", file=sys.stderr)
        return error.exit_code
    print(f"{arguments.dest}: {arguments.frames} frames of {arguments.width}x{arguments.width * 3 // 4}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
