"""A training's processes on one machine: started together, told of signals, and ended together.

They meet as those of torchrun do, by the same variables. torchrun itself is not used for two reasons:
SIGUSR1, by which SLURM warns of the time limit, would kill it, and it answers an error of any process with a
traceback.
"""

from __future__ import annotations

import os
import pickle
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Container, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import FrameType

from slam.errors import CrashError, MemoryShortError, SlamError, Stopped
from slam.train.options import Options
from slam.train.topology import Topology

_POLL_S = 0.1
# Once one has ended early, the others get so long to finish what they save.
_GRACE_S = 20.0
_ANSWER_BYTES = 65_536


@dataclass(frozen=True, kw_only=True)
class Worker:
    """One process, and the pipe on which it says what went wrong."""

    process: subprocess.Popen[bytes]
    answers: int

    def outcome(self, told: Container[int]) -> BaseException | None:
        """What ended it; ``None`` if it did what it should.

        Args:
            told: the signals that were passed on; before a process is ready for them, they end it.
        """
        code = self.process.returncode
        if code == 0:
            return None
        try:
            answer = os.read(self.answers, _ANSWER_BYTES)
        except BlockingIOError:
            answer = b""
        if answer:
            error = pickle.loads(answer)  # noqa: S301 - it is our own worker's
            return error if isinstance(error, BaseException) else None
        if -code in told:
            return Stopped(-code)
        if code == -signal.SIGKILL:
            return MemoryShortError(
                "there was not enough memory, and the kernel ended a process; ask for more (--mem), or lower "
                "--workers, --batch or --gpus"
            )
        how = f"exit code {code}" if code > 0 else signal.Signals(-code).name
        return CrashError(f"a process of the training came down with {how}; what it said is above")


def launch(options: Options, topology: Topology, environment: Mapping[str, str]) -> None:
    """Train in processes of their own until all have ended.

    Raises:
        SlamError: what went wrong in the first one in which something did.
        Stopped: a signal was passed on, and all of them have saved and stopped.
    """
    share = replace(options, threads=max(1, options.threads // topology.processes))
    workers: list[Worker] = []
    told: set[int] = set()

    def pass_on(number: int, _frame: FrameType | None) -> None:
        told.add(number)
        for worker in workers:
            if worker.process.poll() is None:
                worker.process.send_signal(number)

    with reserved(topology) as place:
        try:
            for local in range(place.processes):
                workers.append(_start(share, place, local, environment))
            for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT):
                signal.signal(number, pass_on)
            _wait(workers, told)
        finally:
            for worker in workers:
                worker.process.kill()
                worker.process.wait()


def _start(options: Options, topology: Topology, local: int, environment: Mapping[str, str]) -> Worker:
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    process = subprocess.Popen(
        [sys.executable, "-m", "slam.train.rank", str(writing)],
        stdin=subprocess.PIPE,
        env={**environment, **_environment(topology, local), "OMP_NUM_THREADS": str(options.threads)},
        pass_fds=[writing],
        # What is sent to the job's group is for the parent, which passes it on.
        start_new_session=True,
    )
    os.close(writing)
    assert process.stdin is not None  # noqa: S101 - it is a pipe
    with process.stdin:
        pickle.dump(options, process.stdin)
    return Worker(process=process, answers=reading)


def _environment(topology: Topology, local: int) -> dict[str, str]:
    variables = topology.variables(local)
    if topology.nodes == 1:
        # Gloo looks for its own host's name otherwise, which a container need not be able to resolve.
        variables["GLOO_SOCKET_IFNAME"] = "lo"
    return variables


@contextmanager
def reserved(topology: Topology) -> Iterator[Topology]:
    """Keep the port where all meet, which may be long: the first process listens when the data are checked.

    A socket that is bound and does not listen keeps others away, but not one that reuses its address as the
    first process's does. Yields the topology with a port of the system's choice where it says none.

    Raises:
        SlamError: another program listens at it.
    """
    if topology.node or topology.world == 1:
        yield topology
        return
    with socket.socket() as placeholder:
        placeholder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            placeholder.bind(("", topology.port))
        except OSError as error:
            raise SlamError(
                f"the job's processes cannot meet at port {topology.port} of {topology.host} "
                f"({error.strerror}); submit the job again, for the port comes of its number"
            ) from error
        yield replace(topology, port=placeholder.getsockname()[1])


def _wait(workers: list[Worker], told: Container[int]) -> None:
    """Wait for all; when one fails, for the others only if they are saving."""
    deadline: float | None = None
    failures: list[BaseException] = []
    running = list(workers)
    while running and (deadline is None or time.monotonic() < deadline):
        time.sleep(_POLL_S)
        for worker in [one for one in running if one.process.poll() is not None]:
            running.remove(worker)
            failure = worker.outcome(told)
            if failure is not None:
                failures.append(failure)
                grace = _GRACE_S if isinstance(failure, Stopped) else 0.0
                deadline = min(deadline or float("inf"), time.monotonic() + grace)
    if failures:
        raise min(failures, key=_rank)


def _rank(failure: BaseException) -> int:
    """A reason comes before a signal, and a crash, which may be another's fault, last."""
    if isinstance(failure, CrashError):
        return 2
    return 0 if isinstance(failure, SlamError) else 1
