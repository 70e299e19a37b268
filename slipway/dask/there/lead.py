"""The cluster's own process, on its first host or the login node: it lives until somebody ends it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import time
from typing import Any

from . import place

_LOOK_S = 1.0
_CLOSE_S = 30.0
# How often it is looked whether a worker was lost.
_AGAIN_S = 20.0


class Lead:
    """One cluster, from its start to its end; how its workers are started, a derived class knows."""

    def __init__(self, order: dict[str, Any]) -> None:
        self.order = order
        self.cluster = self.make()
        self.stop = asyncio.Event()
        self.problems: dict[str, str] = {}
        self.state: dict[str, Any] = {"cluster": order["cluster"], "pid": os.getpid()}
        self.state["lead"] = socket.gethostname()

    def make(self) -> Any:
        """The cluster, not started yet."""
        raise NotImplementedError

    async def start(self) -> None:
        """Start it."""
        raise NotImplementedError

    async def look_after(self) -> None:
        """Do what is to be done from time to time."""
        raise NotImplementedError

    async def note_problems(self) -> None:
        """Note what is known of workers that do not run."""
        raise NotImplementedError

    async def run(self) -> None:
        """Start it, keep it, end it."""
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self.stop.set)
        self._tell("starting")
        watcher = asyncio.ensure_future(self._watch_for_stop())
        try:
            await self.start()
            self._tell("runs")
            while not self.stop.is_set():
                with contextlib.suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(self.stop.wait(), _AGAIN_S)
                if not self.stop.is_set():
                    await self.look_after()
                    await self.note_problems()
                    self._tell("runs")
        except Exception as error:
            logging.exception("the cluster has failed")
            self._tell("failed", why=f"{error}" or type(error).__name__)
            raise SystemExit(1) from error
        finally:
            watcher.cancel()
            with contextlib.suppress(Exception):
                await asyncio.wait_for(self.cluster.close(), _CLOSE_S)
        self._tell("ended")

    async def _watch_for_stop(self) -> None:
        while not place.is_stopped(self.order["cluster"]):
            await asyncio.sleep(_LOOK_S)
        self.stop.set()

    def _tell(self, state: str, **values: Any) -> None:
        self.state.update(state=state, problems=self.problems, time=time.time(), **values)
        if state == "runs":
            self.state["address"] = self.cluster.scheduler.address
        place.write_state(self.state)
