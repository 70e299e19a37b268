"""What COPY and ADD take of a build's context: each source by itself, as Docker would find it. Pure."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from slipway.sif.definition.instruction import UntranslatableError

_PATTERN = frozenset("*?[")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """Something of the context: ``kind`` is ``f``, ``d`` or ``l``, ``target`` is where a link leads."""

    kind: str
    target: str = ""
    is_archive: bool = False


@dataclass(frozen=True, kw_only=True)
class Taken:
    """One thing that is copied.

    Attributes:
        place: where it lies in the folder of the build, relative to that of all copies.
        name: its name in the context; empty for all of it.
        links: links in it: where each lies in the image before its turn, and where it leads.
        is_archive: whether ADD unpacks it.
    """

    place: str
    name: str
    links: tuple[tuple[str, str], ...] = ()
    is_archive: bool = False


class Context:
    """The files of a context, by their names in it."""

    def __init__(self, entries: Mapping[str, Entry]) -> None:
        self.entries = dict(entries)
        for name in list(entries):
            parent = posixpath.dirname(name)
            while parent:
                self.entries.setdefault(parent, Entry(kind="d"))
                parent = posixpath.dirname(parent)

    def take(self, patterns: Iterable[str], folder: str, *, unpack: bool) -> list[Taken]:
        """What the sources of one COPY or ADD are.

        Args:
            patterns: the sources as they are written, without variables.
            folder: that of this copy.
            unpack: whether archives are to be unpacked, as ADD does.

        Raises:
            UntranslatableError: one is not there, or is a link that leads out of the context.
        """
        taken: list[Taken] = []
        for pattern in patterns:
            for name in self._match(pattern):
                name = self._resolve(name)
                is_archive = unpack and bool(name) and self.entries[name].is_archive
                base = posixpath.basename(name) or "context"
                place = (
                    f"{folder}.tar/{len(taken):04d}/{base}"
                    if is_archive
                    else f"{folder}/{len(taken):04d}/{base}"
                )
                links = tuple(self._links(name, place))
                taken.append(Taken(place=place, name=name, links=links, is_archive=is_archive))
        if not taken:
            raise UntranslatableError(
                "none of its sources is in the context, or .dockerignore leaves them out"
            )
        return taken

    def below(self, name: str) -> list[str]:
        """A thing and all that is in it, in order; of the whole context where the name is empty."""
        return sorted(one for one in self.entries if not name or one == name or one.startswith(f"{name}/"))

    def _match(self, pattern: str) -> list[str]:
        # The context has nothing above it.
        path = posixpath.normpath(f"/{pattern}").lstrip("/")
        if not path:
            return [""]
        if not _PATTERN & set(path):
            if path not in self.entries:
                raise UntranslatableError(f"{pattern} is not in the context, or .dockerignore leaves it out")
            return [path]
        wanted = path.replace("[^", "[!").split("/")
        return [name for name in sorted(self.entries) if _matches(name.split("/"), wanted)]

    def _resolve(self, name: str) -> str:
        for _ in range(40):  # as many links as Linux follows
            entry = self.entries.get(name)
            if not name or (entry is not None and entry.kind != "l"):
                return name
            target = entry.target if entry else ".."
            path = posixpath.normpath(posixpath.join(posixpath.dirname(name), target))
            if entry is None or path.startswith(("/", "..")):
                break
            name = "" if path == "." else path
        raise UntranslatableError(f"{name} is a link that leads to nothing in the context")

    def _links(self, name: str, place: str) -> Iterable[tuple[str, str]]:
        for one in self.below(name):
            if one != name and self.entries[one].kind == "l":
                inner = one[len(name) + 1 :] if name else one
                yield f"{place}/{inner}", self.entries[one].target


def _matches(parts: list[str], wanted: list[str]) -> bool:
    return len(parts) == len(wanted) and all(map(fnmatchcase, parts, wanted))
