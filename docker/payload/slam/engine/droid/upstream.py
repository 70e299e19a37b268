"""Upstream's modules, where they lie, and its network's weights."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slam.engine.droid.options import Options
from slam.engine.droid.weights import read_weights, require_network
from slam.errors import SlamError

if TYPE_CHECKING:
    pass

INSTALLED = Path("/opt/droid-slam")
STANDIN = Path(__file__).parent / "standin"


def find_upstream(environment: Mapping[str, str]) -> Path:
    """The checkout of DROID-SLAM: ``DROID_ROOT``, or where the image has it.

    Raises:
        SlamError: it is not there.
    """
    root = Path(environment.get("DROID_ROOT") or INSTALLED)
    if not (root / "droid_slam" / "droid.py").is_file():
        raise SlamError(
            f"there is no DROID-SLAM in {root}; run this in an image that has it, or name a checkout in "
            "DROID_ROOT"
        )
    return root


@contextmanager
def upstream(root: Path, device: str) -> Iterator[None]:
    """Within it, upstream's modules can be imported and run, on ``cuda`` or ``cpu``."""
    folders = [STANDIN, root / "droid_slam"]
    if device == "cpu":
        folders.insert(0, STANDIN / "cpu")
    paths = [str(folder) for folder in folders]
    sys.path[:0] = paths
    try:
        with _place(device):
            yield
    finally:
        for path in paths:
            sys.path.remove(path)


def _place(device: str) -> Any:
    if device != "cpu":
        return nullcontext()
    from slam.engine.droid.device import on_cpu

    return on_cpu()


def prepare_weights(options: Options, seed: int, path: Path) -> str:
    """Write to ``path`` the weights that upstream shall load; their SHA-256, or ``random``.

    What was saved on a GPU loads anywhere afterwards, and a file that is no such network is found out here.

    Raises:
        InputError: there is no such file, or it does not hold this network's weights.
    """
    import torch

    torch.manual_seed(seed)
    wanted = import_module("droid_net").DroidNet().state_dict()
    if options.random_weights:
        torch.save(dict(wanted), path)
        return "random"
    digest, values = read_weights(
        options.weights, "--weights names another file, and --random-weights tries a job without any"
    )
    require_network(options.weights, values, wanted)
    torch.save(values, path)
    return digest


def make_arguments(
    options: Options,
    *,
    root: Path,
    weights: Path,
    image_size: tuple[int, int],
    buffer: int,
    stereo: bool,
    threads: int,
) -> Any:
    """What upstream's classes expect: the names of its ``demo.py``, without a window."""
    return argparse.Namespace(
        weights=str(weights),
        image_size=list(image_size),
        buffer=buffer,
        stereo=stereo,
        disable_vis=True,
        # Clouds and reconstructions are made of inverse depths at full size.
        upsample=True,
        beta=options.beta,
        filter_thresh=options.filter_thresh,
        warmup=options.warmup,
        keyframe_thresh=options.keyframe_thresh,
        frontend_thresh=options.frontend_thresh,
        frontend_window=options.frontend_window,
        frontend_radius=options.frontend_radius,
        frontend_nms=options.frontend_nms,
        backend_thresh=options.backend_thresh,
        backend_radius=options.backend_radius,
        backend_nms=options.backend_nms,
        motion_damping=options.motion_damping,
        asynchronous=options.asynchronous,
        frontend_device=options.frontend_device,
        backend_device=options.backend_device,
        # Ours, for the second process.
        slam_device=options.device,
        slam_root=str(root),
        slam_threads=threads,
        slam_parent=os.getpid(),
    )
