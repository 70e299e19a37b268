"""The jobs of the queue: their files, who waits for what, and who begins next."""
# ruff: noqa: PTH208, RUF005, UP006, UP035, UP045 - Python 3.6 has no others

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Tuple

from . import machine
from .place import QueueError, began, boot, hostname, is_alive, read_json, write_json

PENDING, RUNNING, OVER = (
    "PENDING",
    "RUNNING",
    ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "OUT_OF_MEMORY", "NODE_FAIL"),
)
_FORGOTTEN_S = 30 * 86400
# What is beside a job says every 20 s that it lives; the script has 30 s from its end on.
_UNWATCHED_S = 50.0
_ID = re.compile(r"([0-9]{1,18})(?:_([0-9]{1,9}))?")
_NUMBER = re.compile("[0-9]{1,18}")
_CONDITION = re.compile(r"(after|afterany|afterok|afternotok):([0-9:]+)")
Task = Optional[int]
Value = Dict[str, Any]


class Job(NamedTuple):
    """A job: its folder, its id, its name, and what was asked for."""

    folder: Path
    job_id: int
    name: str
    wanted: Value

    @property
    def tasks(self) -> List[Task]:
        """The indices of its tasks; one ``None`` where it is no array."""
        return list(self.wanted["tasks"]) or [None]

    def file(self, task: Task) -> Path:
        """Where it is written how a task stands."""
        return self.folder / ("state" if task is None else f"state-{task}")

    def state(self, task: Task) -> Value:
        """How a task stands."""
        return read_json(self.file(task)) or {"state": PENDING}

    def set(self, task: Task, value: Value) -> None:
        """Write down how a task stands."""
        write_json(self.file(task), value)

    def mark(self, task: Task, word: str) -> Path:
        """A file by which one process tells another what it wants of a task, or why it was stopped."""
        return self.folder / "{}{}".format(word, "" if task is None else f"-{task}")


