"""``--self-test``: whether the image does on this machine what it should.

It imports what the image holds, holds the GPU against the architectures that the kernels were compiled for,
and computes a value that is known with each of them. Without a GPU the last two are not made, and it says so.
"""

from __future__ import annotations

import json
import math
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from slam.errors import DeviceError, SlamError
from slam.grammar import Parser
from slam.output.cache import writable_cache
from slam.selftest.architecture import Architecture, covers, parse_flags, parse_list
from slam.selftest.gpu import Gpu, find_gpus, read_driver
from slam.selftest.known import cases
from slam.selftest.versions import read_versions, require_versions

FLAG = "--self-test"
# By the image's engine. torch first: the compiled modules find its libraries only then.
MODULES = {
    "colmap": ("numpy", "scipy", "PIL", "matplotlib", "evo.core.metrics", "evo.core.sync", "pycolmap"),
    "droid": (
        *("torch", "torchvision", "numpy", "scipy", "cv2", "PIL", "matplotlib", "tensorboard"),
        *("evo.core.metrics", "evo.core.sync", "lietorch", "droid_backends", "torch_scatter", "droid_net"),
    ),
}
# Of single precision; what is expected is between 1 and some thousands.
TOLERANCE = 1e-4
OK, FAILED, SKIPPED = "ok", "failed", "not made"


@dataclass(frozen=True, kw_only=True)
class Check:
    """One check: its name, whether it held (``ok``, ``failed``, ``not made``), and what was seen."""

    name: str
    state: str
    seen: str


def is_asked(argv: list[str] | None) -> bool:
    """Whether the command line asks for the self-test, which has a grammar of its own."""
    return FLAG in (sys.argv[1:] if argv is None else argv)


def run(argv: list[str] | None) -> None:
    """Make all checks and print them.

    Raises:
        DeviceError: the GPU is not one that the image was made for, its kernels do not compute what they
            should, or there is none and ``--require-gpu`` was given.
        SlamError: something is missing from the image.
        UsageError: the command line is wrong.
    """
    arguments = _build_parser().read(argv)
    engine = os.environ.get("SLAM_ENGINE") or "colmap"
    versions, driver = require_versions(read_versions()), read_driver()
    with writable_cache(Path(tempfile.gettempdir())):
        checks = list(check_imports(MODULES[engine]))
    gpus, why = _find_gpus(checks[0])
    checks += check_devices(gpus, why, versions, required=arguments.require_gpu)
    if (checks[0].name, checks[0].state) == ("import torch", OK):
        checks += check_kernels("cuda" if gpus else None)
    if arguments.json:
        content = {"versions": versions, "driver": driver, "gpus": [asdict(gpu) for gpu in gpus]}
        print(json.dumps({**content, "checks": [asdict(check) for check in checks]}, indent=2), flush=True)
    else:
        print("\n".join(describe(versions, driver, gpus, checks)), flush=True)
    judge(checks)


def _find_gpus(first: Check) -> tuple[list[Gpu], str]:
    if first.name != "import torch":
        return [], "none is looked for, because COLMAP runs on the CPU here"
    return find_gpus() if first.state == OK else ([], "PyTorch cannot be imported")


def judge(checks: list[Check]) -> None:
    """Nothing, where no check failed.

    Raises:
        DeviceError, SlamError: the first that failed, and how many others did.
    """
    failed = [check for check in checks if check.state == FAILED]
    if failed:
        others = f" ({len(failed) - 1} more failed)" if len(failed) > 1 else ""
        kind = SlamError if failed[0].name.startswith("import ") else DeviceError
        raise kind(f"self-test: {failed[0].name}: {failed[0].seen}{others}")


def check_imports(names: tuple[str, ...]) -> Iterator[Check]:
    """Import each module that the image holds."""
    for name in names:
        try:
            version = getattr(import_module(name), "__version__", "")
        except Exception as error:  # a library may raise anything while it is loaded
            yield Check(name=f"import {name}", state=FAILED, seen=f"{type(error).__name__}: {error}")
        else:
            yield Check(name=f"import {name}", state=OK, seen=str(version))


def check_devices(
    gpus: list[Gpu], why: str, versions: dict[str, Any] | None, *, required: bool
) -> Iterator[Check]:
    """Hold each GPU against the architectures in the image, its own kernels' and PyTorch's.

    Args:
        gpus: what there is.
        why: why there is none.
        versions: what the image says of itself.
        required: whether it is an error that there is none.
    """
    if not gpus:
        yield Check(name="GPU", state=FAILED if required else SKIPPED, seen=f"there is none: {why}")
        return
    own = parse_list(versions["architectures"]) if versions else []
    torch_own = parse_flags(versions["torch_architectures"].split()) if versions else []
    for gpu in gpus:
        if versions is None:
            seen = (
                f"{gpu}; there is no versions.json here, so what the kernels were compiled for is not known"
            )
            yield Check(name="GPU", state=SKIPPED, seen=seen)
        else:
            yield _compare(gpu, own, torch_own)


