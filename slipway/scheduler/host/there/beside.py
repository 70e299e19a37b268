"""The process beside a job that runs: it warns it, ends it, and writes down how it ended."""
# ruff: noqa: UP006, UP035, UP045 - Python 3.6 has no others

import ctypes
import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Dict, Optional

from . import machine
from .place import began, locked, read_json
from .queue import Job, Queue, Task

# How long a script has that was told to end: SLURM's KillWait.
KILL_WAIT_S = 30.0
# So often it looks at its job's memory, where that is limited or not, and says that it lives.
_LIMITED_S, _LOOK_S, _ALIVE_S = 0.5, 5.0, 20.0
_LAST_S = 2.0
# So long it tries to write down how its job ended: the lock may be another's, the disk full.
_PATIENCE_S, _AGAIN_S = 3600.0, 2.0
_HEARD = {signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
_SET_CHILD_SUBREAPER, _SET_PDEATHSIG = 36, 1


def run(folder: Path, job_id: int, task: Task) -> None:
    """Run a task that the queue has begun, to its end; then whoever waits may begin."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _HEARD)
    queue = Queue(folder)
    # Whoever has begun it holds the lock until that is written down.
    with locked(folder, _PATIENCE_S):
        job = next(one for one in queue.jobs() if one.job_id == job_id)
    # What its script leaves behind is then found below this process, and not below the first one.
    _prctl(_SET_CHILD_SUBREAPER, 1)
    ending = _Watch(job, task).run()
    deadline = time.monotonic() + _PATIENCE_S
    while not _write_down(folder, job, task, ending) and time.monotonic() < deadline:
        time.sleep(_AGAIN_S)
    with locked(folder, _PATIENCE_S):
        queue.dispatch()


def _write_down(folder: Path, job: Job, task: Task, ending: Dict[str, Any]) -> bool:
    """Write down how a task ended; ``False`` where that is not possible now, as on a full disk.

    Where somebody has removed the queue's folder there is nothing to write to.
    """
    if not job.folder.exists():
        return True
    with suppress(OSError), locked(folder, _PATIENCE_S):
        again = job.mark(task, "requeue")
        value = dict(job.state(task), **ending)
        if again.exists() and not job.mark(task, "cancel").exists():
            restarts = value.get("restarts", 0) + 1
            value = {"state": "PENDING", "restarts": restarts}
        job.set(task, value)
        for word in ("stopped", "alive", "requeue"):
            _remove(job.mark(task, word))
        return True
    return False


def _remove(path: Path) -> None:
    with suppress(OSError):
        path.unlink()


def _prctl(option: int, value: int) -> None:
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


class _Watch:
    """One job's script from its start to its end."""

    def __init__(self, job: Job, task: Task) -> None:
        self._job, self._task = job, task
        self._value = job.state(task)
        self._began = time.monotonic()
        limit_s = job.wanted["time_s"]
        self._limit_s = float(limit_s) if limit_s else None
        # Never in the first half of its time.
        self._warn_s = (
            None if self._limit_s is None else self._limit_s - min(job.wanted["grace_s"], self._limit_s / 2)
        )
        self._kill_s: Optional[float] = None
        self._why: Optional[str] = None
        self._peak_bytes = 0
        self._next = {"look": 0.0, "alive": 0.0}
        self._code: Optional[int] = None
        self._cpu_s = 0.0

    def run(self) -> Dict[str, Any]:
        script = self._start()
        if script is None:
            return {"state": "FAILED", "exit_code": 1, "ended": int(time.time())}
        self._script = script.pid
        # By these it is found should this process be killed.
        known = {"script": script.pid, "script_ticks": began(script.pid)}
        with suppress(OSError):
            self._job.set(self._task, dict(self._value, **known))
        while self._code is None:
            heard = signal.sigtimedwait(_HEARD, self._pause_s())
            if heard is not None and heard.si_signo in (signal.SIGTERM, signal.SIGINT):
                # Without a word of `cancel` it is the machine that goes down.
                self._stop("cancelled" if self._is_cancelled() else "node-failure")
            self._fetch()
            self._act(time.monotonic() - self._began)
        script.returncode = self._code
        self._end_rest()
        return self._ending()

    def _start(self) -> Optional[Any]:
        wanted = self._job.wanted
        try:
            with Path(wanted["log"]).open("ab") as log:
                return subprocess.Popen(
                    ["bash", "-l", wanted["script"]],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=self._environment(),
                    cwd=str(Path(wanted["script"]).parent),
                    start_new_session=True,
                    preexec_fn=self._prepare,
                )
        except OSError:
            return None

    def _prepare(self) -> None:
        """What the script's own process does before it becomes bash."""
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        # Should this process be killed, the job is told to end.
        _prctl(_SET_PDEATHSIG, signal.SIGTERM)
        with suppress(OSError):
            # Where memory runs out, a job goes before what the person works with.
            Path("/proc/self/oom_score_adj").write_text("500")
        if self._value.get("cpus"):
            with suppress(OSError):
                os.sched_setaffinity(0, self._value["cpus"])

    def _environment(self) -> Dict[str, str]:
        wanted = self._job.wanted
        own = {
            "SLIPWAY_JOB_ID": str(self._job.job_id),
            "SLIPWAY_RESTARTS": str(self._value.get("restarts", 0)),
            "SLIPWAY_CPUS": str(wanted["cpus"] or ""),
            "SLIPWAY_MEM_MIB": str(wanted["mem_mib"] or ""),
            "SLIPWAY_ARRAY_INDEX": "" if self._task is None else str(self._task),
            "SLIPWAY_STOPPED": str(self._job.mark(self._task, "stopped")),
            "SLIPWAY_REQUEUE": str(self._job.mark(self._task, "requeue")),
            "CUDA_VISIBLE_DEVICES": ",".join(map(str, self._value.get("gpus", []))),
        }
        return dict(os.environ, **own)

    def _is_cancelled(self) -> bool:
        return self._job.mark(self._task, "cancel").exists()

    def _pause_s(self) -> float:
        """Until there is something to do, unless a signal comes."""
        now = time.monotonic() - self._began
        times = [self._next["look"], self._next["alive"]]
        times += [at for at in (self._warn_s, self._limit_s, self._kill_s) if at is not None]
        return max(0.01, min(times) - now)

    def _fetch(self) -> None:
        """Hear of processes that have ended: the script, and what it has left behind."""
        while True:
            try:
                pid, status, used = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self._cpu_s += used.ru_utime + used.ru_stime
            if pid == self._script:
                self._code = -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)

    def _act(self, now: float) -> None:
        if self._warn_s is not None and now >= self._warn_s:
            self._warn_s = None
            self._signal(signal.SIGUSR1)
        if self._limit_s is not None and now >= self._limit_s:
            self._limit_s = None
            self._stop("time-limit")
        if self._kill_s is not None and now >= self._kill_s:
            self._kill_s = None
            for pid in machine.descendants(os.getpid()):
                _kill(pid)
        if now >= self._next["look"]:
            self._next["look"] = now + self._look_at_memory()
        if now >= self._next["alive"]:
            self._next["alive"] = now + _ALIVE_S
            with suppress(OSError):
                self._job.mark(self._task, "alive").touch()

    def _look_at_memory(self) -> float:
        """Note the peak, end what takes more than it may, and say when to look again."""
        pids = machine.descendants(os.getpid())
        used = sum(map(machine.resident_bytes, pids))
        limit_bytes = (self._job.wanted["mem_mib"] or 0) << 20
        if limit_bytes and used > limit_bytes:
            sizes = {pid: machine.own_bytes(pid) for pid in pids}
            used = sum(sizes.values())
            others = {pid: size for pid, size in sizes.items() if pid != self._script}
            if used > limit_bytes and others:
                self._why = self._why or "out-of-memory"
                self._note_why()
                # As the kernel does it: the largest, and what is around it can say what happened.
                _kill(max(others, key=lambda pid: others[pid]))
        self._peak_bytes = max(self._peak_bytes, used)
        return _LIMITED_S if limit_bytes else _LOOK_S

    def _stop(self, why: str) -> None:
        if self._why is None or self._kill_s is None:
            self._why = self._why or why
            self._kill_s = time.monotonic() - self._began + KILL_WAIT_S
            self._note_why()
        self._signal(signal.SIGTERM)

    def _note_why(self) -> None:
        """The script asks for it."""
        with suppress(OSError):
            self._job.mark(self._task, "stopped").write_text(f"{self._why}\n")

    def _signal(self, number: int) -> None:
        # The script passes it on, to the program alone.
        with suppress(OSError):
            os.kill(self._script, number)

    def _end_rest(self) -> None:
        """End what the script has left behind."""
        deadline = time.monotonic() + _LAST_S
        while time.monotonic() < deadline:
            left = machine.descendants(os.getpid())
            if not left:
                return
            for pid in left:
                _kill(pid)
            time.sleep(0.05)
            self._fetch()

    def _ending(self) -> Dict[str, Any]:
        code, why = self._code or 0, self._why
        words = {"time-limit": "TIMEOUT", "cancelled": "CANCELLED", "node-failure": "NODE_FAIL"}
        state = words.get(why or "", "COMPLETED" if code == 0 else "FAILED")
        if code != 0 and state == "FAILED" and (why == "out-of-memory" or self._says_memory()):
            state = "OUT_OF_MEMORY"
        return {
            "state": state,
            "exit_code": max(code, 0),
            "signal": -code if code < 0 else None,
            "ended": int(time.time()),
            "cpu_s": round(self._cpu_s, 2),
            "peak_bytes": self._peak_bytes,
        }

    def _says_memory(self) -> bool:
        """Whether the script says so: a container's engine has limits of its own, which are not seen here."""
        folder = Path(self._job.wanted["script"]).parent
        if self._task is not None:
            folder = folder / f"task-{self._task}"
        result = read_json(folder / "attempt-{}".format(self._value.get("restarts", 0) + 1) / "result.json")
        return (result or {}).get("reason") == "out-of-memory"


def _kill(pid: int) -> None:
    with suppress(OSError):
        os.kill(pid, signal.SIGKILL)
