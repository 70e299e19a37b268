"""Whether nvcc and PyTorch can make what TORCH_CUDA_ARCH_LIST asks for, before they try.

python3 toolchain.py   where torch is installed; prints what was found
"""

import os
import re
import subprocess
import sys

from architecture import covers, parse_flags, parse_list


class ToolchainError(Exception):
    """What is asked for cannot be compiled, or would not run."""


def ask_nvcc(*words: str) -> str:
    """What nvcc prints.

    Raises:
        ToolchainError: there is no nvcc, or it fails.
    """
    try:
        done = subprocess.run(["nvcc", *words], capture_output=True, text=True, timeout=60)
    except FileNotFoundError as error:
        raise ToolchainError("BASE_IMAGE has no nvcc; choose an image with the CUDA compiler") from error
    if done.returncode:
        raise ToolchainError(f"nvcc {' '.join(words)} failed: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def parse_release(text: str) -> tuple[int, int]:
    """The release that ``nvcc --version`` prints.

    Raises:
        ToolchainError: it prints none.
    """
    match = re.search(r"release (\d+)\.(\d+)", text)
    if match is None:
        raise ToolchainError(f"nvcc --version names no release: {text.strip()!r}")
    return int(match[1]), int(match[2])


def check(wanted: str, release: tuple[int, int], known: str, torch_cuda: str, torch_flags: str) -> None:
    """Compare what is asked for with the tools.

    Args:
        wanted: TORCH_CUDA_ARCH_LIST.
        release: nvcc's.
        known: what ``nvcc --list-gpu-arch`` prints.
        torch_cuda: the CUDA version that PyTorch was built with; empty for one without CUDA.
        torch_flags: the architectures of PyTorch's own kernels.

    Raises:
        ToolchainError: nvcc is of another major version, or an architecture is unknown to either.
    """
    if not torch_cuda:
        raise ToolchainError("the locked PyTorch is one without CUDA; lock a wheel with CUDA")
    if release[0] != int(torch_cuda.split(".")[0]):
        raise ToolchainError(
            f"nvcc is of CUDA {release[0]}.{release[1]} and PyTorch of CUDA {torch_cuda}; their major "
            f"versions have to be the same: choose a BASE_IMAGE with CUDA {torch_cuda}, or another "
            "PyTorch (REQUIREMENTS)"
        )
    try:
        asked = parse_list(wanted)
    except ValueError as error:
        raise ToolchainError(f"TORCH_CUDA_ARCH_LIST: {error}") from error
    # nvcc does not list the variants that run on one GPU only, such as 9.0a.
    listed = sorted({(one.major, one.minor) for one in parse_flags(known.split())})
    unknown = [one for one in asked if (one.major, one.minor) not in listed]
    if unknown:
        names = ", ".join(f"{major}.{minor}" for major, minor in listed)
        raise ToolchainError(
            f"this nvcc ({release[0]}.{release[1]}) does not know architecture {unknown[0]}; it knows "
            f"{names}. Change TORCH_CUDA_ARCH_LIST or BASE_IMAGE"
        )
    kernels = parse_flags(torch_flags.split())
    idle = [one for one in asked if not covers(kernels, one.major, one.minor)]
    if idle:
        raise ToolchainError(
            f"this PyTorch has no kernels for architecture {idle[0]}; its own are for {torch_flags}. "
            "Change TORCH_CUDA_ARCH_LIST or another PyTorch (REQUIREMENTS)"
        )


def main() -> str | None:
    """Check; returns what is wrong."""
    import torch

    wanted = os.environ["TORCH_CUDA_ARCH_LIST"]
    flags = torch._C._cuda_getArchFlags() or ""
    try:
        release = parse_release(ask_nvcc("--version"))
        check(wanted, release, ask_nvcc("--list-gpu-arch"), torch.version.cuda or "", flags)
    except ToolchainError as error:
        return f"slipway: {error}"
    tools = f"nvcc {release[0]}.{release[1]}, PyTorch {torch.__version__} of CUDA {torch.version.cuda}"
    print(f"{tools}: {wanted}")
    return None


if __name__ == "__main__":
    sys.exit(main())