def _compare(gpu: Gpu, own: list[Architecture], torch_own: list[Architecture]) -> Check:
    listed = " ".join(map(str, own))
    if not covers(own, gpu.major, gpu.minor):
        wanted = ";".join([*map(str, own), f"{gpu.major}.{gpu.minor}"])
        remedy = f"build it with TORCH_CUDA_ARCH_LIST={wanted}, or ask for another GPU"
        return Check(name="GPU", state=FAILED, seen=f"{gpu}; the image was compiled for {listed}: {remedy}")
    if not covers(torch_own, gpu.major, gpu.minor):
        seen = (
            f"{gpu}; this PyTorch has kernels for {' '.join(map(str, torch_own))} only; ask for another GPU"
        )
        return Check(name="GPU", state=FAILED, seen=seen)
    return Check(name="GPU", state=OK, seen=f"{gpu}; the image was compiled for {listed}")


def check_kernels(device: str | None) -> Iterator[Check]:
    """Compute a known value with PyTorch, lietorch and each of DROID-SLAM's kernels.

    Args:
        device: where; ``None`` where there is no GPU. lietorch also runs on the CPU.
    """
    yield _check("lietorch on the CPU", lambda: _move_points("cpu"))
    if device is None:
        names = ", ".join(["PyTorch", "lietorch", *(name for name, _ in cases())])
        yield Check(name="kernels", state=SKIPPED, seen=f"they need a GPU: {names}")
        return
    yield _check("PyTorch", lambda: _solve(device))
    yield _check("lietorch", lambda: _move_points(device))
    for name, case in cases():
        yield _check(name, lambda case=case: case(import_module("droid_backends"), device))  # type: ignore[misc]


def _check(name: str, compute: Callable[[], tuple[Any, Any]]) -> Check:
    try:
        found, expected = compute()
        error = float((found.double() - expected.double()).abs().max() / expected.double().abs().max())
        same = tuple(found.shape) == tuple(expected.shape) and error <= TOLERANCE
    except Exception as problem:  # what a GPU cannot do comes as several kinds of error
        return Check(name=name, state=FAILED, seen=next(iter(str(problem).splitlines()), repr(problem)))
    if same:
        return Check(name=name, state=OK, seen=f"relative error {error:.1e}")
    zeros = "; all is zero, as where a kernel could not be run" if not found.any() else ""
    return Check(name=name, state=FAILED, seen=f"not the known value, relative error {error:.1e}{zeros}")


def _solve(device: str) -> tuple[Any, Any]:
    """What cuBLAS, cuDNN and cuSOLVER do: product, convolution, Cholesky's solution."""
    import torch

    matrix = torch.tensor([[4.0, 1.0], [1.0, 3.0]], device=device)
    solution = torch.cholesky_solve(
        (matrix @ matrix.new_tensor([[1.0], [2.0]])), torch.linalg.cholesky(matrix)
    )
    image = torch.ones(1, 1, 8, 8, device=device)
    blurred = torch.nn.functional.conv2d(image, torch.ones(1, 1, 3, 3, device=device))
    expected = matrix.new_tensor([1.0, 2.0] + [9.0] * 36)
    return torch.cat([solution.flatten(), blurred.flatten()]), expected


def _move_points(device: str) -> tuple[Any, Any]:
    """A quarter turn around z and one step along it, twice, on a point; and back by logarithm and inverse."""
    import torch
    from lietorch import SE3

    tangent = torch.tensor([0.0, 0.0, 1.0, 0.0, 0.0, math.pi / 2], device=device).repeat(1000, 1)
    point = torch.tensor([1.0, 0.0, 0.0], device=device).repeat(1000, 1)
    motion = SE3.exp(tangent)
    found = torch.cat([(motion * motion).act(point), motion.inv().act(motion.act(point)), motion.log()], -1)
    row = point.new_tensor([-1.0, 0.0, 2.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, math.pi / 2])
    return found, row.repeat(1000, 1)


def describe(
    versions: dict[str, Any] | None, driver: str | None, gpus: list[Gpu], checks: list[Check]
) -> Iterator[str]:
    """The lines that a person reads."""
    if versions:
        yield f"DROID-SLAM {versions['droid_slam']['commit']}, lietorch {versions['lietorch']['commit']}"
        yield f"PyTorch {versions['torch']}, CUDA {versions['cuda']}, nvcc {versions['nvcc']}"
        yield f"compiled for {versions['architectures']}, payload {versions.get('payload')}"
    else:
        yield "there is no versions.json here, which says what an image with DROID-SLAM is made of"
    yield f"driver {driver or 'none'}, {len(gpus)} GPU{'s' * (len(gpus) != 1)}"
    width = max(len(check.name) for check in checks)
    for check in checks:
        yield f"  {check.name:<{width}}  {check.state:<8}  {check.seen}".rstrip()


def _build_parser() -> Parser:
    parser = Parser(prog="slam --self-test", description="Check the image and the GPU that it runs on.")
    parser.add_argument(FLAG, action="store_true", help="this")
    parser.add_argument("--require-gpu", action="store_true", help="fail where there is no GPU")
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser
