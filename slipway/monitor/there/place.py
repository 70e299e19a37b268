"""The folder of one monitor: who holds it, whether that one lives, and how it is told to stop.

Two that run at once do no harm, since each try is claimed. The lock is there so that nobody has to wonder.
"""
# ruff: noqa: PTH115, UP006, UP035, UP045 - Python 3.6 has no others

import json
import os
import re
import secrets
import socket
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Dict, NamedTuple, Optional

from .slurm import run

# A holder writes down that it lives so often; whose last sign is as old as this, on another machine, is dead.
BEAT_S, DEAD_S = 10.0, 120.0
_TRIES = 10
_HOLDER = re.compile(r"(?P<host>\S+) (?P<pid>[0-9]{1,18}) (?P<began>[0-9]{1,18}) (?P<job>\S+)")


class Holder(NamedTuple):
    """A process that holds the folder.

    Attributes:
        host: its machine.
        pid: its id there.
        began: when it was started, in the kernel's clock.
        job: its job's id; ``-`` where it runs in none.
    """

    host: str
    pid: int
    began: int
    job: str

    @property
    def word(self) -> str:
        """As the link has it."""
        return f"{self.host} {self.pid} {self.began} {self.job}"

    @property
    def shown(self) -> str:
        """For a person."""
        job = "" if self.job == "-" else f"job {self.job} on "
        return f"{job}{self.host}, process {self.pid}"


def me() -> Holder:
    """This process."""
    job = os.environ.get("SLURM_JOB_ID") or "-"
    return Holder(socket.gethostname(), os.getpid(), _began(os.getpid()) or 0, job)


def _began(pid: int) -> Optional[int]:
    """When a process of this machine was started; ``None`` where there is none."""
    try:
        stat = Path("/proc", str(pid), "stat").read_bytes()
    except OSError:
        return None
    # The name of the program, in brackets, may have anything in it.
    return int(stat.rpartition(b")")[2].split()[19])


