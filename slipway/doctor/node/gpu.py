"""What the image was compiled for, beside the node's GPU, driver and C library."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from slipway.doctor.check import Answer, Check, Facts, Place
from slipway.doctor.finding import Finding, failed, ok, skipped
from slipway.jsontext import load_json

# CUDA releases and the oldest driver that runs them, the newest first:
# https://docs.nvidia.com/deploy/cuda-compatibility/minor-version-compatibility.html
_DRIVERS = (
    ((13, 0), (580,)),
    ((12, 0), (525,)),
    ((11, 0), (450,)),
    ((10, 2), (440, 33)),
    ((10, 1), (418, 39)),
    ((10, 0), (410, 48)),
)
_DRIVER = re.compile(r"^gpu [^,]+, ([\d.]+),", re.M)
_CAPABILITY = re.compile(r"^capability ([0-9]{1,18})\.([0-9]{1,18})\s*$", re.M)
_FLAG = re.compile(r"(sm|compute)_([0-9]{1,18})(\d)([af]?)")
_LISTED = re.compile(r"([0-9]{1,18})\.(\d)([af]?)(\+PTX)?")
_CONTAINER = "node-container"


@dataclass(frozen=True, kw_only=True)
class Compiled:
    """What an image says of itself: its CUDA release, and architectures as ``sm_80`` and ``compute_90``."""

    cuda: str | None
    own: Sequence[str]
    torch: Sequence[str]


def read_compiled(inside: Answer) -> Compiled | None:
    """What the container has told of its image; ``None`` where that is nothing.

    An image with DROID-SLAM has it in ``versions.json``, and of any other PyTorch is asked.
    """
    if written := inside.value("versions"):
        try:
            content = load_json(written)
            words = [str(content[key]) for key in ("cuda", "architectures", "torch_architectures")]
        except (ValueError, TypeError, LookupError):
            return None
        return Compiled(
            cuda=words[0],
            own=[flag for match in _LISTED.finditer(words[1]) for flag in _flags(match)],
            torch=words[2].split(),
        )
    torch = (inside.value("torch") or "").split()
    cuda = torch[0] if torch and torch[0] != "None" else (inside.value("cuda") or "").strip() or None
    return Compiled(cuda=cuda, own=(), torch=torch[1:]) if cuda else None


def _flags(match: re.Match[str]) -> list[str]:
    """``9.0+PTX`` is machine code and PTX."""
    number = f"{match[1]}{match[2]}{match[3]}"
    return [f"sm_{number}", *([f"compute_{number}"] if match[4] else [])]


def covers(flags: Iterable[str], major: int, minor: int) -> bool:
    """Whether code for one of these architectures runs on a GPU of this compute capability.

    Machine code runs on GPUs of its major number from its minor number on; PTX on all from its number on. Of
    ``sm_90a`` and its like neither holds.
    https://docs.nvidia.com/cuda/cuda-compiler-driver-nvcc/#gpu-compilation
    """
    for match in filter(None, map(_FLAG.fullmatch, flags)):
        code = int(match[2]), int(match[3])
        if match[4]:
            runs = code == (major, minor)
        elif match[1] == "compute":
            runs = (major, minor) >= code
        else:
            runs = code[0] == major and minor >= code[1]
        if runs:
            return True
    return False


def _look_at_architecture(facts: Facts, _: Answer) -> Finding:
    inside = facts.answer(_CONTAINER)
    compiled, found = read_compiled(inside), _CAPABILITY.findall(inside.text)
    if compiled is None or not (compiled.own or compiled.torch):
        return skipped("the image does not tell: neither versions.json nor PyTorch is in it")
    if not found:
        return skipped("this driver does not tell the GPU's compute capability")
    return judge_architecture(compiled, [(int(major), int(minor)) for major, minor in found])


def judge_architecture(compiled: Compiled, gpus: Sequence[tuple[int, int]]) -> Finding:
    """Whether the image has code for all of these GPUs, by their compute capabilities."""
    so = "kernels would end with: no kernel image is available"
    for major, minor in gpus:
        if compiled.own and not covers(compiled.own, major, minor):
            fix = f"add {major}.{minor} to TORCH_CUDA_ARCH_LIST, then `invoke job --push`; or another GPU"
            seen = f"the GPU is {major}.{minor}, and the image was compiled for {' '.join(compiled.own)}"
            return failed(seen, so=so, fix=fix)
        if compiled.torch and not covers(compiled.torch, major, minor):
            seen = f"the GPU is {major}.{minor}, and its PyTorch was made for {' '.join(compiled.torch)}"
            return failed(seen, so=so, fix="another version of PyTorch in the image, or another GPU (--gpus)")
    shown = ", ".join(dict.fromkeys(f"{major}.{minor}" for major, minor in gpus))
    return ok(f"{shown} is among those that the image was compiled for")


def _look_at_driver(facts: Facts, _: Answer) -> Finding:
    inside = facts.answer(_CONTAINER)
    compiled, driver = read_compiled(inside), _DRIVER.search(inside.text)
    if compiled is None or compiled.cuda is None:
        return skipped("the image does not tell which CUDA it has")
    if driver is None:
        return skipped("the driver does not tell its version")
    return judge_driver(compiled.cuda, driver[1])


def judge_driver(cuda: str, driver: str) -> Finding:
    """Whether this driver runs programs of this CUDA release."""
    release, has = _numbers(cuda)[:2], _numbers(driver)
    needed = next((least for first, least in _DRIVERS if release >= first), None)
    if needed is None:
        return skipped(f"which driver CUDA {cuda} wants is not known here")
    if has < needed:
        wanted = ".".join(map(str, needed))
        return failed(
            f"it is {driver}, and the image's CUDA {cuda} wants {wanted} or newer",
            so="programs would end with: CUDA driver version is insufficient",
            fix="an older CUDA in the image (BASE_IMAGE, the version of PyTorch), or other nodes",
        )
    return ok(f"{driver}, enough for CUDA {cuda}")


def _look_at_glibc(facts: Facts, answer: Answer) -> Finding:
    inside = facts.answer(_CONTAINER)
    needs = re.findall(r"GLIBC_([\d.]+)", " ".join(re.findall(r"^needs .*", inside.text, re.M)))
    return judge_glibc(inside.value("glibc") or "", answer.value("glibc") or "", needs)


def judge_glibc(image: str, node: str, needs: Sequence[str]) -> Finding:
    """Whether the driver's libraries, which ``--nv`` brings from the node, find the C library that they want.

    Args:
        image: what the image says of its own: ``glibc 2.41``.
        node: likewise of the node's.
        needs: the versions that are named in the libraries.
    """
    so = "programs would end with: version GLIBC_… not found (required by libcuda.so)"
    fix = "a newer base image (BASE_IMAGE, RUNTIME_IMAGE)"
    has, there = _glibc(image), _glibc(node)
    if has is None:
        if "musl" in image.lower():
            return failed("the image has musl and no glibc", so=so, fix="an image of Debian or Ubuntu")
        return skipped("the image does not tell its C library")
    shown = f"the image has {'.'.join(map(str, has))}"
    if needs:
        most = max(needs, key=_numbers)
        if _numbers(most) > has:
            return failed(f"{shown}, and the driver's libraries want {most}", so=so, fix=fix)
        return ok(f"{shown}, the driver's libraries want {most}")
    if there is not None and has >= there:
        return ok(f"{shown}, the node {'.'.join(map(str, there))}")
    return skipped(f"{shown}; what the driver's libraries want is not known")


def _glibc(said: str) -> tuple[int, ...] | None:
    match = re.search(r"(?:glibc|GLIBC|libc).*?([0-9]{1,18}\.[0-9]{1,18})", said)
    return _numbers(match[1]) if match else None


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"[0-9]{1,18}", version))


CHECKS = (
    Check(
        name="architecture",
        title="architecture",
        place=Place.NODE,
        about="The GPU's compute capability is among those that the image and its PyTorch were made for.",
        predicts="Kernels end with: no kernel image is available.",
        look=_look_at_architecture,
        needs=("gpu",),
    ),
    Check(
        name="driver",
        title="driver",
        place=Place.NODE,
        about="The node's driver is new enough for the image's CUDA.",
        predicts="Programs end with: CUDA driver version is insufficient.",
        look=_look_at_driver,
        needs=("gpu",),
    ),
    Check(
        name="glibc",
        title="glibc",
        place=Place.NODE,
        about="The image's C library is new enough for the driver's libraries, which `--nv` brings.",
        predicts="Programs end with: version `GLIBC_…` not found.",
        look=_look_at_glibc,
        ask=lambda _: 'echo "glibc $(getconf GNU_LIBC_VERSION)"',
        needs=("gpu",),
    ),
)