class Queue:
    """All jobs of one user on one machine. Every method is called under the queue's lock."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._boot = boot()

    def submit(self, wanted: Value) -> int:
        """Take a job, and give it its id.

        Raises:
            QueueError: it could never begin here.
        """
        self._refuse(wanted)
        settings = {"places": wanted.pop("places")}
        if settings != read_json(self.folder / "settings.json"):
            write_json(self.folder / "settings.json", settings)
        numbers = [job_id for job_id, _, _ in self._folders()]
        job_id = max(numbers + [int((read_json(self.folder / "last.json") or {}).get("id", 0))]) + 1
        write_json(self.folder / "last.json", {"id": job_id})
        folder = self.folder / "jobs" / "{}.{}".format(job_id, wanted["name"])
        part = folder.with_name("." + folder.name)
        shutil.rmtree(str(part), ignore_errors=True)
        try:
            part.mkdir(mode=0o700)
            write_json(part / "job.json", dict(wanted, submitted=int(time.time())))
            part.rename(folder)
        except OSError:
            shutil.rmtree(str(part), ignore_errors=True)
            raise
        return job_id

    def attempt(self, wanted: Value) -> Optional[str]:
        """What a job would wait for that is not submitted; ``None`` where it would begin at once.

        Raises:
            QueueError: it could never begin here.
        """
        self._refuse(wanted)
        self.dispatch()
        return Room(self).lacks(Job(self.folder, 0, wanted["name"], wanted))

    def _refuse(self, wanted: Value) -> None:
        if wanted["gpus"]:
            there = [gpu for gpu in machine.gpus() if _is_of(gpu, wanted)]
            if wanted["gpus"] > len(there):
                kind = " of type {}".format(wanted["gpu_type"]) if wanted["gpu_type"] else ""
                words = "{} GPUs{} are asked for, and {} has {}"
                raise QueueError(words.format(wanted["gpus"], kind, hostname(), len(there)))
        there_bytes = machine.memory_bytes()
        if wanted["mem_mib"] and wanted["mem_mib"] * (1 << 20) > there_bytes:
            words = "{} MiB of memory are asked for, and {} has {}"
            raise QueueError(words.format(wanted["mem_mib"], hostname(), there_bytes >> 20))
        cpus = len(machine.processors())
        if wanted["cpus"] and wanted["cpus"] > cpus:
            raise QueueError("{} cpus are asked for, and {} has {}".format(wanted["cpus"], hostname(), cpus))
        if wanted["dependency"]:
            for _, job_id in _conditions(wanted["dependency"]):
                if self._find(job_id) is None:
                    raise QueueError("dependency {}: there is no job {}".format(wanted["dependency"], job_id))

    def jobs(self, kind: str = "jobs") -> Iterator[Job]:
        """The jobs that are not over, or those of ``done``, in the order in which they came."""
        for job_id, name, folder in self._folders(kind):
            wanted = read_json(folder / "job.json")
            if wanted is not None:
                yield Job(folder, job_id, name, wanted)

    def _folders(self, kind: str = "jobs") -> List[Tuple[int, str, Path]]:
        found = []
        for one in os.listdir(str(self.folder / kind)):
            number, dot, name = one.partition(".")
            if dot and _NUMBER.fullmatch(number):
                found.append((int(number), name, self.folder / kind / one))
        return sorted(found)

    def _find(self, job_id: int) -> Optional[Job]:
        for kind in ("jobs", "done"):
            for number, name, folder in self._folders(kind):
                wanted = read_json(folder / "job.json") if number == job_id else None
                if wanted is not None:
                    return Job(folder, number, name, wanted)
        return None

    def find(self, names: List[str]) -> List[Job]:
        """The jobs of these names, or all that are not over for none."""
        if not names:
            return list(self.jobs())
        some = set(names)
        return [
            Job(folder, number, name, wanted)
            for kind in ("jobs", "done")
            for number, name, folder in self._folders(kind)
            if name in some
            for wanted in [read_json(folder / "job.json")]
            if wanted is not None
        ]

    def cancel(self, words: List[str], only_waiting: bool) -> List[str]:
        """Cancel jobs, or tasks of them (``ID_TASK``); those that are over are no trouble.

        Returns:
            Those that are not known.
        """
        unknown = []
        for word in words:
            match = _ID.fullmatch(word)
            job = self._find(int(match.group(1))) if match else None
            if match is None or job is None:
                unknown.append(word)
                continue
            some = [int(match.group(2))] if match.group(2) else job.tasks
            for task in some:
                self._cancel(job, task, only_waiting)
        return unknown

    def _cancel(self, job: Job, task: Task, only_waiting: bool) -> None:
        value = job.state(task)
        if value["state"] == PENDING:
            now = int(time.time())
            job.set(task, dict(value, state="CANCELLED", ended=now))
        elif value["state"] == RUNNING and not only_waiting:
            job.mark(task, "cancel").touch()
            with suppress(OSError):
                if is_alive(value.get("pid"), value.get("ticks")):
                    os.kill(value["pid"], signal.SIGTERM)
                elif is_alive(value.get("script"), value.get("script_ticks")):
                    os.kill(value["script"], signal.SIGTERM)

    def settle(self) -> None:
        """Write down how those ended whose process is gone without a word, and put away what is over."""
        for job in list(self.jobs()):
            values = {task: job.state(task) for task in job.tasks}
            for task, value in values.items():
                if value["state"] != RUNNING:
                    continue
                if not self._runs(value):
                    values[task] = self._gone(job, task, value)
                elif not is_alive(value.get("pid"), value.get("ticks")):
                    self._end_unwatched(job, task, value["script"])
            if all(value["state"] in OVER for value in values.values()):
                job.folder.rename(self.folder / "done" / job.folder.name)
        self._forget()

    def _runs(self, value: Value) -> bool:
        if value.get("boot") != self._boot:
            return False
        pairs = (("pid", "ticks"), ("script", "script_ticks"))
        return any(is_alive(value.get(pid), value.get(ticks)) for pid, ticks in pairs)

    def _end_unwatched(self, job: Job, task: Task, script: int) -> None:
        """End a script that was told to end when what is beside it was killed, and has had its time."""
        last = job.mark(task, "alive")
        if last.exists() and time.time() - last.stat().st_mtime < _UNWATCHED_S:
            return
        below = machine.descendants(script)
        with suppress(OSError):
            os.killpg(script, signal.SIGKILL)
        for pid in below:
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)

    def _gone(self, job: Job, task: Task, value: Value) -> Value:
        """A machine that was started anew has lost its jobs; else what looked after this one was killed."""
        is_lost = value.get("boot") != self._boot
        last = job.mark(task, "alive")
        ended = int(last.stat().st_mtime) if last.exists() else value.get("started", int(time.time()))
        if job.mark(task, "cancel").exists():
            value = dict(value, state="CANCELLED", ended=ended)
        elif is_lost:
            value = dict(value, state="NODE_FAIL", ended=ended)
        else:
            value = dict(value, state="FAILED", signal=9, exit_code=0, ended=ended)
        job.set(task, value)
        return value

    def _forget(self) -> None:
        """Remove what has been over for a month."""
        for _, _, folder in self._folders("done"):
            with suppress(OSError):
                if time.time() - folder.stat().st_mtime > _FORGOTTEN_S:
                    shutil.rmtree(str(folder), ignore_errors=True)

    def dispatch(self) -> Dict[Tuple[int, Task], str]:
        """Begin the jobs for which there is a place.

        Returns:
            Why the others wait, by their ids and tasks.
        """
        self.settle()
        room = Room(self)
        waits = {}
        for job in self.jobs():
            for task in job.tasks:
                value = job.state(task)
                if value["state"] != PENDING:
                    continue
                why = self._unmet(job) or room.lacks(job)
                if why == _NEVER:
                    job.set(task, dict(value, state="CANCELLED", ended=int(time.time()), note=_NEVER))
                elif why:
                    waits[job.job_id, task] = why
                else:
                    problem = self._try_to_begin(job, task, value, room)
                    if problem:
                        waits[job.job_id, task] = problem
        return waits

    def _unmet(self, job: Job) -> Optional[str]:
        """What a job's dependency still waits for."""
        for kind, job_id in _conditions(job.wanted["dependency"] or ""):
            other = self._find(job_id)
            states = [other.state(task)["state"] for task in other.tasks] if other else []
            if kind == "after":
                if any(state == PENDING for state in states):
                    return "Dependency"
                continue
            if any(state not in OVER for state in states):
                return "Dependency"
            good = bool(states) and all(state == "COMPLETED" for state in states)
            if (kind == "afterok" and not good) or (kind == "afternotok" and good):
                return _NEVER
        return None

    def _try_to_begin(self, job: Job, task: Task, value: Value, room: "Room") -> Optional[str]:
        """Begin a job, or say why that is not possible now: a full disk, too many processes."""
        try:
            self._begin(job, task, value, room)
        except OSError as error:
            return error.strerror or str(error)
        return None

    def _begin(self, job: Job, task: Task, value: Value, room: "Room") -> None:
        given = room.take(job)
        argv = [sys.executable, "-ES", sys.argv[0], "run", str(self.folder), str(job.job_id)]
        process = subprocess.Popen(
            argv + ([] if task is None else [str(task)]),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            cwd="/",
        )
        _STARTED.append(process)
        began_with = {"pid": process.pid, "ticks": began(process.pid), "boot": self._boot}
        value = dict(value, state=RUNNING, started=int(time.time()), node=hostname(), **began_with, **given)
        try:
            job.mark(task, "alive").touch()
            job.set(task, value)
        except OSError:
            # What is not written down would be begun once more. It waits for the lock, and has begun nothing.
            process.kill()
            process.wait()
            raise


