"""Conversations with an SFTP server that take turns on one channel, so that it never waits for answers."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from slipway.errors import SlipwayError
from slipway.sftp.wire import MalformedError, Reader, RefusedError, Request

if TYPE_CHECKING:
    from slipway.sftp.session import Session

# A conversation asks some things at once, and is given their answers in the same order. The first refusal
# among them is raised in it, after all have been answered; so is an error in making one of its requests.
Operation = Generator[Iterable[Request], list[Any], Any]


@dataclass(frozen=True, kw_only=True)
class QueuedOperation:
    """A conversation, and about how many bytes of files it will move, so that no channel takes too many."""

    operation: Operation
    size_bytes: int = 0


# Asked and not answered yet, on one channel. More than the server's window of 2 MB makes nothing faster.
_MOST_BYTES = 3 << 20
_MOST_REQUESTS = 256
_MOST_OPERATIONS = 48
_REQUEST_BYTES = 1 << 10  # what one without content counts for


class RunningOperation:
    """A conversation that has begun: what it still wants to ask, and the answers so far."""

    def __init__(self, operation: Operation, size_bytes: int = 0) -> None:
        self.operation = operation
        self.left_bytes = size_bytes
        self.result: Any = None
        self.is_over = False
        self._failure: RefusedError | SlipwayError | None = None
        self._answers: list[Any] = []
        self._asked = self._open = 0
        self._requests: Iterator[Request] = iter(())
        self._begun = False

    def next_request(self) -> Request | None:
        """What is to be asked next; ``None`` where it waits for answers, or is over."""
        while not self.is_over:
            request = self._take_request()
            if request is not None:
                self._asked += 1
                self._open += 1
                self._answers.append(None)
                return request
            if self._open:
                return None
            self._resume()
        return None

    def _take_request(self) -> Request | None:
        if self._failure is not None:
            return None
        try:
            return next(self._requests, None)
        except SlipwayError as error:  # what it reads for its next request; it is told when all are answered
            self._failure = error
            return None

    def put(self, place: int, request: Request, kind: int, reader: Reader) -> bool:
        """Take the answer to the request that was asked at a place; False where it is a refusal."""
        self._open -= 1
        try:
            self._answers[place] = request.answer(kind, reader)
        except RefusedError as refusal:
            self._failure = self._failure or refusal
            return False
        return True

    @property
    def newest(self) -> int:
        """The place of the request that was asked last."""
        return self._asked - 1

    def _resume(self) -> None:
        answers, failure = self._answers, self._failure
        self._answers, self._failure, self._asked = [], None, 0
        try:
            if not self._begun:
                self._begun = True
                self._requests = iter(next(self.operation))
            elif failure:
                self._requests = iter(self.operation.throw(failure))
            else:
                self._requests = iter(self.operation.send(answers))
        except StopIteration as end:
            self.result, self.is_over = end.value, True


class Pipeline:
    """The conversations of one session that go on at the same time."""

    def __init__(
        self, session: Session, on_moved: Callable[[int], None], is_stopped: Callable[[], bool]
    ) -> None:
        self._session = session
        self._is_stopped = is_stopped
        self._on_moved = on_moved
        self._operations: deque[RunningOperation] = deque()  # with more to ask, the oldest first
        self._waiting: dict[int, tuple[RunningOperation, int, Request]] = {}
        self._active = 0
        self._bytes = 0
        self._to_move_bytes = 0

    @property
    def go_on(self) -> bool:
        """True as long as one is not over."""
        return self._active > 0

    @property
    def waits(self) -> bool:
        """True as long as answers are to come."""
        return bool(self._waiting)

    @property
    def have_room(self) -> bool:
        """True where one more can be begun; others may have time for it, where these have enough to do."""
        return self._active < _MOST_OPERATIONS and not self._is_full and self._to_move_bytes < _MOST_BYTES

    @property
    def _is_full(self) -> bool:
        return self._bytes >= _MOST_BYTES or len(self._waiting) >= _MOST_REQUESTS

    def begin(self, running: RunningOperation) -> None:
        """One more takes part."""
        self._active += 1
        self._to_move_bytes += running.left_bytes
        self._operations.append(running)
        self._ask()

    def step(self) -> None:
        """Wait for one answer, and ask what it makes room for."""
        if self._waiting:
            number, kind, reader = self._session.receive()
            if number not in self._waiting:
                raise MalformedError(f"the file transfer answers a request {number} that was not made")
            running, place, request = self._waiting.pop(number)
            self._bytes -= request.size_bytes + _REQUEST_BYTES
            if running.put(place, request, kind, reader) and request.size_bytes:
                self._on_moved(request.size_bytes)
            self._count(running, request.size_bytes)
            if running not in self._operations:
                self._operations.append(running)
        self._ask()

    def _count(self, running: RunningOperation, size_bytes: int) -> None:
        moved = min(size_bytes, running.left_bytes)
        running.left_bytes -= moved
        self._to_move_bytes -= moved

    def _ask(self) -> None:
        while self._operations and not self._is_full and not self._is_stopped():
            request = self._operations[0].next_request()
            if request is None:
                running = self._operations.popleft()
                self._active -= running.is_over
                self._count(running, running.left_bytes if running.is_over else 0)
                continue
            number = self._session.send(request)
            self._waiting[number] = (self._operations[0], self._operations[0].newest, request)
            self._bytes += request.size_bytes + _REQUEST_BYTES
