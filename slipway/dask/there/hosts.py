"""Dask's ``SSHCluster``: scheduler and workers on hosts that are logged in to."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from contextvars import ContextVar
from typing import Any

from distributed import SSHCluster
from distributed.deploy import ssh

from . import place
from .lead import Lead

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


class HostsLead(Lead):
    """A cluster of hosts, whose workers are started again when they or their hosts have ended."""

    def make(self) -> Any:
        """The cluster, not started yet."""
        return make_cluster(self.order)

    async def start(self) -> None:
        """Start all of it; a worker that does not start stops none of the others."""
        try:
            await self.cluster
        except RuntimeError:  # the scheduler has not started
            raise
        except Exception as error:
            logging.warning("not all workers have started: %s", error)
        await self.note_problems()
        if len(self.problems) == len(self.order["workers"]):
            raise ValueError("no worker has started: " + "; ".join(self.problems.values()))

    async def look_after(self) -> None:
        """Start workers again whose process or host has ended."""
        lost = self._lost()
        for number in lost:
            worker = self.cluster.workers.pop(number, None)
            if worker is not None:
                with contextlib.suppress(Exception):
                    await worker.close()
        if lost:
            try:
                await self.cluster._correct_state()
            except Exception as error:
                logging.warning("not all workers that were lost are back: %s", error)

    async def note_problems(self) -> None:
        """Note the last that is known of each worker that does not run."""
        names = [self.order["workers"][number]["options"]["name"] for number in self._lost()]
        self.problems = {name: _LAST.get(name) or "it has not started" for name in names}

    def _lost(self) -> list[int]:
        return [number for number in self.cluster.worker_spec if self._is_lost(number)]

    def _is_lost(self, number: int) -> bool:
        worker = self.cluster.workers.get(number)
        return worker is None or worker.status.name != "running" or worker.has_ended


_LAST: dict[str, str] = {}


class LastWords(logging.Handler):
    """Keeps the last line that each worker has logged while it was started."""

    def emit(self, record: logging.LogRecord) -> None:
        """Keep it."""
        if name := getattr(record, "host", ""):
            _LAST[name] = record.getMessage()


def set_up_logging() -> None:
    """Put the name of its worker before each line that Dask reads while it starts one."""
    handler, last = logging.StreamHandler(), LastWords()
    handler.setFormatter(logging.Formatter("%(asctime)s %(host)s %(message)s"))
    for one in (handler, last):
        one.addFilter(HostFilter())
    logger = logging.getLogger("distributed.deploy.ssh")
    logger.setLevel(logging.INFO)
    logger.handlers, logger.propagate = [handler, last], False
