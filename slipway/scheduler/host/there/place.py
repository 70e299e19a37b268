"""Where the queue of one user on one machine lies, and its lock."""
# ruff: noqa: PTH111, PTH118, UP006, UP035, UP045 - Python 3.6 has no others

import fcntl
import json
import os
import socket
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Dict, Iterator, Optional

PATIENCE_S = 60.0
_LOOK_S = 0.05


class QueueError(Exception):
    """What cannot be done, in words for the person."""


def hostname() -> str:
    """This machine's name, without its domain."""
    return socket.gethostname().partition(".")[0] or "localhost"


def queue_folder() -> Path:
    """The queue's folder, made where it is missing; several machines may share a home folder."""
    state = os.environ.get("XDG_STATE_HOME") or os.path.join(os.path.expanduser("~"), ".local", "state")
    folder = Path(state, "slipway", "queue", hostname())
    try:
        for one in (folder, folder / "jobs", folder / "done"):
            one.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise QueueError(f"the queue's folder {folder} cannot be made: {error.strerror}") from error
    return folder


@contextmanager
def locked(folder: Path, patience_s: float = PATIENCE_S) -> Iterator[None]:
    """Hold the queue's lock.

    Raises:
        QueueError: another process has held it for so long.
    """
    deadline = time.monotonic() + patience_s
    with (folder / "lock").open("a") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    words = "another process holds {} for {:g} s; try again"
                    raise QueueError(words.format(folder / "lock", patience_s)) from None
                time.sleep(_LOOK_S)
        yield


def read_json(path: Path) -> Optional[Dict[str, Any]]:
    """A file's value; ``None`` where there is no such file, or it is cut off, as after a power cut."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def write_json(path: Path, value: Dict[str, Any]) -> None:
    """Write a file as a whole, so that nobody sees half of it."""
    part = path.with_name("." + path.name + ".part")
    with part.open("w", encoding="utf-8") as file:
        json.dump(value, file)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def boot() -> str:
    """What is another one after the machine, or a container in its place, was started anew."""
    try:
        identity = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        identity = "unknown"
    return f"{identity} {began(1) or 0}"


def began(pid: int) -> Optional[int]:
    """When a process began, in ticks since the machine did; ``None`` where there is no such process."""
    try:
        fields = Path("/proc", str(pid), "stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    # What has ended and was not fetched yet is no process any more.
    return None if fields[0] in ("Z", "X") else int(fields[19])


def is_alive(pid: Any, ticks: Any) -> bool:
    """Whether that very process runs: ids are given again."""
    return isinstance(pid, int) and pid > 0 and began(pid) == ticks and ticks is not None
