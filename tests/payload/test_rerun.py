"""A recording for the Rerun viewer, read back by Rerun's own package where that is installed."""

import importlib.util
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from slam.output.camera import Camera
from slam.output.cloud import Cloud
from slam.output.rerun import MOST_IMAGES, write_recording
from slam.trajectory import Trajectory

HAS_RERUN = importlib.util.find_spec("rerun") is not None


@pytest.mark.skipif(HAS_RERUN, reason="rerun-sdk is installed here, so nothing is missing")
def test_without_the_package_nothing_is_begun(slam, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = slam(
        "--task", "infer", "--data-root", photos.parent, "--dataset", "photos", "--rerun", "--out", out
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("slam: --rerun needs the package rerun-sdk, which is not installed here")
    assert not out.exists()


@pytest.mark.skipif(not HAS_RERUN, reason="rerun-sdk is not installed here; the extra `rerun` has it")
def test_a_recording_holds_cloud_path_cameras_and_images(tmp_path: Path) -> None:
    from rerun.chunk import RrdReader

    count = MOST_IMAGES + 40
    random = np.random.default_rng(0)
    trajectory = Trajectory(
        stamps=tuple(f"{1403636579 + place // 20}.{place % 20 * 5:02}" for place in range(count)),
        positions=random.normal(size=(count, 3)),
        quaternions=np.tile([0.0, 0.6, 0, 0.8], (count, 1)),
    )
    cloud = Cloud(points=random.normal(size=(50, 3)), colors=random.integers(0, 256, (50, 3), dtype=np.uint8))
    image = np.full((480, 640, 3), (50, 100, 200), np.uint8)  # blue, green, red
    camera = Camera(model="PINHOLE", parameters=(600, 500, 320, 240), width=640, height=480)
    frames = tuple(range(5, 5 + count))
    write_recording(
        tmp_path / "scene.rrd", camera, trajectory, cloud, frames=frames, images=[image] * MOST_IMAGES
    )
    columns: dict[str, list[object]] = {}
    batches = []
    for chunk in RrdReader(tmp_path / "scene.rrd").stream().to_chunks():
        batch = chunk.to_record_batch()
        batches.append(batch)
        for name in {*batch.schema.names} - {"time", "log_time"}:
            columns.setdefault(f"{chunk.entity_path} {name}", []).extend(batch.column(name).to_pylist())
    np.testing.assert_allclose(columns["/world/cloud Points3D:positions"][0], cloud.points, atol=1e-6)
    packed = [int.from_bytes(bytes([*color, 255]), "big") for color in cloud.colors]
    assert columns["/world/cloud Points3D:colors"][0] == packed
    np.testing.assert_allclose(
        columns["/world/path LineStrips3D:strips"][0][0], trajectory.positions, atol=1e-6
    )
    placed = [one[0] for one in columns["/world/camera Transform3D:translation"]]
    np.testing.assert_allclose(placed, trajectory.positions, atol=1e-6)
    assert columns["/world/camera frame"] == list(frames)
    np.testing.assert_allclose(
        columns["/world/camera Transform3D:quaternion"][7][0], [0, 0.6, 0, 0.8], atol=1e-6
    )
    (times,) = (
        batch.column("time").cast("int64").to_pylist()
        for batch in batches
        if "Transform3D:translation" in batch.schema.names
    )
    assert times == [50_000_000 * place for place in range(count)]
    # Column by column; half as large as the files, as the images in it are.
    matrix = columns["/world/camera/image Pinhole:image_from_camera"][0][0]
    np.testing.assert_allclose(matrix, [300, 0, 0, 0, 250, 0, 160, 120, 1])
    assert len(columns["/world/camera/image EncodedImage:blob"]) == MOST_IMAGES
    jpeg = bytes(columns["/world/camera/image EncodedImage:blob"][0][0])
    shown = np.asarray(Image.open(io.BytesIO(jpeg)))
    assert shown.shape == (240, 320, 3)
    assert np.abs(shown.mean((0, 1)) - (200, 100, 50)).max() < 3
    assert [path.name for path in tmp_path.iterdir()] == ["scene.rrd"]
