"""Whether what the builder compiles runs in the final image: same Python, C library no older.

python3 pair.py tell FILE    writes down what the image that this runs in has
python3 pair.py check FILE   compares it with what the final image wrote
"""

import json
import os
import sys
from pathlib import Path


def tell() -> dict[str, list[int]]:
    """The versions of Python and of the C library here."""
    # Of an image without glibc, such as Alpine's, nothing is known; no wheel of PyTorch runs there.
    name, _, libc = (os.confstr("CS_GNU_LIBC_VERSION") or "").partition(" ")
    if name != "glibc":
        sys.exit("slipway: PyTorch's wheels need glibc, which this image does not have; choose another image")
    return {"python": list(sys.version_info[:2]), "glibc": [int(part) for part in libc.split(".")]}


def explain(builder: dict[str, list[int]], runtime: dict[str, list[int]]) -> str | None:
    """Why what is compiled here would not run there, or ``None``."""
    pythons = [".".join(map(str, one["python"])) for one in (builder, runtime)]
    if builder["python"] != runtime["python"]:
        return (
            f"BASE_IMAGE has Python {pythons[0]} and RUNTIME_IMAGE has {pythons[1]}; choose images of "
            "one release of one distribution, or a version that both have, such as PYTHON=python3.11"
        )
    libcs = [".".join(map(str, one["glibc"])) for one in (builder, runtime)]
    if builder["glibc"] > runtime["glibc"]:
        return (
            f"BASE_IMAGE has glibc {libcs[0]}, and what is compiled with it does not run with "
            f"RUNTIME_IMAGE's {libcs[1]}; choose a newer RUNTIME_IMAGE"
        )
    return None


def main(argv: list[str]) -> str | None:
    """Write the file, or compare with it; returns what is wrong."""
    action, file = argv
    if action == "tell":
        Path(file).write_text(json.dumps(tell()), encoding="utf-8")
        return None
    problem = explain(tell(), json.loads(Path(file).read_text(encoding="utf-8")))
    return problem and f"slipway: {problem}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
