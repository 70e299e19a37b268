"""A definition file of Apptainer's, as far as Slipway has to read it: what it takes of this machine."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from slipway.errors import ImageError

# As Apptainer's own reader has them (``pkg/build/types/parser/deffile.go``, ``internal/pkg/build/args``).
_STAGE = re.compile(r"bootstrap:", re.I)
_HEADER = re.compile(r"\s*(\w+)\s*:\s*([^#]*?)\s*(?:#.*)?\Z")
_WORD = re.compile(r"\"([^\"]*)\"|'([^']*)'|([^\s\"']+)")
ARGUMENT = re.compile(r"\{\{\s*(\w+)\s*\}\}")
_DEFAULT = re.compile(r"\s*([^#=\s][^=]*?)\s*=\s*(.*?)\s*\Z")
_LOCAL = ("localimage", "oci-archive", "docker-archive", "oci")
_ON_THE_HOST = ("setup", "pre")


@dataclass(frozen=True, kw_only=True)
class Named:
    """A file, folder or pattern that a line of a definition file names."""

    line: int
    name: str


@dataclass(frozen=True, kw_only=True)
class DefinitionFile:
    """What a definition file says of this machine.

    Attributes:
        sources: what ``%files`` copies into the image.
        bases: the images that it starts from, where they are files.
        arguments: the names of ``{{ NAME }}`` in it.
        host_scripts: lines of sections that run on the machine that builds, outside of the image.
    """

    sources: tuple[Named, ...]
    bases: tuple[Named, ...]
    arguments: frozenset[str]
    host_scripts: tuple[Named, ...]


def parse_definition(text: str, given: Mapping[str, str]) -> DefinitionFile:
    """Read a definition file.

    Args:
        text: its content.
        given: values for ``{{ NAME }}``; others are those of its ``%arguments``.
    """
    lines = text.split("\n")
    values = {**dict(_defaults(lines)), **given}
    sources, bases, scripts = [], [], []
    section, bootstrap = "", ""
    for number, line in enumerate(lines, start=1):
        word = line.split()[0] if line.split() else ""
        if _STAGE.match(line):
            section = ""
        elif word.startswith("%"):
            section = _section(line)
            if section in _ON_THE_HOST:
                scripts.append(Named(line=number, name=section))
            continue
        filled = _fill(line, values)
        if section == "files" and (found := _source(filled)):
            sources.append(Named(line=number, name=found))
        if not section and (match := _HEADER.match(filled)):
            key, value = match[1].lower(), match[2]
            bootstrap = value.lower() if key == "bootstrap" else bootstrap
            if key == "from" and bootstrap in _LOCAL:
                # Such an archive may have several images in it, which a colon tells apart.
                path = value.partition(":")[0] if bootstrap != "localimage" else value
                bases.append(Named(line=number, name=path))
    return DefinitionFile(
        sources=tuple(sources),
        bases=tuple(bases),
        arguments=frozenset(ARGUMENT.findall(text)),
        host_scripts=tuple(scripts),
    )


def find_named(file: Path, definition: DefinitionFile) -> list[str]:
    """The files of this machine that go into the image, relative to the definition file's folder, in order.

    Raises:
        ImageError: one is not there, or lies outside of that folder; the message has each line.
    """
    problems, found = [], set[str]()
    for one in (*definition.sources, *definition.bases):
        paths = _paths(file.parent, one.name)
        if isinstance(paths, str):
            problems.append(f"{file}:{one.line}: {one.name} {paths}")
        else:
            found |= {name for path in paths for name in _below(file.parent, path)}
    if problems:
        raise ImageError("\n  ".join(["the build would lack files:", *problems]))
    return sorted(found)


def _defaults(lines: list[str]) -> Iterator[tuple[str, str]]:
    section = ""
    for line in lines:
        if line.lstrip().startswith("%"):
            section = _section(line)
        elif section == "arguments" and (match := _DEFAULT.match(line)):
            yield match[1], match[2]


def _section(line: str) -> str:
    """What follows a line: ``files`` only where they come from this machine."""
    words = line.split("#")[0].split()
    name = words[0].lstrip("%").lower() if words else ""
    if name == "appfiles":
        return "files"
    return "files from" if name == "files" and len(words) > 1 else name


def _source(line: str) -> str:
    match = _WORD.search(line)
    if match is None or line.lstrip().startswith("#"):
        return ""
    return match[1] or match[2] or match[3] or ""


def _fill(text: str, values: Mapping[str, str]) -> str:
    return ARGUMENT.sub(lambda match: values.get(match[1], match[0]), text)


def _paths(folder: Path, name: str) -> list[Path] | str:
    """What a name stands for; or what is wrong with it."""
    path = Path(os.path.normpath(name))
    if path.is_absolute() or path.parts[:1] == ("..",):
        return "lies outside of this folder, where the cluster and the container that builds do not see it"
    found = sorted(folder.glob(str(path))) if set("*?[") & set(name) else [folder / path]
    if not found or not all(one.exists() for one in found):
        return f"is not in {folder}"
    return found


def _below(folder: Path, path: Path, depth: int = 0) -> Iterator[str]:
    """All files at or below a path; as Apptainer copies them, links are what they lead to."""
    if not path.is_dir():
        yield path.relative_to(folder).as_posix()
        return
    if depth > 40:  # links that lead in a circle
        raise ImageError(f"{path} goes round in a circle of links")
    for one in sorted(path.iterdir()):
        yield from _below(folder, one, depth + 1)
