"""Work that goes on beside other work."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar, cast

_Value = TypeVar("_Value")


class Background(Generic[_Value]):
    """A value that is computed in a thread of its own; nobody waits for it unless they ask for it."""

    def __init__(self, compute: Callable[[], _Value]) -> None:
        self._value: _Value | None = None
        self._error: BaseException | None = None

        def run() -> None:
            try:
                self._value = compute()
            except BaseException as error:  # told to whoever asks
                self._error = error

        # A daemon, so that work that hangs keeps nobody waiting at the end.
        self._thread = threading.Thread(target=run, daemon=True)
        self._thread.start()

    def result(self, timeout_s: float | None = None) -> _Value:
        """The value, once it is there.

        Raises:
            TimeoutError: it is not there after so many seconds.
            BaseException: what the computation has raised.
        """
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            raise TimeoutError
        if self._error is not None:
            raise self._error
        return cast(_Value, self._value)
