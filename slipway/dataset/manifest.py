"""Manifests: what a dataset holds, in a text that ``sha256sum -c`` can check."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

from slipway.errors import ParseError

_VERSION = "# Slipway manifest 1"
_ESCAPES = {"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_PLAIN = {escaped: plain for plain, escaped in _ESCAPES.items()}
_ESCAPED = re.compile(r"\\(.?)", re.DOTALL)
_NUMBER = re.compile(r"[0-9]{1,18}")
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True)
class File:
    """A file of a dataset: its SHA-256 in hex, bytes, whole seconds of its time, and may it be run."""

    sha256: str
    size_bytes: int
    mtime_s: int
    executable: bool


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What a dataset holds, by names relative to its folder; bytes that are not UTF-8 are surrogates.

    Attributes:
        files: the regular files.
        links: symbolic links, and what they say.
        folders: those that nothing lies in.
    """

    files: Mapping[str, File] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)
    folders: Collection[str] = ()

    def all_folders(self) -> set[str]:
        """Every folder, also those that something lies in."""
        return {*self.folders, *parents([*self.files, *self.links, *self.folders])}

    def without(self, names: Collection[str]) -> Manifest:
        """The same, as if these files and links were not there."""
        gone = set(names)
        return replace(
            self,
            files={name: file for name, file in self.files.items() if name not in gone},
            links={name: target for name, target in self.links.items() if name not in gone},
        )

    def leaving_out(self, names: Collection[str]) -> Manifest:
        """The same without these files and links, but with the folders that they lie in."""
        rest = self.without(names)
        folders = {*self.folders, *parents(names)}
        return replace(rest, folders=frozenset(folders - parents([*rest.files, *rest.links, *folders])))


def parents(names: Collection[str]) -> set[str]:
    """All folders that something of these names lies in, relative, without the top."""
    found: set[str] = set()
    for name in names:
        parent = name.rpartition("/")[0]
        while parent and parent not in found:
            found.add(parent)
            parent = parent.rpartition("/")[0]
    return found


def manifest_path(folder: PurePosixPath) -> PurePosixPath:
    """Where the manifest of a dataset's folder is: beside it."""
    return folder.with_name(f".{folder.name}.sha256")


def format_manifest(manifest: Manifest, name: str) -> str:
    """A manifest as text, for the dataset of this name.

    Files stand in it as ``sha256sum --binary`` writes them, so that it can be checked without Slipway. What
    sha256sum has no words for stands in lines that it takes for comments.
    """
    lines = [_VERSION, f"# To check it: cd {name} && sha256sum -c ../.{name}.sha256"]
    lines += ["\t".join(["# folder", _escape(folder)]) for folder in sorted(manifest.folders)]
    lines += [
        "\t".join(["# link", _escape(link), _escape(target)])
        for link, target in sorted(manifest.links.items())
    ]
    for path, file in sorted(manifest.files.items()):
        mode = "x" if file.executable else "-"
        lines.append(f"# file\t{file.size_bytes}\t{file.mtime_s}\t{mode}")
        lines.append(_hash_line(path, file.sha256))
    return "".join(f"{line}\n" for line in lines)


def parse_manifest(text: str) -> Manifest:
    """Read what :func:`format_manifest` wrote.

    Raises:
        ParseError: it is something else, or was cut.
    """
    lines = iter(text.split("\n"))
    if next(lines) != _VERSION or not text.endswith("\n"):
        raise ParseError(f"this is no whole manifest; it begins with {text[:60]!r}")
    files: dict[str, File] = {}
    links: dict[str, str] = {}
    folders = []
    for line in lines:
        try:
            kind, *words = line.split("\t")
            if kind == "# folder":
                folders.append(_name(*map(_unescape, words)))
            elif kind == "# link":
                link, target = map(_unescape, words)
                links[_name(link)] = target
            elif kind == "# file":
                path, file = _parse_file(words, next(lines))
                files[_name(path)] = file
            elif line and not line.startswith("# To check"):
                raise ValueError(kind)
        except (ValueError, KeyError, TypeError, StopIteration) as error:
            raise ParseError(
                f"a manifest has the line {line!r:.200}, which is none of a manifest's"
            ) from error
    return Manifest(files=files, links=links, folders=frozenset(folders))


def _parse_file(words: list[str], line: str) -> tuple[str, File]:
    size, mtime, mode = words
    digest, star, path = line.removeprefix("\\").partition(" *")
    if not star or not _DIGEST.fullmatch(digest) or mode not in ("x", "-"):
        raise ValueError(line)
    if line.startswith("\\"):
        path = _unescape(path)
    if not _NUMBER.fullmatch(size.lstrip("-")) or not _NUMBER.fullmatch(mtime.lstrip("-")):
        raise ValueError(line)
    file = File(sha256=digest, size_bytes=int(size), mtime_s=int(mtime), executable=mode == "x")
    return path, file


def _name(path: str) -> str:
    """A name inside of the dataset: what leads out of it is no part of a manifest."""
    if "\0" in path or not all(part not in ("", ".", "..") for part in path.split("/")):
        raise ValueError(path)
    return path


def _hash_line(path: str, digest: str) -> str:
    # As sha256sum does it: a backslash before the line says that there are some in the name. A carriage
    # return inside of a name stays as it is, since coreutils before 9 knows no escape for it.
    if not path.endswith("\r") and not set("\\\n") & set(path):
        return f"{digest} *{path}"
    name = path.replace("\\", "\\\\").replace("\n", "\\n")
    if name.endswith("\r"):
        name = name[:-1] + "\\r"
    return f"\\{digest} *{name}"


def _escape(text: str) -> str:
    return "".join(_ESCAPES.get(character, character) for character in text)


def _unescape(text: str) -> str:
    return _ESCAPED.sub(lambda found: _PLAIN[found[0]], text)
