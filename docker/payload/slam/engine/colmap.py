"""Structure from motion by COLMAP (https://colmap.github.io), through pycolmap, on the CPU.

On one machine, runs with the same seed and one thread write the same bytes. With more threads features and
matches are still the same, but bundle adjustment adds numbers up in the order that its threads come by: poses
agree to about nine digits, and now and then an observation near a threshold is kept in one run only.
"""

from __future__ import annotations

import signal
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from slam.dataset.camera import Intrinsics
from slam.dataset.image import describe_pixels, read_header, write_upright
from slam.dataset.sequence import FEWEST_FRAMES, Sequence
from slam.engine.estimate import Estimate, Settings
from slam.errors import InputError, ReconstructionError
from slam.output.cloud import Cloud
from slam.progress import attend, say
from slam.trajectory import Trajectory

if TYPE_CHECKING:
    import pycolmap

# All pairs of so few images are matched in less time than a missed loop is worth.
FEW_FRAMES = 30


@dataclass(frozen=True, kw_only=True)
class Project:
    """What the steps share: COLMAP's images, by their names in a folder, and database; what was asked."""

    sequence: Sequence
    settings: Settings
    images: Path
    names: tuple[str, ...]
    pixels: str
    database: Path


def estimate(sequence: Sequence, settings: Settings, workspace: Path) -> Estimate:
    """Reconstruct a sequence; COLMAP's files go to ``workspace``, an empty folder.

    Raises:
        InputError: COLMAP cannot read one of the images.
        ReconstructionError: COLMAP fails, or places fewer than three frames together.
    """
    # First the images: Pillow's JPEG library and pycolmap's get in each other's way once both are loaded.
    project = Project(
        sequence=sequence,
        settings=settings,
        images=workspace / "images",
        names=link_images(sequence, workspace / "images"),
        pixels=describe_pixels([frame.image for frame in sequence.frames]),
        database=workspace / "database.db",
    )
    start_colmap(settings.seed)
    import pycolmap

    try:
        # This connection only watches; the steps open their own.
        with pycolmap.Database.open(project.database) as database:
            extract_features(project, database)
            match_features(project, database)
            model = map_images(project)
    except (RuntimeError, ValueError) as error:
        raise ReconstructionError(f"COLMAP gave up on {sequence.name}: {error}") from error
    return read_model(model, sequence)


def start_colmap(seed: int) -> None:
    """Load COLMAP and make it quiet and repeatable."""
    terminate = signal.getsignal(signal.SIGTERM)
    import pycolmap

    # Its logging library takes SIGTERM for a crash, and has put a handler of its own in place.
    signal.signal(signal.SIGTERM, terminate)
    pycolmap.logging.logtostderr = True  # else it opens log files in /tmp
    pycolmap.logging.minloglevel = int(pycolmap.logging.FATAL)  # the rest arrives as exceptions or counts
    pycolmap.set_random_seed(seed)


def link_images(sequence: Sequence, folder: Path) -> tuple[str, ...]:
    """Give COLMAP the frames as 000000.png and so on, because it orders images by name; how each is called.

    It reads the files themselves, but for those that are stored turned, which it would take as they lie, and
    those with more than 8 bits, of which it would take the upper 8.
    """
    folder.mkdir()
    names = []
    for place, frame in enumerate(sequence.frames):
        header = read_header(frame.image)
        if header.is_turned or header.is_deep:
            names.append(f"{place:06d}.png")
            write_upright(frame.image, folder / names[-1], sequence.values)
        else:
            names.append(f"{place:06d}{frame.image.suffix.lower()}")
            (folder / names[-1]).symlink_to(frame.image.resolve())
    return tuple(names)


def camera_model(intrinsics: Intrinsics) -> tuple[str, list[float]]:
    """COLMAP's name for the smallest model that holds these intrinsics, and its parameters.

    https://colmap.github.io/cameras.html
    """
    pinhole = [intrinsics.fx, intrinsics.fy, intrinsics.cx, intrinsics.cy]
    distortion = list(intrinsics.distortion)
    if not distortion:
        return "PINHOLE", pinhole
    if len(distortion) == 4:
        return "OPENCV", pinhole + distortion
    return "FULL_OPENCV", pinhole + distortion + [0.0] * (8 - len(distortion))


def choose_matcher(matcher: str, *, is_video: bool, frames: int) -> str:
    """``sequential`` for a long video, ``exhaustive`` for anything else, unless it is chosen already."""
    if matcher != "auto":
        return matcher
    return "sequential" if is_video and frames > FEW_FRAMES else "exhaustive"


def extract_features(project: Project, database: pycolmap.Database) -> None:
    """Find SIFT features in all images."""
    import pycolmap

    reader = pycolmap.ImageReaderOptions()
    if project.sequence.intrinsics is not None:
        model, parameters = camera_model(project.sequence.intrinsics)
        size = {"width": project.sequence.width, "height": project.sequence.height}
        camera = pycolmap.Camera(model=model, params=parameters, has_prior_focal_length=True, **size)
        reader.existing_camera_id = database.write_camera(camera)
    single = pycolmap.CameraMode.SINGLE
    # Importing first gives each image its id by name; extraction alone numbers them as threads finish.
    pycolmap.import_images(project.database, project.images, camera_mode=single, options=reader)
    ids = {image.name: image.image_id for image in database.read_all_images()}
    require_images(project, set(ids))
    options = pycolmap.FeatureExtractionOptions()
    options.num_threads = project.settings.threads
    options.max_image_size = project.settings.max_image_size or -1
    attend(
        lambda: pycolmap.extract_features(
            project.database,
            project.images,
            camera_mode=single,
            reader_options=reader,
            extraction_options=options,
            device=pycolmap.Device.cpu,
        ),
        lambda: f"features   {sum(map(database.exists_keypoints, ids.values()))}/{len(ids)}",
    )
    require_images(project, {name for name, number in ids.items() if database.exists_keypoints(number)})
    found = int(database.num_keypoints())
    say(f"features   {len(ids)}/{len(ids)}, {found:,} in all")
    if not found:
        raise ReconstructionError(
            f"{project.sequence.name}: there is not one feature in {len(ids)} images, which are "
            f"{project.pixels}; they need texture, light and focus"
        )


