"""The engine in a process of its own.

COLMAP ends the process that it runs in when a disk is full or something else is not as it relies on, and
where memory runs out the kernel ends the largest one. Here that is the worker: its parent is left to tell
what happened and to take away what was half done. What a signal means is the parent's business, too.
"""

from __future__ import annotations

import ctypes
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from slam.dataset.sequence import Sequence
from slam.engine.estimate import Estimate, Settings
from slam.errors import CrashError, MemoryShortError, ReconstructionError, SlamError
from slam.output.results import require_room

Engine = Callable[[Sequence, Settings, Path], Estimate]

_PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of prctl(2)
_NO_MEMORY = (
    "there was not enough memory; ask for more (--mem), or for less work with --max-image-size, --max-frames "
    "or --threads"
)


def run_engine(engine: Engine, sequence: Sequence, settings: Settings, workspace: Path) -> Estimate:
    """Call an engine, a function of some module, in a process of its own.

    Raises:
        SlamError: what the engine raises.
        OutputError: it failed, and the disk of ``workspace`` is full.
        MemoryShortError: it was killed, as the kernel does where memory runs out.
        CrashError: it came down in another way.
    """
    reading, writing = os.pipe()
    argv = [sys.executable, "-m", "slam.engine.worker", str(writing)]
    # A session of its own: what is sent to the terminal's or the job's group is for the parent.
    process = subprocess.Popen(
        argv, stdin=subprocess.PIPE, stderr=subprocess.PIPE, pass_fds=[writing], start_new_session=True
    )
    os.close(writing)
    with process, ThreadPoolExecutor(1) as pool, os.fdopen(reading, "rb") as answers:
        assert process.stdin is not None and process.stderr is not None  # noqa: S101, PT018 - both are pipes
        said = pool.submit(process.stderr.read)
        try:
            _send(process.stdin.fileno(), pickle.dumps((engine, sequence, settings, workspace)))
            process.stdin.close()
            answer = answers.read()
        except BaseException:
            process.kill()
            raise
    return _settle(process.returncode, answer, said.result().decode(errors="replace"), workspace)


def _send(pipe: int, data: bytes) -> None:
    try:
        while data:
            data = data[os.write(pipe, data) :]
    except BrokenPipeError:
        pass  # it has ended already; how, its exit code says


def _settle(exit_code: int, answer: bytes, said: str, workspace: Path) -> Estimate:
    if exit_code == 0:
        outcome = pickle.loads(answer)  # noqa: S301 - it is our own worker's
        if isinstance(outcome, Estimate):
            return outcome
        if isinstance(outcome, ReconstructionError):
            require_room(workspace)
        if isinstance(outcome, CrashError):
            sys.stderr.write(said)  # the traceback of code that is not ours
        raise outcome
    require_room(workspace)
    if exit_code == -signal.SIGKILL:
        raise MemoryShortError(_NO_MEMORY)
    sys.stderr.write(said)  # a traceback, or a library's last words
    how = f"exit code {exit_code}" if exit_code > 0 else signal.Signals(-exit_code).name
    raise CrashError(f"the engine came down with {how}; what it said is above")


def main() -> None:
    """Read from standard input what to do, do it, and write what comes of it to the pipe that argv names."""
    for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PARENT_DEATH_SIGNAL, signal.SIGKILL)
    engine, *arguments = pickle.load(sys.stdin.buffer)  # noqa: S301 - from our own parent
    outcome: Estimate | SlamError
    try:
        outcome = engine(*arguments)
    except SlamError as error:
        outcome = error
    except MemoryError:
        outcome = MemoryShortError(_NO_MEMORY)
    with os.fdopen(int(sys.argv[1]), "wb") as answers:
        pickle.dump(outcome, answers)


if __name__ == "__main__":
    main()
