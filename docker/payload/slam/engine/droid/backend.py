"""Upstream's second process, which adjusts all keyframes while frames are tracked (``--asynchronous``).

Upstream starts it and does not look after it: if it dies, tracking goes on and the result lacks its work; if
its parent is killed, it goes on for ever.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import traceback
from importlib import import_module
from pathlib import Path
from typing import Any

from slam.errors import CrashError, MemoryShortError

_PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of prctl(2)


def install_backend() -> None:
    """Have upstream's asynchronous class start our own function, which calls the one that it would have."""
    import torch.multiprocessing

    # CUDA and OpenMP do not survive a fork.
    torch.multiprocessing.set_start_method("spawn", force=True)
    import_module("droid_async").backend_process = run_backend  # type: ignore[attr-defined]


def run_backend(arguments: Any, first: Any, second: Any, device: str) -> None:
    """In the second process: upstream's own function, and an exit code that says how it ended."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PARENT_DEATH_SIGNAL, signal.SIGKILL)
    if os.getppid() != arguments.slam_parent:
        return  # it died before that was asked for
    import torch

    from slam.engine.droid.upstream import upstream

    torch.set_num_threads(arguments.slam_threads)
    try:
        with upstream(Path(arguments.slam_root), arguments.slam_device):
            import_module("droid_async").backend_process(arguments, first, second, device)
    except (MemoryError, torch.cuda.OutOfMemoryError):
        sys.exit(MemoryShortError.exit_code)
    except Exception:  # all of them: how it failed is told here, that it failed by the exit code
        traceback.print_exc(file=sys.stdout)
        sys.exit(1)


def require_alive(droid: Any) -> None:
    """Make sure that the second process, where there is one, has not ended.

    Raises:
        CrashError: it has.
        MemoryShortError: it has, for lack of memory.
    """
    process = getattr(droid, "backend_proc", None)
    if process is not None and process.exitcode is not None:
        _tell(process.exitcode)


def wait_for_backend(droid: Any) -> None:
    """Let the second process do its last work, and wait for its end.

    Raises:
        CrashError: it did not end well.
        MemoryShortError: it ran out of memory.
    """
    droid.video2.ready.value = 1
    droid.backend_proc.join()
    if droid.backend_proc.exitcode != 0:
        _tell(droid.backend_proc.exitcode)


def stop_backend(droid: Any) -> None:
    """End the second process if there is one; it would wait for frames for ever, and we for it."""
    process = getattr(droid, "backend_proc", None)
    if process is not None and process.is_alive():
        process.kill()
        process.join()


def _tell(exit_code: int) -> None:
    if exit_code in (MemoryShortError.exit_code, -signal.SIGKILL):
        raise MemoryShortError(
            "DROID-SLAM's backend process ran out of memory; leave --asynchronous out, or see that there are "
            "fewer keyframes with a larger --filter_thresh or --stride"
        )
    how = f"exit code {exit_code}" if exit_code >= 0 else signal.Signals(-exit_code).name
    raise CrashError(
        f"DROID-SLAM's backend process ended with {how} before its work was done; what it said is in the "
        "log; without --asynchronous there is none"
    )
