"""Whether a dataset is as it should be: every file of its sequences looked at, and each fault named."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from slam.dataset import eth3d, euroc, tartanair
from slam.dataset.camera import Intrinsics
from slam.dataset.catalog import Staged
from slam.dataset.fault import Faults
from slam.dataset.files import exists
from slam.dataset.frames import DEPTH_UNITS_PER_METRE, seconds_of
from slam.dataset.image import read_depth
from slam.dataset.layout import find_layout, open_sequence
from slam.dataset.sequence import Choice, Mode
from slam.dataset.sequence import Sequence as Frames
from slam.dataset.tum import DEPTH_LIST
from slam.errors import InputError
from slam.evaluate.absolute import Comparison
from slam.output.results import write_json
from slam.progress import say
from slam.task.truth import Truth, find_truth

JSON = "check.json"
# What a reader says of rows that it has moved or left out.
_ROWS = re.compile(r": \d+ of \d+ rows ")
# Published truths begin a little after the first image, and have gaps.
_LEAST_COVERED = 0.9
_LEAST_PAIRED = 0.5
_HALF_STEP = 0.6
# Of an image's longer side; a long lens of a camera has 5.
_LONGEST = 20.0
_MOST_SQUEEZED = 2.0
# A pause in a recording; a sequence that was cut together has them.
_LONG_GAP, _LONG_GAP_S = 10, 1.0


@dataclass(frozen=True, kw_only=True)
class Checked:
    """What was found in a sequence: what is wrong, what is worth knowing, and what there is."""

    name: str
    faults: tuple[str, ...]
    notes: tuple[str, ...]
    found: str


def check(staged: Sequence[Staged], choice: Choice, comparison: Comparison, out: Path | None) -> None:
    """Look at sequences of a dataset, and say what is wrong.

    Args:
        staged: the sequences.
        choice: every image, as it was taken.
        comparison: how far a pose may be from an image in time.
        out: where ``check.json`` goes; ``None`` for nowhere.

    Raises:
        InputError: something is wrong; it has been said.
    """
    checked = []
    for place, one in enumerate(staged, 1):
        say(f"[{place}/{len(staged)}] {one.name}")
        result = check_sequence(one, choice, comparison)
        checked.append(result)
        say(f"found      {result.found}")
        for note in result.notes:
            say(f"note       {note}")
        for fault in result.faults:
            say(f"fault      {fault}")
    if out is not None:
        sequences = [
            {"sequence": one.name, "found": one.found, "faults": one.faults, "notes": one.notes}
            for one in checked
        ]
        write_json(out / JSON, {"sequences": sequences})
    wrong = [one for one in checked if one.faults]
    if not wrong:
        say(f"result     {_counted(len(checked), 'sequence')} without a fault")
        return
    faults = sum(len(one.faults) for one in wrong)
    raise InputError(
        f"{_counted(faults, 'fault')} in {len(wrong)} of {_counted(len(checked), 'sequence')}: "
        f"{', '.join(one.name for one in wrong)}; each is named above, with its file"
    )


def check_sequence(staged: Staged, choice: Choice, comparison: Comparison) -> Checked:
    """Look at every file of a sequence."""
    faults = Faults()
    layout = find_layout(staged.folder)
    found = [layout.name if layout else "no layout that is known"]
    notes: dict[str, None] = {}
    sequence = _open(staged.folder, replace(choice, mode="mono", faults=faults), faults)
    if sequence is not None:
        width, height = sequence.width, sequence.height
        found.append(f"{sequence.length} images of {width}x{height}")
        found.append(f"camera {sequence.calibration or 'not known'}")
        notes |= dict.fromkeys(_sort(sequence.notes, faults))
        notes |= dict.fromkeys(_look_at_times(sequence))
        _check_camera(sequence, faults)
        found.append(_check_truth(sequence, comparison, faults, notes))
        for mode in _modes(staged.folder):
            other = _open(staged.folder, replace(choice, mode=mode, faults=faults), faults)
            if other is not None:
                found.append(_check_partners(sequence, other, faults, notes))
    return Checked(
        name=staged.name,
        faults=tuple(faults.messages),
        notes=tuple(note for note in notes if note not in faults.messages),
        found="; ".join(part for part in found if part),
    )


def _open(folder: Path, choice: Choice, faults: Faults) -> Frames | None:
    with faults.noted():
        return open_sequence(folder, choice)
    return None


def _sort(notes: Sequence[str], faults: Faults) -> Iterator[str]:
    """The notes that tell of no fault; a list whose rows are not in order is one, also if it can be read."""
    for note in notes:
        if _ROWS.search(note):
            faults.add(f"{note}; correct the file")
        else:
            yield note


def _look_at_times(sequence: Frames) -> Iterator[str]:
    times = np.array([seconds_of(frame.stamp) for frame in sequence.frames])
    steps = np.diff(times)
    usual = float(np.median(steps))
    long = np.flatnonzero((steps > _LONG_GAP * usual) & (steps > _LONG_GAP_S))
    if sequence.units.time == "s" and len(long):
        frame = sequence.frames[int(long[0])]
        yield (
            f"{_counted(len(long), 'gap')} of more than {_LONG_GAP} times the usual step ({usual:.3f} s) "
            f"between images; the first, of {steps[long[0]]:.2f} s, is after {frame.image.name}"
        )


def _check_camera(sequence: Frames, faults: Faults) -> None:
    if sequence.intrinsics is None:
        return
    size = sequence.file_size or (sequence.width, sequence.height)
    for what in find_oddities(sequence.intrinsics, size):
        faults.add(
            f"{sequence.calibration}: {what}, which no camera of these {size[0]}x{size[1]} images has; is it "
            "the calibration of other images, or are its numbers in another order? They are fx fy cx cy …"
        )


def find_oddities(camera: Intrinsics, size: tuple[int, int]) -> Iterator[str]:
    """What is odd about a camera that could be read, for images of ``size``, width and height in pixels."""
    if not np.isfinite((camera.fx, camera.fy, *camera.distortion)).all():
        yield "a number that is not finite"
    elif max(camera.fx, camera.fy) > _LONGEST * max(size):
        yield f"a focal length of {max(camera.fx, camera.fy):g} pixels"
    elif not 1 / _MOST_SQUEEZED < camera.fx / camera.fy < _MOST_SQUEEZED:
        yield f"fx {camera.fx:g} beside fy {camera.fy:g}"


def _check_truth(sequence: Frames, comparison: Comparison, faults: Faults, notes: dict[str, None]) -> str:
    truth = find_truth(sequence, replace(comparison, is_required=False))
    if truth.path is None:
        notes.setdefault("there is no ground truth, so no errors can be measured")
        return ""
    if truth.pair is not None:
        notes |= dict.fromkeys(_sort(truth.pair.notes, faults))
    if truth.reason is not None:
        faults.add(f"{truth.path}: {truth.reason}" if truth.path not in truth.reason else truth.reason)
        return ""
    poses, covered = count_covered(truth, comparison)
    words = f"{truth.path} has {poses} poses, and covers {covered} of {sequence.length} images"
    if covered < _LEAST_COVERED * sequence.length:
        faults.add(f"{words}; is it that of another sequence, or is it cut off? Fetch or stage it again")
    elif covered < sequence.length:
        notes.setdefault(words)
    return f"ground truth of {poses} poses"


def count_covered(truth: Truth, comparison: Comparison) -> tuple[int, int]:
    """How many poses a truth has, and how many of the images have one near them in time."""
    assert truth.pair is not None  # noqa: S101 - there is none where there is a reason
    true, wanted = np.sort(truth.pair.truth.times), truth.pair.estimate.times
    places = np.clip(np.searchsorted(true, wanted), 1, max(len(true) - 1, 1))
    nearest = np.minimum(
        np.abs(wanted - true[places - 1]), np.abs(wanted - true[np.minimum(places, len(true) - 1)])
    )
    step = float(np.median(np.diff(true))) if len(true) > 1 else 0.0
    # An image between two poses is half a step from one.
    return len(true), int((nearest <= max(comparison.max_difference_s, _HALF_STEP * step)).sum())


def _modes(folder: Path) -> Iterator[Mode]:
    """What else a sequence has files for."""
    home = folder / euroc.HOME if (folder / euroc.HOME).is_dir() else folder
    if any(
        path.is_dir()
        for path in (home / euroc.OTHER_IMAGES, folder / tartanair.OTHER_IMAGES, folder / "image_1")
    ):
        yield "stereo"
    depths = folder / ("depth" if eth3d.holds(folder) else tartanair.DEPTHS)
    if exists(folder / DEPTH_LIST) or depths.is_dir():
        yield "rgbd"


def _check_partners(sequence: Frames, other: Frames, faults: Faults, notes: dict[str, None]) -> str:
    """The second images or depth images of a sequence: how many there are, and that depth can be read."""
    notes |= dict.fromkeys(_sort(other.notes, faults))
    what = "depth images" if other.mode == "rgbd" else "second images"
    words = f"{other.length} of {sequence.length} images have {what} of their moment"
    if other.length < _LEAST_PAIRED * sequence.length:
        faults.add(
            f"{sequence.image_folder.parent}: only {words}; are lists and files those of one sequence?"
        )
    elif other.length < sequence.length:
        notes.setdefault(words)
    if other.mode == "rgbd":
        size = (sequence.width, sequence.height)
        for place, frame in enumerate(other.frames, 1):
            if frame.depth is not None:
                with faults.noted():
                    read_depth(frame.depth, size, DEPTH_UNITS_PER_METRE)
            if place % 500 == 0:
                say(f"depth      {place} of {other.length} looked at")
    return f"{other.length} {what}"


def _counted(count: int, one: str) -> str:
    return f"{count} {one}{'' if count == 1 else 's'}"
