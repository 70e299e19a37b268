"""One process of a training, started by :mod:`slam.train.launch`."""

from __future__ import annotations

import ctypes
import os
import pickle
import signal
import sys
import threading
import time
import traceback

from slam.errors import CrashError, MemoryShortError, SlamError, Stopped
from slam.train.session import Ear, train

_PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of prctl(2)
# When one process fails, the others fail for lack of it. Who has a reason of its own is to be heard first.
_PATIENCE_S = 5.0


def _hook(arguments: threading.ExceptHookArgs) -> None:
    # What TensorBoard's thread cannot write, it says again to who asks it to.
    if not isinstance(arguments.exc_value, OSError):
        threading.__excepthook__(arguments)


def main() -> None:
    """Read the options from standard input, train, and write what went wrong to the pipe that argv names."""
    ear = Ear()
    ear.listen()
    threading.excepthook = _hook
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PARENT_DEATH_SIGNAL, signal.SIGKILL)
    options = pickle.load(sys.stdin.buffer)  # noqa: S301 - from our own parent
    outcome: BaseException | None = None
    try:
        train(options, os.environ, ear)
    except (SlamError, Stopped) as error:
        outcome = error
    except MemoryError:
        outcome = MemoryShortError(
            "there was not enough memory; ask for more (--mem), or lower --workers or --batch"
        )
    except (ImportError, OSError) as error:
        outcome = SlamError(str(error))
    except Exception:
        if int(os.environ["WORLD_SIZE"]) > 1:
            time.sleep(_PATIENCE_S)
        traceback.print_exc()
        outcome = CrashError("the training came down; what it said is above")
    if outcome is not None:
        os.write(int(sys.argv[1]), pickle.dumps(outcome))
    sys.stdout.flush()
    sys.stderr.flush()
    # Threads of libraries, and processes that load samples, would keep the interpreter from ending.
    os._exit(0 if outcome is None else 1)


if __name__ == "__main__":
    main()
