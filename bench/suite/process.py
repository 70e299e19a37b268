"""Programs of this machine: their time, what they read, their memory, the disk that they take."""

from __future__ import annotations

import os
import resource
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from bench.suite.figure import Taken

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_SAMPLE_S = 0.1
_DISK_SAMPLE_S = 1.0


def run(argv: Sequence[str], *, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> str:
    """Run a program that has to succeed; what it printed."""
    return timed(argv, cwd=cwd, env=env)[1]


def timed(
    argv: Sequence[str], *, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> tuple[Taken, str]:
    """Run a program that has to succeed: its seconds and the bytes that it has read, and what it printed."""
    environment = {**os.environ, "SSH_AUTH_SOCK": "", **(env or {})}
    began = time.perf_counter()
    with subprocess.Popen(
        argv,
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        said = process.stdout.read().decode(errors="replace")
        # It has ended, and the kernel has its counters as long as nobody has asked for its exit code.
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        took_s, read_bytes = time.perf_counter() - began, _read_bytes(process.pid)
        before = _processor_s()
    if process.returncode:
        raise SystemExit(f"{' '.join(argv)} ended with {process.returncode}:\n{said}")
    return Taken(seconds=took_s, processor_s=_processor_s() - before, read_bytes=read_bytes), said


def _processor_s() -> float:
    """Seconds of a processor, of all children that were waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _read_bytes(pid: int) -> int | None:
    """All that a process and the children it waited for have read; ``None`` where the kernel does not say."""
    with suppress(OSError, ValueError, IndexError):
        line = Path(f"/proc/{pid}/io").read_text(encoding="ascii").splitlines()[0]
        return int(line.removeprefix("rchar:"))
    return None


class Watch:
    """Looks at memory and disk while something goes on.

    Args:
        containers: the processes of containers that count, at any moment.
        folders: whose growth counts.
    """

    def __init__(self, containers: Callable[[], Iterable[int]], folders: Sequence[Path]) -> None:
        self._containers, self._folders = containers, folders
        self._end = threading.Event()
        self.memory_bytes = 0
        self._least = disk_bytes(folders)
        self._most = self._least
        self._threads = [threading.Thread(target=look, daemon=True) for look in (self._memory, self._disk)]

    def __enter__(self) -> Watch:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join()
        self._most = max(self._most, disk_bytes(self._folders))

    @property
    def disk_bytes(self) -> int:
        """The most that the folders have grown by."""
        return self._most - self._least

    def _memory(self) -> None:
        own = os.getpid()
        while not self._end.wait(_SAMPLE_S):
            roots = [pid for pid, (parent, _) in _processes().items() if parent == own]
            self.memory_bytes = max(self.memory_bytes, _memory_of([*roots, *self._containers()]))

    def _disk(self) -> None:
        while not self._end.wait(_DISK_SAMPLE_S):
            self._most = max(self._most, disk_bytes(self._folders))


def disk_bytes(folders: Sequence[Path]) -> int:
    """What is on the disk in folders; what goes away meanwhile does not count."""
    argv = ["du", "-s", "--block-size=1", *(str(folder) for folder in folders if folder.exists())]
    if len(argv) == 3:
        return 0
    said = subprocess.run(argv, capture_output=True, text=True, check=False).stdout
    return sum(int(line.split()[0]) for line in said.splitlines())


def _memory_of(roots: Iterable[int]) -> int:
    known = _processes()
    children: dict[int, list[int]] = {}
    for pid, (parent, _) in known.items():
        children.setdefault(parent, []).append(pid)
    found, waiting = set[int](), list(roots)
    while waiting:
        pid = waiting.pop()
        if pid in known and pid not in found:
            found.add(pid)
            waiting += children.get(pid, [])
    return sum(known[pid][1] for pid in found)


def _processes() -> dict[int, tuple[int, int]]:
    """All processes: the parent's number, and the memory that is theirs alone and shared."""
    found = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with suppress(OSError, ValueError, IndexError):
                words = (
                    (folder / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
                )
                found[int(folder.name)] = (int(words[1]), int(words[21]) * _PAGE_BYTES)
    return found
