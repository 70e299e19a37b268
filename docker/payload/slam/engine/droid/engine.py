"""The engine ``droid``: DROID-SLAM without a screen, on a GPU or, slowly, without one."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from slam.dataset.sequence import Sequence
from slam.engine.droid.memory import plan, row_bytes
from slam.engine.droid.options import Options, choose, describe
from slam.engine.droid.reconstruction import (
    Reconstruction,
    keyframe_trajectory,
    make_cloud,
    make_trajectory,
    write_reconstruction,
)
from slam.engine.droid.tracking import finish, follow, read_video, start
from slam.engine.droid.upstream import find_upstream, prepare_weights, upstream
from slam.engine.estimate import Estimate, Settings
from slam.errors import DeviceError, InputError, MemoryShortError, SlamError
from slam.output import results
from slam.output.camera import Camera, camera_of
from slam.progress import say
from slam.selftest.versions import read_versions
from slam.trajectory import Floats, write_trajectory

SMALLEST = 128
UNTRAINED = "the network is untrained (--random-weights): the results mean nothing"
_ADVICE = (
    "`python3 -m slam --self-test` says for which GPUs the image was made; build it with this one's "
    "architecture in TORCH_CUDA_ARCH_LIST, or ask for another GPU"
)


def estimate(sequence: Sequence, settings: Settings, workspace: Path) -> Estimate:
    """Reconstruct a sequence; files that are made on the way go to ``workspace``, an empty folder.

    Raises:
        InputError: the images are too small, or the weights are none.
        DeviceError: there is no GPU, or not one that the image was compiled for.
        ReconstructionError: no usable trajectory came out.
        MemoryShortError: it takes more memory than there is.
        CrashError: upstream's second process died.
        SlamError: there is no DROID-SLAM.
    """
    options = choose(sequence.settings, settings.options)
    require_size(sequence.height, sequence.width)
    root = find_upstream(os.environ)
    try:
        import torch
    except ImportError as error:
        raise SlamError(f"{error}; DROID-SLAM needs PyTorch, run this in an image that has it") from error
    torch.set_num_threads(settings.threads)
    try:
        with upstream(root, options.device), torch.no_grad():
            device = require_device(options)
            say(f"device     {device}")
            found, poses, facts = _reconstruct(sequence, options, settings, workspace, root)
    except torch.cuda.OutOfMemoryError as error:
        raise MemoryShortError(
            f"the GPU's memory does not suffice for images of {sequence.width}x{sequence.height}; lower "
            "--max-image-size or --frontend_window, make fewer keyframes with a larger --filter_thresh or "
            "--stride, or ask for a larger GPU"
        ) from error
    facts = {"device": device, **facts}
    result = export(sequence, options, poses, found, workspace, facts=facts, versions=versions())
    return replace(result, caveat=UNTRAINED) if options.random_weights else result


def _reconstruct(
    sequence: Sequence, options: Options, settings: Settings, workspace: Path, root: Path
) -> tuple[Reconstruction, Floats, dict[str, object]]:
    """The keyframes, the poses [n, 7] of all frames from camera to world, and what the summary shall say."""
    image = read_versions()  # before the work, as it may be found to be broken
    row = row_bytes(sequence.height, sequence.width, stereo=sequence.mode == "stereo")
    room = plan(
        len(range(0, sequence.length, sequence.tracked_every)),
        row * (2 if options.asynchronous else 1),
        free_bytes(options.device),
        asked=options.buffer,
        can_grow=not options.asynchronous,
    )
    weights = workspace / "weights.pth"
    digest = prepare_weights(options, settings.seed, weights)
    for line in warnings(options):
        say(f"note       {line}")
    with start(sequence, options, room, root=root, weights=weights, threads=settings.threads) as tracking:
        follow(tracking)
        poses = finish(tracking)
        found = read_video(tracking)
    facts: dict[str, object] = {
        "mode": sequence.mode,
        "keyframes": len(found),
        "weights_sha256": digest,
        "engine_settings": describe(options),
        "image": image,
    }
    return found, poses, facts


def export(
    sequence: Sequence,
    options: Options,
    poses: Floats,
    found: Reconstruction,
    workspace: Path,
    *,
    facts: Mapping[str, object],
    versions: Mapping[str, str],
) -> Estimate:
    """Make of poses [n, 7], from camera to world, and keyframes what a run leaves behind."""
    trajectory = make_trajectory(sequence.stamps, poses, found.scale)
    keyframes = keyframe_trajectory(found, sequence.stamps)
    cloud = make_cloud(found, threshold=options.filter_threshold, count=options.filter_count)
    files = {name: workspace / name for name in (results.KEYFRAMES, results.RECONSTRUCTION)}
    write_trajectory(files[results.KEYFRAMES], keyframes)
    write_reconstruction(files[results.RECONSTRUCTION], found, sequence.stamps)
    if options.pth:
        files[results.PTH] = workspace / results.PTH
        write_pth(files[results.PTH], found)
    return Estimate(
        trajectory=trajectory,
        cloud=cloud,
        mean_reprojection_error_px=None,
        versions=versions,
        camera=camera_of(sequence) or network_camera(found),
        files=files,
        facts=facts,
    )


def network_camera(found: Reconstruction) -> Camera:
    """The camera of the images that the network saw; for it, the middle of the first pixel is at (0, 0)."""
    fx, fy, cx, cy = (float(value) for value in 8 * found.intrinsics[0])
    height, width = found.images.shape[2:]
    return Camera(model="PINHOLE", parameters=(fx, fy, cx + 0.5, cy + 0.5), width=width, height=height)


def write_pth(path: Path, found: Reconstruction) -> None:
    """Write what upstream's ``--reconstruction_path`` writes and its ``view_reconstruction.py`` reads."""
    import torch

    values = {
        "tstamps": found.frames.astype(np.float32),
        "images": found.images,
        "disps": found.disps,
        "poses": found.poses,
        "intrinsics": found.intrinsics,
    }
    with results.replacing(path) as part:
        torch.save({name: torch.from_numpy(value) for name, value in values.items()}, part)


