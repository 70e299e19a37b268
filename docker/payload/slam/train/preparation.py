"""From a dataset's folder to what can be trained on, with what was found out kept for the next time."""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from slam.errors import InputError, OutputError
from slam.output.results import replacing
from slam.progress import say
from slam.train.collection import find_scenes
from slam.train.covisibility import Graph
from slam.train.options import Options
from slam.train.scene import Scene
from slam.train.validation import inspect, read_image

# Raise it when what is checked, or how distances are measured, changes.
_VERSION = 1
# Upstream enlarges images by at most a factor of 2 ** 0.25.
_MOST_ENLARGED = 2**0.25


@dataclass(frozen=True, kw_only=True)
class Footage:
    """Scenes, the graph of each, and ``starts``: (scene, frame) of each frame that a sample can begin with.

    ``fingerprint`` is the same for the same files.
    """

    scenes: tuple[Scene, ...]
    graphs: tuple[Graph, ...]
    starts: tuple[tuple[int, int], ...]
    fingerprint: str


def prepare(options: Options, *, reserved: Sequence[str], caches: Iterable[Path]) -> Footage:
    """Find, check and index what there is to train on.

    Args:
        options: what is asked.
        reserved: scenes to leave out whose path has one of these in it.
        caches: folders where graphs of earlier runs may lie; what is new goes to the first.

    Raises:
        InputError: there is nothing to train on, or something in it is wrong.
    """
    scenes = find_scenes(
        options.data,
        layout=options.layout,
        names=options.scenes,
        holdout=options.holdout,
        reserved=reserved,
        depth_scale=options.depth_scale,
    )
    for scene in scenes:
        _require_frames(scene, options)
    prints = [identify(scene) for scene in scenes]
    keys = [date(scene, of) for scene, of in zip(scenes, prints, strict=True)]
    places = list(caches)
    say(f"checking   {len(scenes)} scenes, {sum(map(len, scenes)):,} frames")
    pool = ThreadPoolExecutor(options.threads)
    try:
        graphs = list(pool.map(lambda scene, key: _graph(scene, key, places), scenes, keys))
    finally:
        # What is being looked at when something is wrong, or a signal comes, is not waited for.
        pool.shutdown(wait=False, cancel_futures=True)
    starts = _find_starts(graphs, options)
    if not starts:
        raise _no_overlap(scenes, graphs, options)
    fingerprint = hashlib.sha256("".join(prints).encode()).hexdigest()
    say(f"dataset    {len(starts):,} of {sum(map(len, scenes)):,} frames can begin a sample")
    return Footage(scenes=tuple(scenes), graphs=tuple(graphs), starts=tuple(starts), fingerprint=fingerprint)


def identify(scene: Scene) -> str:
    """A hash that is another where a scene has other files, poses or another camera; copies have the same."""
    digest = hashlib.sha256(f"{_VERSION} {scene.depth_divisor} {scene.metres} {scene.size}".encode())
    digest.update(scene.poses.tobytes() + scene.camera.tobytes())
    for path in (*scene.images, *scene.depths):
        digest.update(json.dumps([path.name, _look(path).st_size]).encode())
    return digest.hexdigest()


def date(scene: Scene, fingerprint: str) -> str:
    """A hash that is another as soon as a file was written to."""
    digest = hashlib.sha256(fingerprint.encode())
    for path in (*scene.images, *scene.depths):
        digest.update(_look(path).st_mtime_ns.to_bytes(16, "little", signed=True))
    return digest.hexdigest()


def _look(path: Path) -> os.stat_result:
    try:
        return path.stat()
    except OSError as error:
        raise InputError(f"{path}: it cannot be read ({error.strerror})") from error


def _graph(scene: Scene, key: str, caches: list[Path]) -> Graph:
    name = f"{key[:32]}.npz"
    kept = _load(caches[0] / name)
    if kept is not None:
        return kept
    graph = next((found for cache in caches[1:] if (found := _load(cache / name))), None)
    if graph is None:
        graph = inspect(scene)
        say(f"checked    {scene.name}: {len(scene)} frames, {len(graph.neighbours):,} pairs that overlap")
    try:
        caches[0].mkdir(parents=True, exist_ok=True)
        with replacing(caches[0] / name) as part:
            np.savez(part, first=graph.first, neighbours=graph.neighbours, flows=graph.flows)
    except OSError as error:
        raise OutputError(
            f"{caches[0]}: the graph of {scene.name} cannot be kept there ({error.strerror}); make room, or "
            "name another folder with --graph-cache"
        ) from error
    return graph


def _load(path: Path) -> Graph | None:
    """A graph that was kept; ``None`` where there is none, or it is broken."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as kept:
            return Graph(first=kept["first"], neighbours=kept["neighbours"], flows=kept["flows"])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None


def _require_frames(scene: Scene, options: Options) -> None:
    if len(scene) <= options.n_frames:
        raise InputError(
            f"{scene.folder}: {len(scene)} frames, and a sample of --n_frames {options.n_frames} needs "
            f"{options.n_frames + 1}; add frames, lower --n_frames, or leave the scene out with --holdout "
            f"{scene.name}"
        )
    height, width = read_image(scene.images[0]).shape[:2]
    enlarged = max((options.crop[0] + 1) / height, (options.crop[1] + 1) / width)
    if enlarged > _MOST_ENLARGED:
        raise InputError(
            f"{scene.images[0]}: {width}x{height} is too small for --crop {options.crop[0]} "
            f"{options.crop[1]} (height, width); lower it, to multiples of 8"
        )


def _find_starts(graphs: list[Graph], options: Options) -> list[tuple[int, int]]:
    """Frames with as many neighbours as a sample has frames, as upstream has it, and one to go on to."""
    return [
        (number, frame)
        for number, graph in enumerate(graphs)
        for frame in range(len(graph))
        if len(graph.of(frame)[0]) >= options.n_frames
        and len(graph.within(frame, options.fmin, options.fmax))
    ]


def _no_overlap(scenes: list[Scene], graphs: list[Graph], options: Options) -> InputError:
    steps = [graph.flows[graph.neighbours == _owners(graph) + 1] for graph in graphs]
    known = np.concatenate(steps)
    seen = (
        f"neighbouring frames are {np.median(known):.3g} px apart" if known.size else "none overlaps another"
    )
    return InputError(
        f"no frame of {len(scenes)} scenes can begin a sample: it needs {options.n_frames} neighbours "
        f"within 256 px of optical flow, one of them between --fmin {options.fmin:g} and --fmax "
        f"{options.fmax:g} px; {seen}; are the poses in the depths' unit, and is the frame rate high enough?"
    )


def _owners(graph: Graph) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.repeat(np.arange(len(graph)), np.diff(graph.first))