def require_images(project: Project, names: set[str]) -> None:
    """Make sure that COLMAP, which passes over files that it cannot read, has taken all images.

    Raises:
        InputError: an image is not among ``names``, those of its links.
    """
    for name, frame in zip(project.names, project.sequence.frames, strict=True):
        if name not in names:
            raise InputError(
                f"{frame.image}: COLMAP cannot read this image, whose content may be another format than its "
                "name says; convert it to PNG or JPEG, or take it out"
            )


def match_features(project: Project, database: pycolmap.Database) -> None:
    """Match the features of image pairs and keep what one geometry explains."""
    import pycolmap

    matcher = choose_matcher(
        project.settings.matcher,
        is_video=project.sequence.is_video,
        frames=len(project.sequence.frames),
    )
    match = pycolmap.match_sequential if matcher == "sequential" else pycolmap.match_exhaustive
    options = pycolmap.FeatureMatchingOptions()
    options.num_threads = project.settings.threads
    geometry = pycolmap.TwoViewGeometryOptions()
    geometry.ransac.random_seed = project.settings.seed
    say(f"matching   {matcher}")
    attend(
        lambda: match(
            project.database,
            matching_options=options,
            verification_options=geometry,
            device=pycolmap.Device.cpu,
        ),
        lambda: f"matching   {database.num_matched_image_pairs():,} pairs",
    )
    matched = database.num_matched_image_pairs()
    # A pair without an inlier has a geometry as well: none.
    verified = sum(count > 0 for count in database.read_two_view_geometry_num_inliers()[1])
    say(f"matching   {matched:,} pairs, {verified:,} of them see the same things")


def map_images(project: Project) -> pycolmap.Reconstruction:
    """Place the images one after the other; the largest model that comes out.

    Raises:
        ReconstructionError: no model has three images.
    """
    import pycolmap

    models = project.database.with_name("models")
    models.mkdir()
    placed = 0

    def begin() -> None:
        nonlocal placed
        placed = 2

    def place() -> None:
        nonlocal placed
        placed += 1

    found = attend(
        lambda: pycolmap.incremental_mapping(
            project.database,
            project.images,
            models,
            options=mapping_options(project),
            initial_image_pair_callback=begin,
            next_image_callback=place,
        ),
        lambda: f"mapping    registered {placed}" if placed else None,
    )
    best = max(found.values(), key=lambda model: model.num_reg_images(), default=None)
    if best is None or best.num_reg_images() < FEWEST_FRAMES:
        raise ReconstructionError(
            f"{project.sequence.name}: no {FEWEST_FRAMES} of the {len(project.sequence.frames)} images could "
            "be placed together; they need texture, overlap and a camera that moves sideways "
            "(try a smaller --stride)"
        )
    say(f"mapping    registered {best.num_reg_images()} of {len(project.sequence.frames)}")
    return best


def mapping_options(project: Project) -> pycolmap.IncrementalPipelineOptions:
    """COLMAP's defaults, with small models allowed, seeds set and known intrinsics left alone."""
    import pycolmap

    options = pycolmap.IncrementalPipelineOptions()
    options.min_model_size = FEWEST_FRAMES
    options.num_threads = project.settings.threads
    for part in (options, options.mapper, options.triangulation):
        part.random_seed = project.settings.seed
    if project.sequence.intrinsics is not None:
        options.ba_refine_focal_length = False
        options.ba_refine_extra_params = False
        options.mapper.abs_pose_refine_focal_length = False
        options.mapper.abs_pose_refine_extra_params = False
    return options


def read_model(model: pycolmap.Reconstruction, sequence: Sequence) -> Estimate:
    """The trajectory and the cloud of a COLMAP model, frames in their order."""
    import pycolmap

    images = sorted((model.image(number) for number in model.reg_image_ids()), key=lambda image: image.name)
    poses = [image.cam_from_world().inverse() for image in images]
    points = list(model.points3D.values())
    (camera,) = model.cameras.values()
    return Estimate(
        trajectory=Trajectory(
            stamps=tuple(sequence.frames[int(image.name.partition(".")[0])].stamp for image in images),
            positions=np.array([pose.translation for pose in poses]),
            quaternions=np.array([pose.rotation.quat for pose in poses]),
        ),
        cloud=Cloud(
            points=np.array([point.xyz for point in points]).reshape(-1, 3),
            colors=np.array([point.color for point in points], dtype=np.uint8).reshape(-1, 3),
        ),
        mean_reprojection_error_px=model.compute_mean_reprojection_error(),
        versions={"pycolmap": pycolmap.__version__, "colmap": pycolmap.COLMAP_version},
        camera={"model": camera.model_name, "parameters": [float(value) for value in camera.params]},
    )