# Whoever has started processes lets them go when it ends, without a word about them.
_STARTED: List[Any] = []
_NEVER = "DependencyNeverSatisfied"


class Room:
    """What is free: places, GPUs, processors and memory."""

    def __init__(self, queue: Queue) -> None:
        self._running: List[Tuple[Job, Value]] = []
        for job in queue.jobs():
            values = (job.state(task) for task in job.tasks)
            self._running += [(job, value) for value in values if value["state"] == RUNNING]
        self._places = (read_json(queue.folder / "settings.json") or {}).get("places")
        self._gpus: Optional[List[machine.Gpu]] = None
        self._gpus_wait = False

    @property
    def places(self) -> int:
        """How many jobs may run at once."""
        return self._places or max(1, len(self.gpus))

    @property
    def running(self) -> List[Value]:
        """How those stand that run."""
        return [value for _, value in self._running]

    @property
    def gpus(self) -> List[machine.Gpu]:
        """The machine's."""
        if self._gpus is None:
            self._gpus = machine.gpus()
        return self._gpus

    def lacks(self, job: Job) -> Optional[str]:
        """What a job waits for, or ``None`` where it may begin."""
        wanted = job.wanted
        own = sum(1 for other, _ in self._running if other.job_id == job.job_id)
        if wanted["throttle"] and own >= wanted["throttle"]:
            return "JobArrayTaskLimit"
        if len(self._running) >= self.places:
            return f"Places ({len(self._running)} of {self.places} are taken)"
        if wanted["mem_mib"]:
            given = sum(other.wanted["mem_mib"] or 0 for other, _ in self._running)
            if (given + wanted["mem_mib"]) * (1 << 20) > machine.memory_bytes():
                return f"Memory ({given} MiB are given away)"
        # Who wants several GPUs would wait for ever if others went before them.
        if wanted["gpus"] and (self._gpus_wait or len(self._free_gpus(wanted)) < wanted["gpus"]):
            self._gpus_wait = True
            return f"GPUs ({len(self._free_gpus(wanted))} of {len(self.gpus)} are free)"
        return None

    def take(self, job: Job) -> Value:
        """Give a job its place."""
        free = [gpu.number for gpu in self._free_gpus(job.wanted)] if job.wanted["gpus"] else []
        given = {"gpus": free[: job.wanted["gpus"]], "cpus": self._least_used(job.wanted["cpus"])}
        self._running.append((job, given))
        return given

    def _free_gpus(self, wanted: Value) -> List[machine.Gpu]:
        taken = {index for _, value in self._running for index in value.get("gpus", [])}
        return [
            gpu for gpu in self.gpus if not gpu.is_used and gpu.number not in taken and _is_of(gpu, wanted)
        ]

    def _least_used(self, count: Optional[int]) -> List[int]:
        """So many processors, those first that the fewest jobs have."""
        if not count:
            return []
        taken = [number for _, value in self._running for number in value.get("cpus", [])]
        return sorted(sorted(machine.processors(), key=lambda one: (taken.count(one), one))[:count])


def _is_of(gpu: machine.Gpu, wanted: Value) -> bool:
    """Whether a GPU is of the type that is asked for: ``a100`` for an "NVIDIA A100-SXM4-80GB"."""
    kind = wanted["gpu_type"]
    return not kind or re.sub(r"\W", "", kind).lower() in re.sub(r"\W", "", gpu.name).lower()


def _conditions(dependency: str) -> List[Tuple[str, int]]:
    found = []
    for part in filter(None, dependency.split(",")):
        match = _CONDITION.fullmatch(part)
        if match is None:
            known = "after, afterany, afterok and afternotok, with ids of jobs"
            raise QueueError(f"dependency {dependency}: only {known} are known here")
        found += [(match.group(1), int(number)) for number in match.group(2).split(":") if number]
    return found
