"""A recording for the Rerun viewer (https://rerun.io), by its own package, which the images do not have."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from decimal import Decimal
from pathlib import Path

import numpy as np
from PIL import Image

from slam.dataset.sequence import Bytes
from slam.output.camera import Camera
from slam.output.cloud import Cloud
from slam.output.results import replacing
from slam.trajectory import Trajectory

# So many images are in it, evenly over the sequence; LONGEST is their longer side in pixels. That is 5 MB.
MOST_IMAGES, LONGEST = 300, 320
_QUALITY = 80


def write_recording(
    path: Path,
    camera: Camera,
    trajectory: Trajectory,
    cloud: Cloud,
    *,
    frames: Sequence[int],
    images: Iterable[Bytes],
) -> None:
    """Write the cloud, the path, and the camera with what it saw, over the timelines ``frame`` and ``time``.

    Args:
        path: the ``.rrd`` file to write.
        camera: that of the images; the viewer shows no distortion.
        trajectory: the camera's poses.
        cloud: what was seen.
        frames: the places of the poses in their sequence.
        images: of the poses that ``pictured`` names, blue, green, red [h, w, 3].

    Raises:
        InputError: an image cannot be read.
    """
    import rerun as rr

    with replacing(path) as part:
        recording = rr.RecordingStream("slam")
        recording.save(part)
        recording.log("world", rr.ViewCoordinates.RIGHT_HAND_Y_DOWN, static=True)
        recording.log("world/cloud", rr.Points3D(cloud.points, colors=cloud.colors), static=True)
        recording.log("world/path", rr.LineStrips3D([trajectory.positions]), static=True)
        scale = LONGEST / max(camera.width, camera.height, LONGEST)
        fx, fy, cx, cy = (scale * camera.named()[name] for name in ("fx", "fy", "cx", "cy"))
        pinhole = rr.Pinhole(
            focal_length=[fx, fy],
            principal_point=[cx, cy],
            resolution=[scale * camera.width, scale * camera.height],
            camera_xyz=rr.ViewCoordinates.RDF,
        )
        recording.log("world/camera/image", pinhole, static=True)
        # As decimals: seconds since 1970 in nanoseconds are more digits than a float has.
        began = Decimal(trajectory.stamps[0])
        times = [float(Decimal(stamp) - began) for stamp in trajectory.stamps]
        recording.send_columns(
            "world/camera",
            indexes=[rr.TimeColumn("frame", sequence=frames), rr.TimeColumn("time", duration=times)],
            columns=rr.Transform3D.columns(
                translation=trajectory.positions, quaternion=trajectory.quaternions
            ),
        )
        for place, pixels in zip(pictured(len(trajectory)), images, strict=True):
            recording.set_time("frame", sequence=frames[place])
            recording.set_time("time", duration=times[place])
            image = rr.EncodedImage(contents=_shrink(pixels, scale), media_type="image/jpeg")
            recording.log("world/camera/image", image)
        recording.disconnect()


def pictured(poses: int) -> list[int]:
    """Which of so many poses have their image in a recording."""
    evenly = np.linspace(0, poses - 1, min(poses, MOST_IMAGES))
    return [int(place) for place in np.rint(evenly)]


def _shrink(pixels: Bytes, scale: float) -> bytes:
    """An image [h, w, 3] as a small JPEG file."""
    height, width = pixels.shape[:2]
    image = Image.fromarray(np.ascontiguousarray(pixels[:, :, ::-1]))
    file = io.BytesIO()
    image.resize((round(scale * width), round(scale * height))).save(file, "JPEG", quality=_QUALITY)
    return file.getvalue()
