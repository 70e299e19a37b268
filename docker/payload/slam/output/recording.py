"""A recording for the Rerun viewer (https://rerun.io), by its own package, which the images do not have."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path

import numpy as np

from slam.dataset.image import read_upright, reduce_depth
from slam.dataset.sequence import ValueRange
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
    images: Sequence[Path],
    values: ValueRange | None,
) -> None:
    """Write the cloud, the path, and the camera with what it saw, over the timelines ``frame`` and ``time``.

    Args:
        path: the ``.rrd`` file to write.
        camera: that of the images; the viewer shows no distortion.
        trajectory: the camera's poses.
        cloud: what was seen.
        frames: the places of the poses in their sequence.
        images: a file for each pose.
        values: those of images with more than 8 bits.

    Raises:
        InputError: an image cannot be read.
    """
    import rerun as rr

    with replacing(path) as part:
        recording = rr.RecordingStream("slam", recording_id=path.parent.name)
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
        for place, jpeg in _thumbnails(images, values, scale):
            recording.set_time("frame", sequence=frames[place])
            recording.set_time("time", duration=times[place])
            image = rr.EncodedImage(contents=jpeg, media_type="image/jpeg")
            recording.log("world/camera/image", image)
        recording.disconnect()


def _thumbnails(
    images: Sequence[Path], values: ValueRange | None, scale: float
) -> Iterator[tuple[int, bytes]]:
    """The places of some images, and these as small JPEG files."""
    for place in np.unique(np.linspace(0, len(images) - 1, MOST_IMAGES).astype(int)).tolist():
        image = reduce_depth(read_upright(images[place]), values).convert("RGB")
        small = image.resize((round(scale * image.width), round(scale * image.height)))
        file = io.BytesIO()
        small.save(file, "JPEG", quality=_QUALITY)
        yield place, file.getvalue()
