"""Snapshots of the code folder: the tree of this moment, named by its content."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from slipway.errors import DataError, HostError
from slipway.shell import LocalShell, Result


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """A copy of the code folder: where it is, the hash of its tree, how many files and bytes."""

    folder: Path
    tree: str
    files: int
    size_bytes: int


@dataclass(frozen=True, kw_only=True)
class Revision:
    """What git says of a folder: its commit, whether it differs from that, and how its tracked files do."""

    commit: str | None
    dirty: bool
    diff: str | None


@contextmanager
def take_snapshot(source: Path, workspace: Path) -> Iterator[Snapshot]:
    """Copy the code folder while its hash is computed, so that both are of the same moment.

    What git ignores is left out where the folder is in a git checkout. The copy is removed afterwards.

    Args:
        source: the code folder.
        workspace: where the copy is made.

    Raises:
        DataError: the folder does not exist, or has no files.
    """
    if not source.is_dir():
        raise DataError(f"CODE_DIR is {source}, which is not a folder")
    workspace.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=workspace, prefix="code-") as name:
        folder = Path(name) / "code"
        folder.mkdir()
        entries = [_copy(source, folder, path) for path in list_files(source)]
        if not entries:
            raise DataError(f"CODE_DIR is {source}, which has no files that git does not ignore")
        digest = hashlib.sha256("\0".join(entry for entry, _ in entries).encode(errors="surrogateescape"))
        size = sum(size for _, size in entries)
        yield Snapshot(folder=folder, tree=digest.hexdigest()[:32], files=len(entries), size_bytes=size)


def list_files(source: Path) -> list[Path]:
    """The files and links of a folder, relative and in order; those that git ignores are left out.

    Raises:
        DataError: git is to say what it ignores, and cannot.
    """
    listed = _git(source, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    if not listed.ok and any(
        (folder / ".git").exists() for folder in (source.resolve(), *source.resolve().parents)
    ):
        # Without its rules, what git ignores would be sent: data, weights, secrets.
        raise DataError(
            f"CODE_DIR is {source}, in a git checkout that git cannot read: {listed.stderr.strip()}"
        )
    if listed.ok:
        paths = {Path(name) for name in listed.stdout.split("\0") if name}
    else:
        walked = (Path(top) / name for top, folders, names in os.walk(source) for name in [*folders, *names])
        paths = {path.relative_to(source) for path in walked if path.is_symlink() or path.is_file()}
    return sorted(path for path in paths if (source / path).is_symlink() or (source / path).is_file())


def find_revision(source: Path) -> Revision:
    """The commit that the folder is at, and how its files differ from it."""
    commit = _git(source, "rev-parse", "HEAD")
    if not commit.ok:
        return Revision(commit=None, dirty=False, diff=None)
    changed = _git(source, "status", "--porcelain", "--", ".")
    diff = _git(source, "diff", "--binary", "HEAD", "--", ".")
    return Revision(commit=commit.stdout.strip(), dirty=bool(changed.stdout), diff=diff.stdout or None)


def _git(folder: Path, *words: str) -> Result:
    """Run git; where there is none, that is a failure like others: of use only in a git checkout."""
    argv = ["git", *words]
    try:
        return LocalShell(cwd=folder).run(argv)
    except HostError as error:
        return Result(argv=tuple(argv), exit_code=127, stderr=str(error))


def _copy(source: Path, folder: Path, path: Path) -> tuple[str, int]:
    """Copy one file or link; returns its line in the tree and its size in bytes."""
    target = folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(source / path, target, follow_symlinks=False)
    if target.is_symlink():
        return f"{path}\0link\0{target.readlink()}", 0
    executable = "x" if target.stat().st_mode & 0o100 else "-"
    target.chmod(0o755 if executable == "x" else 0o644)
    content = target.read_bytes()
    return f"{path}\0{executable}\0{hashlib.sha256(content).hexdigest()}", len(content)
