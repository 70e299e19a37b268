"""What there is of a run here: its attempts and files. No link is followed, and nothing fails by it."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from io import BufferedReader
from pathlib import Path

from slipway.job import attempts as of_job
from slipway.job.ending import ScriptResult
from slipway.job.run import Run
from slipway.text.wording import short

_MOST_FILES = 20_000
_MOST_ATTEMPTS = 400
# Beside poses.csv, what the payload writes for Gaussian splatting, NeRF and viewers of meshes: images again,
# and cameras. Elsewhere such names are a program's own.
_BESIDE = "poses.csv"
_FOR_PROGRAMS = re.compile(r"undistorted/.*|transforms\.json|cameras\.ply")


@dataclass(frozen=True, kw_only=True)
class File:
    """A regular file that a run has left.

    Attributes:
        path: where it is.
        name: as the program knows it: in ``out/``, with the task of an array before it.
        link: its path from the run's folder.
        size_bytes: its size.
    """

    path: Path
    name: str
    link: str
    size_bytes: int

    @property
    def folder(self) -> str:
        """The folder that it lies in, of its name."""
        return self.name.rpartition("/")[0]

    @property
    def stem(self) -> str:
        """Its name without folder and ending."""
        return self.base.rpartition(".")[0]

    @property
    def base(self) -> str:
        """Its name without folder."""
        return self.name.rpartition("/")[2]


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One attempt of a run or of a task: its folder, and how the job script says that it ended."""

    number: int
    task: int | None
    folder: Path
    result: ScriptResult | None

    @property
    def name(self) -> str:
        """How it is called to a person."""
        return f"attempt {self.number}" if self.task is None else f"task {self.task}, attempt {self.number}"


@dataclass(frozen=True, kw_only=True)
class Found:
    """A run and what was brought home of it.

    Attributes:
        run: the record.
        folder: ``results/<run>``, whether it is there or not.
        attempts: in the order of tasks and numbers.
        files: the output of each task's last attempt, by name.
        notes: what was left out.
    """

    run: Run
    folder: Path
    attempts: Sequence[Attempt] = ()
    files: Sequence[File] = ()
    notes: list[str] = field(default_factory=list)

    @property
    def is_home(self) -> bool:
        """Whether anything of it was brought home."""
        return (self.folder / "run.json").is_file()

    @property
    def shown(self) -> list[File]:
        """The files that are not for other programs alone."""
        homes = [file.name.removesuffix(_BESIDE) for file in self.files if file.base == _BESIDE]
        return [
            file
            for file in self.files
            if not any(
                file.name.startswith(home) and _FOR_PROGRAMS.fullmatch(file.name, len(home)) for home in homes
            )
        ]

    def with_ending(self, *endings: str) -> list[File]:
        """Files for people by the ends of their names, in lower case."""
        return [file for file in self.shown if file.name.lower().endswith(endings)]


def look(run: Run, folder: Path) -> Found:
    """Look through a run's folder; one that is not there has nothing in it."""
    notes: list[str] = []
    attempts = _attempts(folder)
    if len(attempts) > _MOST_ATTEMPTS:
        notes.append(f"{len(attempts) - _MOST_ATTEMPTS:,} more attempts are not looked at")
        attempts = attempts[:_MOST_ATTEMPTS]
    files: list[File] = []
    for attempt in {one.task: one for one in attempts}.values():
        files += _files(folder, attempt, _MOST_FILES - len(files), notes)
    return Found(run=run, folder=folder, attempts=attempts, files=files, notes=notes)


def _attempts(folder: Path) -> list[Attempt]:
    return [
        Attempt(number=one.number, task=one.task, folder=_attempt_folder(folder, one), result=one.result)
        for one in of_job.read_attempts_here(folder)
    ]


def _attempt_folder(folder: Path, attempt: of_job.Attempt) -> Path:
    of_task = folder if attempt.task is None else folder / f"task-{attempt.task}"
    return of_task / f"attempt-{attempt.number}"


def _files(home: Path, attempt: Attempt, most: int, notes: list[str]) -> list[File]:
    out = attempt.folder / "out"
    prefix = "" if attempt.task is None else f"task-{attempt.task}/"
    files: list[File] = []
    for path, status in _walk(out):
        if not stat.S_ISREG(status.st_mode):
            continue
        if len(files) >= most:
            notes.append(f"there are more than {_MOST_FILES:,} files; those after {short(path)} are left out")
            break
        name = prefix + path.relative_to(out).as_posix()
        link = path.relative_to(home).as_posix()
        files.append(File(path=path, name=name, link=link, size_bytes=status.st_size))
    return files


def _walk(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """What is below a folder, by name: a folder's files before those of the folders in it."""
    if folder.is_symlink():
        return
    waiting = [folder]
    while waiting:
        below = []
        for entry in sorted(_scan(waiting.pop()), key=lambda one: one.name):
            try:
                status = entry.stat(follow_symlinks=False)
            except OSError:
                continue
            if stat.S_ISDIR(status.st_mode):
                below.append(Path(entry.path))
            else:
                yield Path(entry.path), status
        waiting += reversed(below)


def _scan(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            return list(found)
    except OSError:
        return []


def open_regular(path: Path) -> BufferedReader:
    """A regular file, opened through no link, to read bytes from.

    Raises:
        OSError: it is something else, or cannot be read.
    """
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError("it is no regular file")
    return os.fdopen(descriptor, "rb")
