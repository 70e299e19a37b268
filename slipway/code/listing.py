"""What of a folder of code is sent."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from slipway.code.checkout import GIT, explain_refusal, find_checkout, read_git, run_git
from slipway.code.dockerignore import DockerIgnore, read_dockerignore
from slipway.errors import DataError

# The mode that git's index gives a submodule.
_SUBMODULE = "160000"


@dataclass(frozen=True, kw_only=True)
class Listing:
    """What is sent: ``names`` of files, links and empty folders, relative, and ``notes`` on what is not."""

    names: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class _Area:
    """A folder that goes by one set of rules: a checkout's, or, where ``files`` is ``None``, none.

    ``files`` and ``modules`` are the files and submodules that git names, ``above`` the folders that they are
    in. All names are relative to the code folder; the area's own is ``name``, empty for that folder itself.
    """

    folder: Path
    name: str = ""
    files: frozenset[str] | None = None
    modules: frozenset[str] = frozenset()
    above: frozenset[str] = frozenset()

    def wants(self, name: str) -> bool:
        """Whether a file or link is wanted."""
        return self.files is None or name in self.files

    def keep(self, names: Sequence[str]) -> list[str]:
        """Those of some folders, pipes and sockets that are not ignored."""
        # Where git names something, it has said so; of all else it is asked.
        asked = [name for name in names if name not in self.above and name not in self.modules]
        if self.files is None or not asked:
            return list(names)
        start = len(self.name) + 1 if self.name else 0
        # Without the ./ a name that starts with a colon would be more than a name.
        words = "".join(f"./{name[start:]}\0" for name in asked)
        stdin = os.fsencode(words).decode("utf-8", errors="surrogateescape")
        result = run_git(self.folder, "check-ignore", "-z", "--stdin", stdin=stdin)
        if result.exit_code not in (0, 1):  # 1: it ignores none of them
            raise explain_refusal(self.folder, result)
        ignored = {_join(self.name, word.removeprefix("./")) for word in _names(result.stdout)}
        return [name for name in names if name not in ignored]


def list_folder(source: Path, *, without: Path | None = None) -> Listing:
    """What of a folder is sent, in the order of the names' bytes.

    Two tools have a say, and what either leaves out is left out:

    - git, where the folder is in a checkout: what is tracked or untracked is sent, what is ignored is not, by
      all of git's own rules (``.gitignore`` at any depth, ``.git/info/exclude``, the user's own). A
      submodule, or another checkout in the folder, goes by its own. ``.git`` is never sent.
    - Docker, where the folder itself has a ``.dockerignore``.

    A folder is sent for what is in it, or where it is empty. A link is sent as a link, wherever it leads.
    Pipes, sockets and devices are not sent, nor are submodules that are not checked out; notes say so.

    Args:
        source: the folder.
        without: a folder that is left out, should it be in there.

    Raises:
        DataError: a folder in it cannot be read, git cannot read its checkout, or ``.dockerignore`` is wrong.
        FileNotFoundError, NotADirectoryError: something went away meanwhile.
        HostError: git is needed, and is not installed.
    """
    root = source.resolve()
    walk = _Walk(root, read_dockerignore(root), without.resolve() if without else None)
    names = walk.list_area(_read_area(root, "") if find_checkout(root) else _Area(folder=root))
    return Listing(names=tuple(sorted(names, key=os.fsencode)), notes=tuple(walk.notes))


def show(name: str) -> str:
    """A name of a file as a message can hold it, whatever is in it."""
    return name if name.isprintable() else ascii(name)


class _Walk:
    """A walk through a folder."""

    def __init__(self, root: Path, docker: DockerIgnore, without: Path | None) -> None:
        self.root = root
        self.docker = docker
        self.without = without
        self.notes: list[str] = []

    def list_area(self, area: _Area) -> Iterator[str]:
        """All names in an area, and in the areas in it, level by level: git is asked once a level."""
        level = [area.name]
        while level:
            unsure: dict[str, bool] = {}
            for folder in level:
                entries = self._read(folder)
                if not entries and folder and not self.docker.leaves_out(folder):
                    yield folder
                for entry in entries:
                    name = _join(folder, entry.name)
                    if entry.is_symlink() or entry.is_file():
                        if area.wants(name) and not self.docker.leaves_out(name):
                            yield name
                    elif not self._passes_by(entry, name):
                        unsure[name] = entry.is_dir()
            level = []
            for name in area.keep(list(unsure)):
                inner = self._area_at(area, name) if unsure[name] else None
                if not unsure[name]:
                    self.notes.append(f"{show(str(self.root / name))} is no file, and is not sent")
                elif inner is None:
                    level.append(name)
                else:
                    yield from self.list_area(inner)

    def _read(self, name: str) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(self.root / name) as entries:
                return [entry for entry in entries if entry.name != GIT]
        except (FileNotFoundError, NotADirectoryError):
            raise
        except OSError as error:
            raise DataError(
                f"{show(str(self.root / name))} in CODE_DIR cannot be read: {error.strerror}; "
                "make it readable, or leave it out with a .gitignore or .dockerignore"
            ) from error

    def _passes_by(self, entry: os.DirEntry[str], name: str) -> bool:
        return self.docker.leaves_out_all_in(name) or (
            self.without is not None and Path(entry.path) == self.without
        )

    def _area_at(self, area: _Area, name: str) -> _Area | None:
        """The area that begins in a folder, if one does."""
        folder = self.root / name
        if os.path.lexists(folder / GIT):
            return _read_area(folder, name)
        if name not in area.modules:
            return None
        # git knows no files there, and answers no questions about it.
        self.notes.append(
            f"{show(str(folder))} is a submodule that is not checked out, so its files are not sent; "
            "`git submodule update --init` fetches them"
        )
        return _Area(folder=folder, name=name)


def _read_area(folder: Path, name: str) -> _Area:
    """What git says of the checkout that a folder is in, as far as it is in that folder."""
    tracked = [entry.partition("\t") for entry in _names(read_git(folder, "ls-files", "-z", "--stage"))]
    others = _names(read_git(folder, "ls-files", "-z", "--others", "--exclude-standard"))
    modules = {_join(name, path) for mode, _, path in tracked if mode.startswith(_SUBMODULE)}
    files = {_join(name, path) for path in (*(path for _, _, path in tracked), *others)} - modules
    folders = {posixpath.dirname(path) for path in (*files, *modules)}
    above = {parent for folder in folders for parent in (folder, *_parents(folder))} - {""}
    return _Area(
        folder=folder, name=name, files=frozenset(files), modules=frozenset(modules), above=frozenset(above)
    )


def _names(printed: str) -> list[str]:
    # git prints bytes, and these are read as UTF-8; names of files are as this machine's locale reads them.
    return [
        os.fsdecode(name.encode("utf-8", errors="surrogateescape")) for name in printed.split("\0") if name
    ]


def _join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def _parents(name: str) -> Iterator[str]:
    while name := posixpath.dirname(name):
        yield name
