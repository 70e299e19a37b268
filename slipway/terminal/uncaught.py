"""Errors that nobody has caught, also of Invoke itself: a reader that has gone, and mistakes of ours."""

from __future__ import annotations

import atexit
import os
import sys
import traceback
from pathlib import Path
from types import TracebackType

from slipway.text.escapes import neutral

# What a shell says of a program that SIGPIPE has ended, as it does most: 128 and the signal's number. Python
# ignores that signal, and has to: it would end us for a connection that is closed, too.
READER_GONE = 141


def set_hooks() -> None:
    """End this process quietly where `head` or `grep -q` has read enough; show other errors unobeyed.

    Where somebody has closed an output (``>&-``), what is printed goes nowhere.
    """
    _open_closed()
    sys.excepthook = _hook
    atexit.register(_flush)


def _open_closed() -> None:
    # In this order each takes its own number, which the next file or connection would take else.
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115 - to the end


def _hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if isinstance(error, BrokenPipeError):
        os._exit(READER_GONE)
    sys.stderr.write(neutral("".join(traceback.format_exception(kind, error, trace))))


def _flush() -> None:
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os._exit(READER_GONE)
