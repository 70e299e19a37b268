"""What a repository already has: a Dockerfile, and files that name what its code needs."""

from __future__ import annotations

import os
import posixpath
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from slipway.code.checkout import find_checkout, run_git
from slipway.project import MARK

Kind = Literal["uv", "requirements", "conda", "pyproject", "plain"]

DOCKERFILES = ("Dockerfile", "docker/Dockerfile")
# In the order in which they are asked: the first that there is says what is installed.
SOURCES: dict[str, Kind] = {
    "uv.lock": "uv",
    "requirements.txt": "requirements",
    "environment.yml": "conda",
    "environment.yaml": "conda",
    "pyproject.toml": "pyproject",
}
_INCLUDE = re.compile(r"\s*(?:-\s+)?(?:-r|-c|--requirement|--constraint)[\s=]*([\w./+-]+)\s*(?:#.*)?")
# A folder of this repository in the place of a package; `-e git+https://…` is none.
_LOCAL = re.compile(r"\s*(?:-\s+)?(?:(?:-e|--editable)[\s=]*)?(?:\.{1,2}(?:[/\[\s]|$)|file:)")
_TABLE = re.compile(r"\s*\[+\s*([\w.-]+)\s*\]+\s*(?:#.*)?")
_DEPENDENCIES = re.compile(r"\s*dependencies\s*=")


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What was found.

    Attributes:
        dockerfile: the user's own, relative to the folder; ``None`` where there is none.
        kind: what an image would be made from.
        files: what packages are installed from, relative, the one that gave ``kind`` first.
        unused: other files of that sort, which ``kind`` leaves out.
        needs_git: a package comes from a git repository.
        has_local: a requirement is a folder of the repository itself.
        has_src: modules lie in ``src/``.
        program: a program in the folder that looks like the one to run.
        ignores_profiles: git ignores the profiles, as it does with the .gitignore that many begin with, which
            takes ``env/`` for a virtual environment.
    """

    dockerfile: str | None = None
    kind: Kind = "plain"
    files: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    needs_git: bool = False
    has_local: bool = False
    has_src: bool = False
    program: str | None = None
    ignores_profiles: bool = False


def look_around(folder: Path) -> Findings:
    """What is in a folder. Nothing is run, and nothing is written.

    Raises:
        OSError: a file in it cannot be read.
    """
    present = [name for name in SOURCES if (folder / name).is_file() and _names_packages(folder, name)]
    files = _files(folder, present[0]) if present else ()
    texts = [_read(folder / name) for name in files]
    return Findings(
        # A link that leads nowhere is there, too: nothing is written in its place.
        dockerfile=next((name for name in DOCKERFILES if os.path.lexists(folder / name)), None),
        kind=SOURCES[present[0]] if present else "plain",
        files=files,
        unused=tuple(name for name in present[1:] if name not in files),
        needs_git=any("git+" in text or "git = " in text for text in texts),
        has_local=any(_LOCAL.match(line) for text in texts for line in text.splitlines()),
        has_src=(folder / "src").is_dir(),
        program=_find_program(folder),
        ignores_profiles=_ignores(folder, MARK),
    )


def _names_packages(folder: Path, name: str) -> bool:
    if name == "uv.lock":
        return (folder / "pyproject.toml").is_file()
    return name != "pyproject.toml" or has_dependencies(_read(folder / name))


def has_dependencies(pyproject: str) -> bool:
    """True where a ``pyproject.toml`` has ``dependencies`` in its table ``[project]``."""
    # No reader of TOML comes with Python 3.10.
    table = ""
    for line in pyproject.splitlines():
        if match := _TABLE.fullmatch(line):
            table = match[1]
        elif table == "project" and _DEPENDENCIES.match(line):
            return True
    return False


def _files(folder: Path, name: str) -> tuple[str, ...]:
    if name == "uv.lock":
        return ("uv.lock", "pyproject.toml")
    if name == "pyproject.toml":
        return (name,)
    return tuple(dict.fromkeys(_with_included(folder, name, ())))


def _with_included(folder: Path, name: str, above: tuple[str, ...]) -> Iterator[str]:
    """A file of requirements and those that it includes, as far as they are in the folder."""
    yield name
    for line in _read(folder / name).splitlines():
        match = _INCLUDE.fullmatch(line)
        inner = posixpath.normpath(posixpath.join(posixpath.dirname(name), match[1])) if match else ""
        new = inner and not inner.startswith(("../", "/")) and inner not in (*above, name)
        if new and (folder / inner).is_file():
            yield from _with_included(folder, inner, (*above, name))


def _ignores(folder: Path, name: Path) -> bool:
    """True where git ignores a file, or would if it were there."""
    if find_checkout(folder) is None or shutil.which("git") is None:
        return False
    # Any other code than 0 means no, or that git cannot tell; whoever submits a job is told why.
    return run_git(folder, "check-ignore", "--quiet", "--", str(name)).ok


def _find_program(folder: Path) -> str | None:
    programs = sorted(path.name for path in folder.glob("*.py") if path.is_file())
    usual = [name for name in ("train.py", "main.py", "run.py", "hello.py") if name in programs]
    others = [name for name in programs if name not in ("setup.py", "tasks.py", "conftest.py", "noxfile.py")]
    return next((name for name in (*usual, *others) if re.fullmatch(r"\w[\w.-]*", name)), None)


def _read(file: Path) -> str:
    return file.read_text(encoding="utf-8-sig", errors="replace")
