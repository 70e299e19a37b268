"""What the image is made of: ``versions.json``, as the build wrote it.

``python3 -m slam.selftest.versions FOLDER`` adds what is installed and the payload's revision; it is the
build's last step.
"""

from __future__ import annotations

import hashlib
import json
import platform
import sys
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from slam.errors import InputError

INSTALLED = Path("/opt/slam")
NAME = "versions.json"
_NEEDED = (
    "droid_slam",
    "lietorch",
    "torch",
    "cuda",
    "nvcc",
    "architectures",
    "torch_architectures",
    "payload",
)


def read_versions(folder: Path = INSTALLED) -> dict[str, Any] | None:
    """What the build wrote; ``None`` where this is no such image.

    Raises:
        InputError: the file is not what the build writes.
    """
    file = folder / NAME
    if not file.is_file():
        return None
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{file} is no JSON; build the image again") from error
    if not isinstance(content, dict):
        raise InputError(f"{file} holds no object; build the image again")
    return content


def require_versions(content: dict[str, Any] | None) -> dict[str, Any] | None:
    """The same, where it has all that the self-test reads.

    Raises:
        InputError: something is missing.
    """
    missing = [key for key in _NEEDED if content is not None and key not in content]
    if missing:
        raise InputError(f"{NAME} has no {missing[0]!r}; build the image again")
    return content


def payload_revision(folder: Path) -> str:
    """The first 16 digits of a SHA-256 over the program's files: their names and contents.

    It stands for the content and not for a commit, so that it is the same for the same program.
    """
    digest = hashlib.sha256()
    for file in sorted(folder.rglob("*.py"), key=lambda path: path.relative_to(folder).as_posix()):
        name, content = file.relative_to(folder).as_posix(), file.read_bytes()
        digest.update(f"{name}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()[:16]


def main(argv: list[str]) -> None:
    """Add to the file."""
    folder = Path(argv[0])
    packages = {one.metadata["Name"].lower(): one.version for one in distributions()}
    content = {
        **(read_versions(folder) or {}),
        "payload": payload_revision(folder),
        "python": platform.python_version(),
        "packages": dict(sorted(packages.items())),
    }
    (folder / NAME).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
