"""What runs and images cost on this machine, and what may go of it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from slipway.keep.survey import Item
from slipway.project import Project
from slipway.runtime.base import SUFFIXES
from slipway.sif.holes import SUFFIX as SPARSE


def results_here(project: Project) -> list[Item]:
    """What was brought home, an item a run; whatever else lies in ``results/`` is not looked at."""
    return [_measured("results", folder) for folder in _folders(project.results)]


def state_here(project: Project) -> list[Item]:
    """Converted images, what is kept of their layers, and records of runs, an item a file or a folder."""
    images = (("sif", "archives", "layers"), (*SUFFIXES, ".squashfs", SPARSE))
    places = {"images": images, "records": (("runs",), (".json",))}
    return [
        _measured(kind, path)
        for kind, (folders, suffixes) in places.items()
        for folder in folders
        for path in _entries(project.state / folder)
        if path.suffix in suffixes
    ]


def data_here(root: Path) -> list[Item]:
    """Datasets in a folder of data, an item each; what is on its way is none."""
    return [_measured("data", path) for path in _entries(root) if not path.name.startswith(".")]


def remove_here(project: Project, items: Sequence[Item]) -> tuple[list[Item], list[tuple[Item, str]]]:
    """Remove what was brought home of runs: those that are gone, and why not, of the others."""
    gone, failed = [], []
    for item in items:
        folder = project.results / item.name
        shutil.rmtree(folder, ignore_errors=True)
        if folder.exists():
            failed.append((item, f"not all of {folder} could be removed; whose are the files in it?"))
        else:
            gone.append(item)
    return gone, failed


def _measured(kind: str, path: Path) -> Item:
    files = size_bytes = newest = 0
    for status in _files(path):
        files += 1
        size_bytes += _on_disk(status) if path.suffix == SPARSE else status.st_size
        newest = max(newest, int(status.st_mtime))
    return Item(kind=kind, name=path.name, files=files, size_bytes=size_bytes, written_s=newest)


def _on_disk(status: os.stat_result) -> int:
    # Windows does not say it.
    return min(status.st_size, 512 * getattr(status, "st_blocks", status.st_size))


def _files(path: Path) -> Iterator[os.stat_result]:
    if not path.is_dir():
        with suppress(OSError):
            yield path.lstat()
        return
    for folder, _, names in os.walk(path):
        for name in names:
            try:
                yield os.lstat(os.path.join(folder, name))  # noqa: PTH118 - of a hundred thousand files
            except OSError:
                continue


def _folders(path: Path) -> list[Path]:
    return [entry for entry in _entries(path) if entry.is_dir() and not entry.is_symlink()]


def _entries(path: Path) -> list[Path]:
    try:
        return sorted(path.iterdir())
    except OSError:
        return []
