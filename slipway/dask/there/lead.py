"""The cluster's own process, on its first host: Dask's ``SSHCluster``, until somebody ends it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import time
from contextvars import ContextVar
from typing import Any

from distributed import SSHCluster
from distributed.deploy import ssh

from . import place

_LOOK_S = 1.0
_CLOSE_S = 30.0
# How often it is tried to bring back a worker that was lost.
_AGAIN_S = 20.0
# So long a host may be silent before its workers are given up, and so long a login may take.
_KEEPALIVE = {"keepalive_interval": 15, "keepalive_count_max": 3, "connect_timeout": 20, "login_timeout": 60}
_host: ContextVar[str] = ContextVar("host", default="")


class HostFilter(logging.Filter):
    """Puts the name of the worker before what it logs."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Add it."""
        record.host = _host.get()
        return True


async def _keep(stream: Any, name: str) -> None:
    """Write what a process prints to its log: it stops where nobody reads that."""
    file = place.FOLDER / place.LOGS / f"{name}.log"
    with file.open("a", encoding="utf-8") as log, contextlib.suppress(Exception):
        while line := await stream.readline():
            log.write(line)
            log.flush()


def _read_outputs(process: Any, name: str) -> None:
    for stream in (process.stderr, process.stdout):
        task = asyncio.ensure_future(_keep(stream, name))
        _TASKS.add(task)
        task.add_done_callback(_TASKS.discard)


_TASKS: set[asyncio.Future[None]] = set()


class Scheduler(ssh.Scheduler):  # type: ignore[misc]
    """Dask's own, whose outputs are read for as long as it lives."""

    async def start(self) -> None:
        """Start it."""
        _host.set("scheduler")
        await super().start()
        _read_outputs(self.proc, "scheduler")


class Worker(ssh.Worker):  # type: ignore[misc]
    """The same for a worker."""

    async def start(self) -> None:
        """Start it; what it is called, its arguments say."""
        _host.set(self.kwargs["name"])
        await super().start()
        _read_outputs(self.proc, self.kwargs["name"])

    @property
    def has_ended(self) -> bool:
        """Whether its host has let it go."""
        return self.proc is None or self.proc.exit_status is not None or self.connection.is_closed()


def make_cluster(order: dict[str, Any]) -> Any:
    """The cluster that an order describes, not started yet."""
    workers: list[dict[str, Any]] = order["workers"]
    hosts = [order["scheduler"], *workers]
    cluster = SSHCluster(
        [one["address"] for one in hosts],
        connect_options=[{**_KEEPALIVE, **one["connect"]} for one in hosts],
        worker_options=order["worker_options"],
        scheduler_options=order["scheduler_options"],
        remote_python=[one["python"] for one in hosts],
        asynchronous=True,
    )
    cluster.scheduler_spec["cls"] = Scheduler
    for number, one in enumerate(workers):
        spec = cluster.worker_spec[number]
        spec["cls"] = Worker
        # Dask would call the only worker of each host 0.
        spec["options"] = {**spec["options"], "kwargs": {**order["worker_options"], **one["options"]}}
    return cluster


class Lead:
    """One cluster, from its start to its end."""

    def __init__(self, order: dict[str, Any]) -> None:
        self.order = order
        self.cluster = make_cluster(order)
        self.stop = asyncio.Event()
        self.problems: dict[str, str] = {}
        self.state: dict[str, Any] = {"cluster": order["cluster"], "pid": os.getpid()}
        self.state["lead"] = socket.gethostname()

    async def run(self) -> None:
        """Start it, keep it, end it."""
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self.stop.set)
        self._tell("starting")
        watcher = asyncio.ensure_future(self._watch_for_stop())
        try:
            await self._start()
            while not self.stop.is_set():
                with contextlib.suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(self.stop.wait(), _AGAIN_S)
                await self._bring_back()
        except Exception as error:
            logging.exception("the cluster has failed")
            self._tell("failed", why=f"{error}" or type(error).__name__)
            raise SystemExit(1) from error
        finally:
            watcher.cancel()
            with contextlib.suppress(Exception):
                await asyncio.wait_for(self.cluster.close(), _CLOSE_S)
        self._tell("ended")

    async def _start(self) -> None:
        try:
            await self.cluster
        except RuntimeError:  # the scheduler has not started
            raise
        except Exception as error:
            logging.warning("not all workers have started: %s", error)
        self._note_problems()
        if len(self.problems) == len(self.order["workers"]):
            raise ValueError("no worker has started: " + "; ".join(self.problems.values()))
        self._tell("runs")

    async def _watch_for_stop(self) -> None:
        while not place.is_stopped(self.order["cluster"]):
            await asyncio.sleep(_LOOK_S)
        self.stop.set()

    def _lost(self) -> list[int]:
        return [number for number in self.cluster.worker_spec if self._is_lost(number)]

    def _is_lost(self, number: int) -> bool:
        worker = self.cluster.workers.get(number)
        return worker is None or worker.status.name != "running" or worker.has_ended

    def _name(self, number: int) -> str:
        name: str = self.order["workers"][number]["options"]["name"]
        return name

    async def _bring_back(self) -> None:
        """Start workers again whose process or host has ended."""
        lost = self._lost()
        if not lost or self.stop.is_set():
            return
        for number in lost:
            worker = self.cluster.workers.pop(number, None)
            if worker is not None:
                with contextlib.suppress(Exception):
                    await worker.close()
        try:
            await self.cluster._correct_state()
        except Exception as error:
            logging.warning("not all workers that were lost are back: %s", error)
        self._note_problems()
        self._tell("runs")

    def _note_problems(self) -> None:
        self.problems = {self._name(number): _why(self._name(number)) for number in self._lost()}

    def _tell(self, state: str, **values: Any) -> None:
        self.state.update(state=state, problems=self.problems, time=time.time(), **values)
        if state == "runs":
            self.state["address"] = self.cluster.scheduler.address
        place.write_state(self.state)


def _why(name: str) -> str:
    """The last that is known of a worker that does not run."""
    last = _LAST.get(name)
    return f"{name}: {last}" if last else f"{name}: it has not started"


_LAST: dict[str, str] = {}


class LastWords(logging.Handler):
    """Keeps the last line that each worker has logged while it was started."""

    def emit(self, record: logging.LogRecord) -> None:
        """Keep it."""
        if name := getattr(record, "host", ""):
            _LAST[name] = record.getMessage()


def main() -> None:
    """Lead the cluster of the order."""
    (place.FOLDER / place.LOGS).mkdir(exist_ok=True)
    handler, last = logging.StreamHandler(), LastWords()
    handler.setFormatter(logging.Formatter("%(asctime)s %(host)s %(message)s"))
    for one in (handler, last):
        one.addFilter(HostFilter())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logger = logging.getLogger("distributed.deploy.ssh")
    logger.setLevel(logging.INFO)
    logger.handlers, logger.propagate = [handler, last], False
    asyncio.run(_run())


async def _run() -> None:
    await Lead(place.read(place.ORDER)).run()