def require_size(height: int, width: int) -> None:
    """Make sure that the network can work on images of this size.

    Raises:
        InputError: it cannot.
    """
    if min(height, width) < SMALLEST:
        raise InputError(
            f"the images are {width}x{height} after resizing, and DROID-SLAM needs at least {SMALLEST} "
            "pixels on each side; use larger ones"
        )
    if height % 8 or width % 8:
        raise InputError(f"the images are {width}x{height}, and DROID-SLAM needs multiples of 8 pixels")


def require_device(options: Options) -> str:
    """Make sure that the kernels compute where they shall; the device's name.

    Upstream's kernels do not look whether they were launched, and leave zeros where they were not.

    Raises:
        DeviceError: they do not.
    """
    import torch

    if options.device == "cpu":
        name = f"CPU, {torch.get_num_threads()} threads"
    elif not torch.cuda.is_available():
        raise DeviceError(
            "there is no GPU here; ask for one (--gpus 1), or try small inputs with --device cpu, which is "
            "slow"
        )
    else:
        name = torch.cuda.get_device_name()
    try:
        found = _compute_point()
    except torch.cuda.OutOfMemoryError:
        raise
    except RuntimeError as error:  # PyTorch's own kernels, unlike DROID-SLAM's, say that they cannot run
        raise DeviceError(
            f"{name} does not compute ({str(error).partition(chr(10))[0]}); {_ADVICE}"
        ) from error
    if not np.allclose(found, (3, 4, 5)):
        raise DeviceError(f"DROID-SLAM's kernels do not run on {name}; {_ADVICE}")
    return name


def _compute_point() -> Floats:
    """A point [3] at depth 2, seen by a camera at (1, 2, 3)."""
    import droid_backends
    import torch

    poses = torch.tensor([[1.0, 2, 3, 0, 0, 0, 1]], device="cuda")
    halves = torch.full((1, 2, 2), 0.5, device="cuda")
    points = droid_backends.iproj(poses, halves, torch.tensor([1.0, 1, 0, 0], device="cuda"))
    return np.asarray(points[0, 1, 1].cpu().numpy(), dtype=np.float64)


def free_bytes(device: str) -> int:
    """The memory that is free where keyframes will be."""
    if device == "cpu":
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    import torch

    return int(torch.cuda.mem_get_info()[0])


def warnings(options: Options) -> list[str]:
    """What a person who reads the log should know of these options."""
    lines = []
    if options.device == "cpu":
        lines.append("without a GPU this takes seconds to minutes a frame; it is for trying small inputs")
    if options.random_weights:
        lines.append(UNTRAINED)
    return lines


def versions() -> dict[str, str]:
    """The libraries behind an estimate."""
    import torch

    return {"torch": torch.__version__, "cuda": torch.version.cuda or "none"}
