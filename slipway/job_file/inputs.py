"""The files of this machine that a job's file names: looked at, and named by what is in them."""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from slipway.dataset.packing import content_hash
from slipway.dataset.stage import Found, check_dataset, look_here
from slipway.errors import DataError
from slipway.job_file.look import CALIBRATIONS, check_calibration, check_groundtruth, check_images
from slipway.job_file.spec import JobFile
from slipway.progress import Progress
from slipway.sif.kept import sha256
from slipway.skipped import list_skipped
from slipway.weights.checkpoint import check_checkpoint

# What the program that comes with Slipway looks for beside a sequence's images.
_CALIB, _TRUTH = "calib", "groundtruth.txt"
_DIGITS = 8
_MOST_STEM = 60
_PLAIN = re.compile(r"[A-Za-z0-9][\w.-]*", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class Upload:
    """A dataset that a job reads: its name says what is in it.

    Attributes:
        name: jobs see it as ``/data/<name>``.
        source: the folder, or the one file, that it is made from.
        beside: files that are put into it as well, by the names that they have there.
        size_bytes: of all of it.
    """

    name: str
    source: Path
    beside: Mapping[str, Path] = field(default_factory=dict)
    size_bytes: int = 0


@dataclass(frozen=True, kw_only=True)
class Weights:
    """Weights that a job reads as ``/weights/<name>``; without a ``source`` they are staged already."""

    name: str
    source: Path | None = None


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """What a job reads.

    Attributes:
        uploads: what has to be on the cluster before it is submitted.
        weights: likewise.
        paths: where the container has each input, by the keys of the job's file.
        dataset: what ``--dataset`` names.
    """

    uploads: tuple[Upload, ...] = ()
    weights: Weights | None = None
    paths: Mapping[str, str] = field(default_factory=dict)
    dataset: str | None = None


def find_inputs(spec: JobFile, memory: Path, progress: Progress) -> Inputs:
    """Look at the files of this machine that a job's file names.

    Args:
        spec: the job's file.
        memory: a folder of Slipway's own, where the hashes of files here are remembered.
        progress: is told how far it is.

    Raises:
        DataError: one is not there, or not what it should be.
    """
    weights = _find_weights(spec)
    files = {key: path for key in ("calibration", "groundtruth") if (path := _place(spec, key)) is not None}
    if "calibration" in files:
        check_calibration(files["calibration"])
    if "groundtruth" in files:
        check_groundtruth(files["groundtruth"])
    paths = {"weights": f"/weights/{weights.name}"} if weights else {}
    beside = {} if spec.task is None else _beside(files)
    uploads, dataset = [], None
    if spec.images is not None and spec.images.path is not None:
        images = _find_images(spec.place(spec.images.path), beside, memory, progress)
        uploads.append(images)
        dataset = images.name
        paths["images"] = _path(images)
        paths |= {key: f"/data/{images.name}/{name}" for key, name in _names(files).items() if beside}
    elif spec.images is not None:
        dataset = spec.images.dataset
        paths["images"] = f"/data/{dataset}"
    for key in files.keys() - paths.keys():
        upload = _upload(files[key], look_here(files[key], memory, progress), {})
        uploads.append(upload)
        paths[key] = _path(upload)
    return Inputs(uploads=tuple(uploads), weights=weights, paths=paths, dataset=dataset)


def gather(upload: Upload, folder: Path) -> Path:
    """The files that are put into a dataset beside its images, in a folder of their own.

    Args:
        upload: the dataset.
        folder: Slipway's own, in which that is made.
    """
    place = folder / upload.name
    place.mkdir(parents=True, exist_ok=True)
    for name, file in upload.beside.items():
        part = place.with_name(f".{upload.name}.{name}.part")
        shutil.copyfile(file, part)
        part.replace(place / name)
    return place


def _place(spec: JobFile, key: str) -> Path | None:
    word = getattr(spec, key)
    return None if word is None else spec.place(word)


def _find_weights(spec: JobFile) -> Weights | None:
    path = _place(spec, "weights")
    if path is None:
        return None
    if path.is_file():
        check_checkpoint(path, f"weights: {path}")
        name = f"{_stem(path)}-{sha256(path)[:_DIGITS]}{path.suffix}"
        return Weights(name=name, source=path)
    word = str(spec.weights)
    if path.exists() or not _PLAIN.fullmatch(word):
        raise DataError(
            f"weights: {path}: there is no such file; write a file of weights, or the name of staged ones, "
            "such as droid.pth"
        )
    return Weights(name=word)


def _names(files: Mapping[str, Path]) -> dict[str, str]:
    """What they are called beside images."""
    names = {"groundtruth": _TRUTH} if "groundtruth" in files else {}
    if "calibration" in files:
        names["calibration"] = f"{_CALIB}{files['calibration'].suffix.lower()}"
    return names


def _beside(files: Mapping[str, Path]) -> dict[str, Path]:
    path = files.get("calibration")
    if path is not None and path.suffix.lower() not in CALIBRATIONS:
        raise DataError(
            f"calibration: {path}: the program reads those of {', '.join(sorted(CALIBRATIONS))}, and tells "
            "their format by that"
        )
    return {name: files[key] for key, name in _names(files).items()}


def _find_images(path: Path, beside: Mapping[str, Path], memory: Path, progress: Progress) -> Upload:
    check_images(path)
    for name in beside:
        if path.is_dir() and (path / name).exists():
            raise DataError(
                f"images: {path} has {name} already, and the program would not know which counts; leave "
                f"{'groundtruth' if name == _TRUTH else 'calibration'} out, or take that one away"
            )
    return _upload(path, look_here(path, memory, progress), beside)


def _upload(path: Path, found: Found, beside: Mapping[str, Path]) -> Upload:
    if found.skipped:
        raise DataError(f"{path}: not all of it can be sent:\n{list_skipped(found.skipped)}")
    size_bytes = sum(file.size_bytes for file in found.here.files.values())
    size_bytes += sum(file.stat().st_size for file in beside.values())
    digest = hashlib.sha256(content_hash(found.here).encode())
    for name, file in sorted(beside.items()):
        digest.update(f"\0{name}\0{sha256(file)}".encode())
    name = f"{_stem(path)}-{digest.hexdigest()[:_DIGITS]}"
    check_dataset(path, name)
    return Upload(name=name, source=path, beside=beside, size_bytes=size_bytes)


def _path(upload: Upload) -> str:
    """What a program is given: the folder, or the file where it is one."""
    inner = "" if upload.source.is_dir() else f"/{upload.source.resolve().name}"
    return f"/data/{upload.name}{inner}"


def _stem(path: Path) -> str:
    """What a path is called, in letters that the name of a dataset may have."""
    place = path.resolve()
    stem = place.name if place.is_dir() else place.stem
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", stem).lstrip("._-")
    return plain[:_MOST_STEM] or "data"