class Place:
    """The folder of one monitor, below the folder of scratch that is the current one."""

    def __init__(self, name: str) -> None:
        self.folder = Path("monitors", name)
        self.lock = self.folder / "lock"
        self.log = self.folder / "log"
        self.order = self.folder / "order.json"
        self.script = self.folder / "job.sh"
        self._ended = self.folder / "ended.json"
        self._stop = self.folder / "stop"
        self._beat = self.folder / "beat"
        self._job = self.folder / "job"

    # ---- Who holds it ------------------------------------------------------------------------------

    def take(self, mine: Holder) -> Optional[Holder]:
        """Take the folder; who holds it, where somebody else does, who lives."""
        for _ in range(_TRIES):
            with suppress(FileExistsError):
                self.beat()
                self.lock.symlink_to(mine.word)
                return None
            holder = self.holder()
            if holder is not None and holder != mine and self.lives(holder, mine.job):
                return holder
            self._put_away(holder)
        return self.holder()

    def _put_away(self, dead: Optional[Holder]) -> None:
        """Remove the lock of one that is dead, and no other."""
        aside = self.folder / f".lock-{secrets.token_hex(4)}"
        with suppress(FileNotFoundError):
            self.lock.replace(aside)
            found = os.readlink(str(aside))
            aside.unlink()
            if dead is not None and found != dead.word:
                with suppress(FileExistsError):
                    self.lock.symlink_to(found)

    def release(self, mine: Holder) -> None:
        """Give the folder free, if it is this one's."""
        if self.holder() == mine:
            self.lock.unlink()

    def holder(self) -> Optional[Holder]:
        """Who holds it, dead or alive."""
        try:
            found = _HOLDER.fullmatch(os.readlink(str(self.lock)))
        except OSError:
            return None
        return Holder(found["host"], int(found["pid"]), int(found["began"]), found["job"]) if found else None

    def lives(self, holder: Holder, own_job: str = "-") -> bool:
        """Whether a holder lives, as far as that can be told from this machine."""
        if holder.host == socket.gethostname():
            return _began(holder.pid) == holder.began
        if holder.job != "-" and (holder.job == own_job or job_state(holder.job) == ""):
            # The same job was begun again elsewhere, or SLURM does not know it any more.
            return False
        return self._silent_s() < DEAD_S

    def beat(self) -> None:
        """Give a sign of life."""
        self._beat.touch()

    def _silent_s(self) -> float:
        """For how long nobody has given a sign of life, by the clock of whoever serves the files."""
        probe = self.folder / f".probe-{secrets.token_hex(4)}"
        try:
            probe.touch()
            return probe.stat().st_mtime - self._beat.stat().st_mtime
        except OSError:
            return DEAD_S
        finally:
            with suppress(OSError):
                probe.unlink()

    def keep_beating(self) -> None:
        """Give signs of life until this process ends, also while SLURM lets it wait."""

        def go_on() -> None:
            while True:
                time.sleep(BEAT_S)
                with suppress(OSError):
                    self.beat()

        threading.Thread(target=go_on, daemon=True).start()

    # ---- How it stands -----------------------------------------------------------------------------

    def begin(self, order: Path) -> None:
        """Make a new beginning with an order; the last log is kept beside the new one."""
        for path in (self._ended, self._stop, self._job):
            with suppress(FileNotFoundError):
                path.unlink()
        with suppress(FileNotFoundError):
            self.log.replace(self.folder / "log.old")
        order.replace(self.order)
        self.log.touch(mode=0o600)

    def go_on(self) -> None:
        """Go on where an earlier job of it has ended."""
        for path in (self._ended, self._stop):
            with suppress(FileNotFoundError):
                path.unlink()

    def write_job(self, job_id: str) -> None:
        """Write down which job does the work, or will."""
        _write(self._job, job_id)

    def end(self, why: str, words: str = "") -> None:
        """Write down that all is over, and why."""
        _write(self._ended, json.dumps({"why": why, "words": words}))

    def ask_to_stop(self) -> None:
        """Have whoever holds it stop, wherever it runs."""
        self._stop.touch()

    @property
    def is_to_stop(self) -> bool:
        """True where somebody wants it to stop."""
        return self._stop.exists()

    @property
    def job(self) -> str:
        """The job that does the work, or will; nothing where there is none."""
        try:
            return self._job.read_text(encoding="ascii").strip()
        except (OSError, ValueError):
            return ""

    def state(self) -> Dict[str, Any]:
        """How it stands: ``runs``, ``waits``, ``ended``, ``dead`` or ``none``; who holds it; why it ended."""
        holder, job = self.holder(), self.job
        values: Dict[str, Any] = {"state": "none", "job": job, "where": holder.shown if holder else ""}
        if holder is not None and self.lives(holder):
            return dict(values, state="runs")
        state = job_state(job) if job else ""
        if state == "PENDING" or (state and holder is None):
            return dict(values, state="waits")
        try:
            ended = json.loads(self._ended.read_bytes().decode("utf-8"))
            return dict(values, state="ended", **ended)
        except (OSError, ValueError):
            return dict(values, state="dead") if holder or job else values


def job_state(job_id: str) -> Optional[str]:
    """SLURM's word for how a job stands; nothing where it is none that goes on; ``None`` if nobody says."""
    done = run(["squeue", "--noheader", f"--jobs={job_id}", "--format=slipway|%T"], timeout_s=60)
    if done.code:
        return "" if "nvalid job id" in done.stderr else None
    found = [
        line.partition("|")[2].strip() for line in done.stdout.splitlines() if line.startswith("slipway|")
    ]
    return found[0] if found else ""


def _write(path: Path, text: str) -> None:
    part = path.with_name(f".{path.name}-{secrets.token_hex(4)}")
    part.write_text(text, encoding="utf-8")
    part.replace(path)
