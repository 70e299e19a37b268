"""Look whether what was compiled has code for every architecture: a setup.py may choose its own.

python3 verify.py FOLDER   with TORCH_CUDA_ARCH_LIST
"""

import os
import subprocess
import sys
from pathlib import Path

from architecture import Architecture, parse_flags, parse_list


def missing_architectures(wanted: str, listing: str) -> list[Architecture]:
    """The architectures that are asked for and that a library has no machine code for.

    Args:
        wanted: TORCH_CUDA_ARCH_LIST.
        listing: what ``cuobjdump --list-elf`` prints: names with ``.sm_80.`` in them.
    """
    there = parse_flags(listing.replace(".", " ").split())
    return [one for one in parse_list(wanted) if not one.is_ptx and one not in there]


def check_libraries(folder: Path, wanted: str) -> str | None:
    """Look into every library that has GPU code; returns what is wrong."""
    found = 0
    for library in sorted(folder.rglob("*.so")):
        done = subprocess.run(["cuobjdump", "--list-elf", str(library)], capture_output=True, text=True)
        if ".sm_" not in done.stdout:
            continue
        found += 1
        missing = missing_architectures(wanted, done.stdout)
        if missing:
            return f"{library.name} has no code for architecture {missing[0]}; its setup.py chooses others"
        print(f"{library.name} has code for {wanted}", flush=True)
    return None if found else f"nothing in {folder} has GPU code"


def main(argv: list[str]) -> str | None:
    """Look; returns what is wrong."""
    problem = check_libraries(Path(argv[0]), os.environ["TORCH_CUDA_ARCH_LIST"])
    return problem and f"slipway: {problem}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
