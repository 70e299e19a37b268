"""A video: its frames in order, each at its own time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

from slam.dataset.calibration.known import KnownCamera, require_camera
from slam.dataset.calibration.search import find_camera
from slam.dataset.decoder import Clip, Track, look_through
from slam.dataset.files import holds_folders, is_video, list_folder
from slam.dataset.frames import Images, choose, make_sequence
from slam.dataset.geometry import Preparation, fit_usual_area
from slam.dataset.recording import ENDING
from slam.dataset.sequence import GROUND_TRUTH, Choice, Frame, Sequence, Units
from slam.dataset.tum import require_no_stereo
from slam.errors import InputError
from slam.progress import attend

_BY_COLMAP = ", or take --engine colmap, which finds the focal length itself"
# How many frames of a second are taken where nothing else is said: DROID-SLAM's demo takes every third of 30.
USUAL_HZ = 10
# Frames that are further apart than others by this factor do not come at one rate.
_UNEVEN = 1.5
# The last frame lasts, and an editor may have cut the end; more than this is missing.
_MISSING_S = 0.5


def holds(place: Path) -> bool:
    """True where a place is a video, or a folder with one video and no folder but ``masks/`` in it."""
    return find_video(place) is not None


def find_video(place: Path) -> Path | None:
    """The video that a place is or holds, if it is or holds just one."""
    if not place.is_dir():
        return place if is_video(place) else None
    there = [path for path in list_folder(place) if not path.name.startswith(".")]
    videos = [path for path in there if is_video(path)]
    return videos[0] if len(videos) == 1 and not holds_folders(there) else None


def open_sequence(place: Path, choice: Choice) -> Sequence:
    """The frames of a video; where no stride is asked for, about ten of each second.

    ``calib.txt`` and ``groundtruth.txt`` lie beside it. The first, for upright frames, serves all videos in
    a folder, the second only one that is alone. A timestamp is when a frame is shown, in seconds.

    Raises:
        InputError: no video can be read, or the choice cannot be had.
    """
    require_no_stereo(place, choice)
    if choice.mode == "rgbd":
        raise InputError(f"{place}: a video has no depth; leave --depth out")
    path = find_video(place) or place
    track = _decode(path, choice)
    stride = choice.stride or max(1, round(track.rate_hz / USUAL_HZ))
    times = {_name(time): time for time in track.times}
    every = tuple(Frame(stamp=name, image=path / f"{name}{ENDING}") for name in times)
    counted = replace(choice, stride=stride, start_s=None, end_s=None)
    frames = choose(every, counted, stride=stride, folder=path)
    known = find_camera(path.parent, track.size, choice.top)
    sequence = make_sequence(
        path.parent,
        frames,
        choice,
        images=Images(size=track.size),
        known=known,
        notes=tuple(_describe(path, track, choice, stride, is_known=known.intrinsics is not None)),
        left=None if choice.as_taken else _prepare(known, path, track.size),
        units=Units(length="units", time="s"),
        recording=Clip(path=path, times=tuple(times[frame.stamp] for frame in frames)),
    )
    return replace(
        sequence,
        name=path.stem,
        focal_35mm=track.focal_35mm,
        groundtruth=sequence.groundtruth if find_video(path.parent) else None,
    )


def _decode(path: Path, choice: Choice) -> Track:
    """What frames there are.

    Raises:
        InputError: there is none.
    """
    track = Track()
    attend(
        lambda: look_through(path, choice.start_s, choice.end_s, track),
        lambda: f"decoding   {len(track.times):,} frames of {path.name}" if track.times else None,
    )
    if not track.times:
        asked = " between --start and --end" if choice.start_s or choice.end_s else ""
        end = f"; it lasts until {track.end_s:.2f} s" if track.end_s else "; copy it again"
        raise InputError(f"{path}: no frame{asked} can be decoded{end}")
    return track


def groundtruth_of(place: Path) -> Path:
    """Where the ground truth of a video is, if it has one: beside it."""
    return (place if place.is_dir() else place.parent) / GROUND_TRUTH


def _prepare(known: KnownCamera, path: Path, size: tuple[int, int]) -> Preparation:
    return fit_usual_area(require_camera(known, path.parent, _BY_COLMAP), size)


def _name(time: Fraction) -> str:
    return f"{float(time):.6f}"


def _describe(path: Path, track: Track, choice: Choice, stride: int, *, is_known: bool) -> Iterator[str]:
    """What a person should know of how a video was read."""
    first, last = float(track.times[0]), float(track.times[-1])
    gaps = sorted(float(after - before) for before, after in zip(track.times, track.times[1:], strict=False))
    uneven = (
        f" ({1000 * gaps[0]:.0f} to {1000 * gaps[-1]:.0f} ms apart)" if gaps[-1] > _UNEVEN * gaps[0] else ""
    )
    turned = ", turned upright" if track.is_turned else ""
    yield (
        f"{path.name}: {len(track.times)} frames of {track.codec} from {first:.2f} to {last:.2f} s, "
        f"{track.rate_hz:.4g} a second{uneven}{turned}; "
        + (f"every {stride}. is taken" if stride > 1 else "all are taken")
    )
    if track.is_stretched:
        yield (
            f"{path.name}: its pixels are not square, and frames become {track.size[0]}x{track.size[1]}, as "
            "a player shows them; a calibration has to be for these"
        )
    if track.damaged:
        yield f"{path.name}: frames that are damaged, and are left out: {track.damaged}"
    if choice.end_s is None and track.end_s is not None and track.end_s - last > _MISSING_S:
        yield (
            f"{path.name}: it should last until {track.end_s:.2f} s, and nothing after {last:.2f} s can be "
            "decoded, as where a copy was cut short; what comes before is used"
        )
    if track.focal_35mm and not is_known:
        yield (
            f"{path.name}: the camera says that its focal length is that of {track.focal_35mm:g} mm on 35 mm "
            "film; COLMAP begins with that, and refines it"
        )
