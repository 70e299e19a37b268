"""What was fetched of a dataset to this machine, as it is noted beside it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from slipway.jsontext import load_json


@dataclass(frozen=True, kw_only=True)
class Note:
    """What is known of a sequence that was fetched: its folder, files and bytes, and SHA-256 of archives."""

    folder: str
    files: int
    size_bytes: int
    archives: Mapping[str, str]


def notes_file(root: Path, name: str) -> Path:
    """Where the notes on a dataset are: beside it, so that it holds nothing that is not data."""
    return root / f".{name}.fetched.json"


def read_notes(file: Path) -> dict[str, Note]:
    """What was fetched, by the names of sequences; nothing where that cannot be read."""
    try:
        return {str(name): Note(**value) for name, value in load_json(file.read_bytes()).items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def write_notes(file: Path, notes: Mapping[str, Note]) -> None:
    """Note what was fetched."""
    part = file.with_name(f"{file.name}.part")
    text = json.dumps({name: asdict(note) for name, note in sorted(notes.items())}, indent=1)
    part.write_text(text + "\n", encoding="utf-8")
    part.replace(file)


def is_whole(folder: Path, note: Note) -> bool:
    """True where a folder has as much as was fetched; what somebody has added is no matter."""
    files, size_bytes = measure(folder)
    return files >= note.files and size_bytes >= note.size_bytes


def measure(folder: Path) -> tuple[int, int]:
    """How many files and links are in a folder, and their bytes; none where there is no folder."""
    files = size_bytes = 0
    for top, _, names in os.walk(folder):
        for name in names:
            files += 1
            size_bytes += os.lstat(os.path.join(top, name)).st_size  # noqa: PTH118 - of many thousand files
    return files, size_bytes
