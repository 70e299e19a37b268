"""Write down what was compiled, of what and with what; ``slam/selftest/versions.py`` adds the rest.

python3 versions.py SOURCES FILE   SOURCES has the <name>.json of fetch.py; with TORCH_CUDA_ARCH_LIST
"""

import json
import os
import sys
from pathlib import Path

from toolchain import ask_nvcc, parse_release


def main(argv: list[str]) -> None:
    """Write the file."""
    import torch

    sources, file = (Path(word) for word in argv)
    content = {
        "droid_slam": json.loads((sources / "droid-slam.json").read_text(encoding="utf-8")),
        "lietorch": json.loads((sources / "lietorch.json").read_text(encoding="utf-8")),
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "nvcc": ".".join(map(str, parse_release(ask_nvcc("--version")))),
        "architectures": os.environ["TORCH_CUDA_ARCH_LIST"],
        "torch_architectures": torch._C._cuda_getArchFlags(),
    }
    file.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
