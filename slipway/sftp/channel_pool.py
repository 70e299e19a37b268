"""Several channels on the one connection, a thread each, that share the work."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace

from slipway.progress import Amount, OnProgress
from slipway.sftp.pipeline import Operation, QueuedOperation
from slipway.sftp.session import Session

_LOOK_S = 0.1
_END_S = 5


class WorkQueue:
    """Conversations that are to be had, and those that come up meanwhile."""

    def __init__(self, operations: Iterable[Operation] = ()) -> None:
        self._queue = deque(QueuedOperation(operation=one) for one in operations)
        self._lock = threading.Lock()
        self._open = 0
        self._stopped = False

    def add(self, operation: Operation, size_bytes: int = 0) -> None:
        """One more is to be had, which will move about so many bytes."""
        with self._lock:
            self._queue.append(QueuedOperation(operation=operation, size_bytes=size_bytes))

    def stop(self) -> None:
        """No more are begun, and those that go on are left."""
        self._stopped = True

    def is_stopped(self) -> bool:
        """True after :meth:`stop`."""
        return self._stopped

    def __iter__(self) -> Iterator[QueuedOperation | None]:
        while not self._stopped:
            with self._lock:
                if not self._queue and not self._open:
                    return
                queued = self._queue.popleft() if self._queue else None
                self._open += queued is not None
            yield replace(queued, operation=self._counted(queued.operation)) if queued else None

    def _counted(self, operation: Operation) -> Operation:
        try:
            return (yield from operation)
        finally:
            with self._lock:
                self._open -= 1


class Tally:
    """Counts what has been moved, for all channels together."""

    def __init__(self, total_bytes: int, done_bytes: int, on_progress: OnProgress | None) -> None:
        self.total_bytes = total_bytes
        self.done_bytes = done_bytes
        self._on_progress = on_progress
        self._began = time.monotonic()
        self._lock = threading.Lock()

    def add(self, size_bytes: int) -> None:
        """So much more is at its place."""
        with self._lock:
            self.done_bytes += size_bytes

    def tell(self, moved_bytes: int) -> None:
        """Tell whoever listens; always on the thread that began it."""
        if self._on_progress:
            done = min(self.done_bytes, self.total_bytes)
            elapsed_s = time.monotonic() - self._began
            self._on_progress(
                Amount(
                    done_bytes=done,
                    total_bytes=self.total_bytes,
                    moved_bytes=moved_bytes,
                    elapsed_s=elapsed_s,
                )
            )


class ChannelPool:
    """The channels for one piece of work; the first is there, the others are opened when they are needed.

    Args:
        first: the first channel.
        open_more: opens one more, or returns ``None`` where the server wants no more.
        most: channels at most, the first with them.
    """

    def __init__(self, first: Session, open_more: Callable[[], Session | None], most: int) -> None:
        self.sessions = [first]
        self._open_more = open_more
        self._most = most
        self._before = (first.sent_bytes, first.received_bytes)
        self._error: BaseException | None = None
        self._lock = threading.Lock()

    @property
    def moved_bytes(self) -> tuple[int, int]:
        """Bytes that went to the server for this work, and that came from there."""
        sent = sum(one.sent_bytes for one in list(self.sessions))
        received = sum(one.received_bytes for one in list(self.sessions))
        return sent - self._before[0], received - self._before[1]

    def run(self, work: WorkQueue, tally: Tally, *, most: int | None = None) -> None:
        """Do the work; the first error of one ends all, and is raised here.

        Args:
            work: what is to be done.
            tally: is told how far it is.
            most: channels at most, where fewer will do.
        """
        there = [*self.sessions, *([None] * self._most)][: min(most or self._most, self._most)]
        threads = [
            threading.Thread(target=self._serve, args=(one, work, tally), daemon=True) for one in there
        ]
        try:
            for thread in threads:
                thread.start()
            while alive := [thread for thread in threads if thread.is_alive()]:
                # In short waits, so that Ctrl-C gets through.
                alive[0].join(_LOOK_S)
                tally.tell(sum(self.moved_bytes))
                if self._error is not None:
                    raise self._error
        except BaseException:
            self._end(work, threads)
            raise
        if self._error is not None:
            raise self._error

    def keep_first(self) -> Session:
        """End all channels but the first, which is returned."""
        first, self.sessions = self.sessions[0], self.sessions[1:]
        self.close()
        return first

    def close(self) -> None:
        """End all channels."""
        for session in self.sessions:
            with suppress(OSError, EOFError):
                session.close()

    def _serve(self, session: Session | None, work: WorkQueue, tally: Tally) -> None:
        try:
            session = session or self._open()
            if session is not None:
                session.run_operations(work, tally.add, work.is_stopped)
        except BaseException as error:  # raised again by whoever waits
            with self._lock:
                self._error = self._error or error
            work.stop()

    def _open(self) -> Session | None:
        session = self._open_more()
        if session is not None:
            with self._lock:
                self.sessions.append(session)
        return session

    def _end(self, work: WorkQueue, threads: list[threading.Thread]) -> None:
        # A channel that is closed while another thread sends on it may end the whole connection.
        work.stop()
        deadline = time.monotonic() + _END_S
        for thread in threads:
            if thread.ident is not None:
                thread.join(max(0.0, deadline - time.monotonic()))
        self.close()
