"""Sources that an image is compiled from: fetched while it is built, or taken from a folder of this machine.

The Dockerfile asks for one by declaring ``ARG DROID_SLAM_REPO``. It finds ``.slipway/droid-slam/origin.json``
in its context, and, where the profile has ``DROID_SLAM_SOURCE``, the folder's files beside it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from slipway.code.checkout import GIT, read_git, run_git
from slipway.errors import ConfigError, DataError

# What each must have: files that the build compiles or the payload imports.
_NEEDED = {
    "droid-slam": ("setup.py", "droid_slam/droid.py", "src/droid_kernels.cu"),
    "lietorch": ("setup.py", "lietorch/groups.py", "lietorch/src/lietorch_gpu.cu"),
}
_TITLES = {"droid-slam": "DROID-SLAM", "lietorch": "lietorch"}
_SUBMODULE = PurePosixPath("thirdparty/lietorch")


@dataclass(frozen=True, kw_only=True)
class Source:
    """One source: where it comes from, and, where it is local, its files.

    Attributes:
        name: its folder in the context, below ``.slipway/``.
        folder: the folder on this machine; ``None`` where it is fetched.
        files: names of files and links in the folder that are sent.
        commit: what git says that the folder is at; ``None`` where it is no checkout.
        dirty: whether files differ from that commit.
        note: why it is fetched although another one is local.
    """

    name: str
    folder: Path | None = None
    files: tuple[str, ...] = ()
    commit: str | None = None
    dirty: bool = False
    note: str = ""

    @property
    def place(self) -> str:
        """Its folder in the context."""
        return f".slipway/{self.name}"

    def paths(self) -> list[tuple[Path, str]]:
        """Each of its files, and its name in the context; none where it is fetched."""
        folder = self.folder
        return [(folder / name, f"{self.place}/{name}") for name in self.files] if folder else []

    def key(self, word: str) -> str:
        """The profile's key about it: ``REPO``, ``REF`` or ``SOURCE``."""
        return source_key(self.name, word)

    def origin(self) -> str:
        """The content of its ``origin.json``."""
        facts = {
            "local": self.folder is not None,
            "commit": self.commit,
            "dirty": self.dirty,
            "note": self.note,
        }
        return json.dumps(facts, sort_keys=True) + "\n"

    def __str__(self) -> str:
        if self.folder is None:
            return f"{_TITLES[self.name]} is fetched"
        state = self.commit[:12] if self.commit else "no git checkout"
        return f"{_TITLES[self.name]} from {self.folder} ({state}{', with changes' * self.dirty})"


def find_sources(dockerfile: str, settings: Mapping[str, Path | None]) -> tuple[Source, ...]:
    """The sources that a Dockerfile asks for.

    Args:
        dockerfile: its text.
        settings: the profile's folders, by the names of the sources.

    Raises:
        ConfigError: a folder is missing, is something else, or cannot be compiled for chosen architectures.
    """
    found: dict[str, Source] = {}
    for name in wanted_sources(dockerfile):
        folder = settings.get(name)
        if folder is not None:
            found[name] = read_source(name, folder, f"{source_key(name, 'SOURCE')} is")
        elif name == "lietorch" and (upstream := found.get("droid-slam")) and upstream.folder:
            found[name] = _submodule(upstream.folder / _SUBMODULE)
        else:
            found[name] = Source(name=name)
    return tuple(found.values())


def wanted_sources(dockerfile: str) -> list[str]:
    """The names of the sources that a Dockerfile asks for."""
    return [name for name in _NEEDED if f"ARG {source_key(name, 'REPO')}" in dockerfile]


def read_source(name: str, folder: Path, what: str) -> Source:
    """A local source.

    Args:
        name: which one.
        folder: where it is.
        what: the beginning of a message about it, such as ``DROID_SLAM_SOURCE is``.

    Raises:
        ConfigError: see :func:`find_sources`.
    """
    title = _TITLES[name]
    if not folder.is_dir():
        raise ConfigError(f"{what} {folder}, which is not a folder; name a checkout of {title}")
    missing = [file for file in _NEEDED[name] if not (folder / file).is_file()]
    if missing:
        raise ConfigError(f"{what} {folder}, which is not {title}: it has no {missing[0]}")
    if _names_architectures(folder):
        raise ConfigError(
            f"{what} {folder}, whose setup.py names its own architectures (-gencode), so that "
            "TORCH_CUDA_ARCH_LIST does nothing; check out a newer commit"
        )
    try:
        return _read(name, folder)
    except DataError as error:
        raise ConfigError(f"{what} {folder}, which cannot be read: {error}") from error


def _read(name: str, folder: Path) -> Source:
    if not os.path.lexists(folder / GIT):
        every = (Path(at) / one for at, _, files in os.walk(folder) for one in files)
        return Source(name=name, folder=folder, files=_names(folder, every))
    # What git does not track may be data of any size; a new file counts from `git add` on.
    tracked = read_git(folder, "ls-files", "-z", "--recurse-submodules").split("\0")
    commit = run_git(folder, "rev-parse", "--verify", "--quiet", "HEAD")
    return Source(
        name=name,
        folder=folder,
        files=_names(folder, (folder / one for one in tracked if one)),
        commit=commit.stdout.strip() if commit.ok else None,
        dirty=bool(read_git(folder, "status", "--porcelain", "--untracked-files=no")),
    )


def _names(folder: Path, paths: Iterable[Path]) -> tuple[str, ...]:
    kept = (path for path in paths if path.is_symlink() or path.is_file())
    return tuple(sorted(path.relative_to(folder).as_posix() for path in kept))


def _submodule(folder: Path) -> Source:
    """The lietorch that DROID-SLAM's checkout has, or why another is fetched."""
    if not (folder / "setup.py").is_file():
        return Source(name="lietorch", note=f"{folder} is empty")
    if _names_architectures(folder):
        return Source(name="lietorch", note=f"{folder} is one that ignores TORCH_CUDA_ARCH_LIST")
    return read_source("lietorch", folder, "DROID_SLAM_SOURCE has")


def _names_architectures(folder: Path) -> bool:
    try:
        return "-gencode" in (folder / "setup.py").read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise ConfigError(f"{folder / 'setup.py'} cannot be read: {error.strerror}") from error


def source_key(name: str, word: str) -> str:
    """The profile's key about a source: ``REPO``, ``REF`` or ``SOURCE``."""
    return f"{name.upper().replace('-', '_')}_{word}"
