"""All files of a run, of an estimate that no engine has made."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.spatial.transform import Rotation

from slam.dataset.image import needs_copy, read_upright
from slam.dataset.layout import open_sequence
from slam.dataset.sequence import Choice
from slam.engine.estimate import Estimate, Settings
from slam.output.camera import camera_of
from slam.output.cloud import Cloud
from slam.output.figure.style import Drawing
from slam.output.options import Exports
from slam.task.note import notes_of
from slam.task.up import find_up
from slam.task.write import Finished, write_results
from slam.trajectory import Trajectory
from tests.payload.datasets import make_euroc, middle, save, spot
from tests.result_files import ALWAYS

SPOT = np.array([520.0, 130.0])


@pytest.fixture
def finished(tmp_path: Path) -> Finished:
    """What DROID-SLAM, which sees rectified and smaller images, may have found in files of EuRoC's layout."""
    folder = make_euroc(tmp_path / "data" / "V1")
    for path in (folder / "mav0" / "cam0" / "data").iterdir():
        Image.fromarray(spot((752, 480), SPOT)).save(path)
    sequence = open_sequence(folder, Choice())
    camera = camera_of(sequence)
    assert camera is not None
    random = np.random.default_rng(0)
    count = sequence.length
    estimate = Estimate(
        trajectory=Trajectory(
            stamps=sequence.stamps,
            positions=random.normal(size=(count, 3)),
            quaternions=Rotation.random(count, rng=random).as_quat(),
        ),
        cloud=Cloud(
            points=random.normal(size=(500, 3)), colors=random.integers(0, 256, (500, 3), dtype=np.uint8)
        ),
        mean_reprojection_error_px=None,
        versions={},
        camera=camera,
    )
    settings = Settings(threads=2, exports=Exports(undistort=True, colmap_text=True))
    return Finished(
        sequence=sequence,
        estimate=estimate,
        engine="droid",
        settings=settings,
        summary={"frames": count},
        drawing=Drawing(),
        up=find_up(None, sequence, estimate, None, None),
        out=tmp_path / "out",
    )


def test_an_engine_without_features_leaves_all_files_too(finished: Finished, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    write_results(finished, out)
    assert {path.name for path in out.iterdir()} == ALWAYS | {"undistorted"}
    assert sorted(path.name for path in (out / "sparse" / "0").iterdir()) == [
        f"{name}.{kind}" for name in ("cameras", "images", "points3D") for kind in ("bin", "txt")
    ]
    assert list(notes_of(finished.sequence, finished.estimate)) == []


def test_what_has_masks_has_one_for_each_image(finished: Finished, tmp_path: Path) -> None:
    """nerfstudio takes one for each image or none at all, and only grey ones."""
    mask = np.zeros((480, 752, 3), dtype=np.uint8)
    mask[:, 400:] = 200
    first, *others = finished.sequence.frames
    frames = (replace(first, mask=save(tmp_path / "mask.png", mask)), *others)
    out = tmp_path / "out"
    out.mkdir()
    write_results(replace(finished, sequence=replace(finished.sequence, frames=frames)), out)
    for folder in (out, out / "undistorted"):
        values = json.loads((folder / "transforms.json").read_text())
        images, masks = (
            [read_upright(folder / frame[key]) for frame in values["frames"]]
            for key in ("file_path", "mask_path")
        )
        assert {image.size for image in (*images, *masks)} == {(values["w"], values["h"])}
        assert {one.mode for one in masks} == {"L"}
        shown = [np.asarray(one) for one in masks]
        assert (shown[0][240, 300], shown[0][240, 500], shown[1].min()) == (0, 255, 255)
    assert (out / values["frames"][0]["file_path"]).name == first.image.name


@pytest.mark.long
def test_frames_without_files_have_no_transforms(finished: Finished, tmp_path: Path) -> None:
    turned = finished.sequence.frames[1].image
    exif = Image.Exif()
    exif[0x0112] = 3
    Image.open(turned).save(turned, exif=exif)
    needs_copy.cache_clear()
    for sequence, reason in [
        (replace(finished.sequence, is_unpacked=True), "for these frames are no files"),
        (finished.sequence, "for 1 images are stored turned"),
    ]:
        assert any(
            f"there is no transforms.json, {reason}" in note for note in notes_of(sequence, finished.estimate)
        )
        out = tmp_path / "out"
        out.mkdir(exist_ok=True)
        write_results(replace(finished, sequence=sequence), out)
        assert not (out / "transforms.json").exists()
        shutil.rmtree(out)


@pytest.mark.parametrize("folder", [".", "undistorted"])
def test_the_model_is_of_the_files_and_not_of_what_the_network_saw(
    finished: Finished, tmp_path: Path, folder: str
) -> None:
    """A spot in a file lies in the same direction of the world as the spot that the network saw."""
    import pycolmap

    out = tmp_path / "out"
    out.mkdir()
    write_results(finished, out)
    model = pycolmap.Reconstruction(out / folder / "sparse" / "0")
    (camera,) = model.cameras.values()
    assert (camera.width, camera.height) == (752, 480)
    place = SPOT
    if folder == "undistorted":
        images = sorted((out / folder / "images").iterdir())
        place = middle(np.asarray(Image.open(images[0]).convert("L")))
    trajectory, names = finished.estimate.trajectory, finished.sequence.image_names
    assert [path.name for path in sorted((tmp_path / "data").rglob("cam0/data/*.png"))] == list(names)
    for picture, name in zip(finished.sequence.pictures, names, strict=True):
        fx, fy, cx, cy = picture.intrinsics
        x, y = middle(picture.image[0])
        seen = np.array([(x - cx) / fx, (y - cy) / fy, 1])
        expected = Rotation.from_quat(trajectory.quaternions[picture.index]).apply(seen)
        image = model.find_image_with_name(name)
        ray = [*camera.cam_from_img(place + 0.5), 1]
        found = image.cam_from_world().inverse().rotation.matrix() @ ray
        cosine = found @ expected / np.linalg.norm(found) / np.linalg.norm(expected)
        # A pixel that the network sees is a sixth of a degree wide.
        assert np.degrees(np.arccos(min(cosine, 1))) < 0.1
        np.testing.assert_allclose(image.projection_center(), trajectory.positions[picture.index])


def test_what_is_not_written_is_told(finished: Finished) -> None:
    rational = replace(
        finished.estimate.camera, model="FULL_OPENCV", parameters=(400, 400, 376, 240, *[0.1] * 8)
    )
    estimate = replace(
        finished.estimate,
        camera=rational,
        frames=(0, 2),
        trajectory=replace(finished.estimate.trajectory, stamps=finished.sequence.stamps[::2]),
    )
    lost, reason = notes_of(finished.sequence, estimate)
    names = finished.sequence.image_names
    assert lost == f"2 of 4 frames are in no model: {names[1]}, {names[3]}"
    assert reason.startswith("there is no transforms.json, which has no words for the camera's k4, k5 and k6")
