"""One channel on which the server answers SFTP, and conversations that take turns on it."""

from __future__ import annotations

import struct
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from slipway.sftp.wire import INIT, VERSION, Reader, RefusedError, Request, pack, parse_version

if TYPE_CHECKING:
    import paramiko

# A conversation asks some things at once, and is given their answers in the same order. The first refusal
# among them is raised in it, after all have been answered.
Conversation = Generator[Iterable[Request], list[Any], Any]


@dataclass(frozen=True, kw_only=True)
class Errand:
    """A conversation, and about how many bytes of files it will move, so that no channel takes too many."""

    conversation: Conversation
    size_bytes: int = 0


# Asked and not answered yet, on one channel. More than the server's window of 2 MB makes nothing faster.
_MOST_BYTES = 3 << 20
_MOST_REQUESTS = 256
_MOST_TALKS = 48
_REQUEST_BYTES = 1 << 10  # what one without content counts for
_VERSION = 3
_LONGEST_MESSAGE = 1 << 20
_IDLE_S = 0.01


class Session:
    """An SFTP session; used by one thread at a time.

    Attributes:
        sent_bytes: what went to the server.
        received_bytes: what came from there.
        extensions: what the server can do beyond the protocol.
        is_clean: False where answers are still to come that nobody waits for any more.
    """

    def __init__(self, channel: paramiko.Channel) -> None:
        """Greet the server; ``EOFError`` where none answers."""
        self.sent_bytes = 0
        self.received_bytes = 0
        self.is_clean = True
        self._channel = channel
        self._buffer = bytearray()
        self._number = 0
        self._send(pack(INIT, struct.pack(">I", _VERSION)))
        kind, content = self._message()
        if kind != VERSION:
            raise EOFError(f"what answers is not SFTP: a message of kind {kind}")
        self.extensions = parse_version(content)

    def ask(self, request: Request) -> Any:
        """Ask one thing.

        Raises:
            RefusedError: the server will not do it.
        """
        return self.hold(_single(request))

    def hold(self, conversation: Conversation) -> Any:
        """Have one conversation to its end, and return what it returns."""
        talk = _Talk(conversation)
        with self._turns(lambda size_bytes: None) as turns:
            turns.begin(talk)
            while not talk.is_over:
                turns.turn()
        return talk.result

    def hold_all(
        self,
        errands: Iterable[Errand | None],
        on_moved: Callable[[int], None],
        is_stopped: Callable[[], bool],
    ) -> None:
        """Have conversations, several at a time, until there are no more.

        Args:
            errands: the conversations; ``None`` among them means that there is none at the moment.
            on_moved: is told of each part of a file that has been moved, in bytes.
            is_stopped: ends it before that, in the middle of conversations.
        """
        source = iter(errands)
        with self._turns(on_moved, is_stopped) as turns:
            while not is_stopped():
                new = next(source, _NO_MORE) if turns.have_room else None
                if isinstance(new, Errand):
                    turns.begin(_Talk(new.conversation, new.size_bytes))
                elif turns.go_on:
                    turns.turn()
                elif new is _NO_MORE:
                    return
                else:
                    time.sleep(_IDLE_S)

    @contextmanager
    def _turns(
        self, on_moved: Callable[[int], None], is_stopped: Callable[[], bool] = lambda: False
    ) -> Iterator[_Turns]:
        turns = _Turns(self, on_moved, is_stopped)
        try:
            yield turns
        finally:
            self.is_clean = not turns.waits

    def send(self, request: Request) -> int:
        """Send a request; returns the number that the answer will have."""
        self._number = (self._number + 1) & 0xFFFFFFFF
        self._send(pack(request.kind, struct.pack(">I", self._number) + request.body))
        return self._number

    def receive(self) -> tuple[int, int, Reader]:
        """Wait for an answer: its number, its kind, and the rest of it."""
        kind, content = self._message()
        reader = Reader(content)
        return reader.number(), kind, reader

    def close(self) -> None:
        """End the session."""
        self._channel.close()

    def _send(self, content: bytes) -> None:
        self._channel.sendall(content)
        self.sent_bytes += len(content)

    def _message(self) -> tuple[int, bytes]:
        size = struct.unpack(">I", self._take(4))[0]
        if not 0 < size <= _LONGEST_MESSAGE:
            raise EOFError(f"what answers is not SFTP: a message of {size} bytes")
        content = self._take(size)
        return content[0], content[1:]

    def _take(self, size: int) -> bytes:
        while len(self._buffer) < size:
            chunk = self._channel.recv(1 << 16)
            if not chunk:
                raise EOFError("the file transfer was ended by the server")
            self.received_bytes += len(chunk)
            self._buffer += chunk
        content = bytes(self._buffer[:size])
        del self._buffer[:size]
        return content


_NO_MORE = object()


class _Talk:
    """A conversation that has begun: what it still wants to ask, and the answers so far."""

    def __init__(self, conversation: Conversation, size_bytes: int = 0) -> None:
        self.conversation = conversation
        self.left_bytes = size_bytes
        self.result: Any = None
        self.is_over = False
        self._refusal: RefusedError | None = None
        self._answers: list[Any] = []
        self._asked = self._open = 0
        self._requests: Iterator[Request] = iter(())
        self._begun = False

    def next_request(self) -> Request | None:
        """What is to be asked next; ``None`` where it waits for answers, or is over."""
        while not self.is_over:
            request = None if self._refusal else next(self._requests, None)
            if request is not None:
                self._asked += 1
                self._open += 1
                self._answers.append(None)
                return request
            if self._open:
                return None
            self._resume()
        return None

    def put(self, place: int, request: Request, kind: int, reader: Reader) -> bool:
        """Take the answer to the request that was asked at a place; False where it is a refusal."""
        self._open -= 1
        try:
            self._answers[place] = request.answer(kind, reader)
        except RefusedError as refusal:
            self._refusal = self._refusal or refusal
            return False
        return True

    @property
    def newest(self) -> int:
        """The place of the request that was asked last."""
        return self._asked - 1

    def _resume(self) -> None:
        answers, refusal = self._answers, self._refusal
        self._answers, self._refusal, self._asked = [], None, 0
        try:
            if not self._begun:
                self._begun = True
                self._requests = iter(next(self.conversation))
            elif refusal:
                self._requests = iter(self.conversation.throw(refusal))
            else:
                self._requests = iter(self.conversation.send(answers))
        except StopIteration as end:
            self.result, self.is_over = end.value, True


class _Turns:
    """The conversations of one session that go on at the same time."""

    def __init__(
        self, session: Session, on_moved: Callable[[int], None], is_stopped: Callable[[], bool]
    ) -> None:
        self._session = session
        self._is_stopped = is_stopped
        self._on_moved = on_moved
        self._talks: deque[_Talk] = deque()  # with more to ask, the oldest first
        self._waiting: dict[int, tuple[_Talk, int, Request]] = {}
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
        return self._active < _MOST_TALKS and not self._is_full and self._to_move_bytes < _MOST_BYTES

    @property
    def _is_full(self) -> bool:
        return self._bytes >= _MOST_BYTES or len(self._waiting) >= _MOST_REQUESTS

    def begin(self, talk: _Talk) -> None:
        """One more takes part."""
        self._active += 1
        self._to_move_bytes += talk.left_bytes
        self._talks.append(talk)
        self._ask()

    def turn(self) -> None:
        """Wait for one answer, and ask what it makes room for."""
        if self._waiting:
            number, kind, reader = self._session.receive()
            if number not in self._waiting:
                raise EOFError(f"what answers is not SFTP: number {number} was not asked")
            talk, place, request = self._waiting.pop(number)
            self._bytes -= request.size_bytes + _REQUEST_BYTES
            if talk.put(place, request, kind, reader) and request.size_bytes:
                self._on_moved(request.size_bytes)
            self._count(talk, request.size_bytes)
            if talk not in self._talks:
                self._talks.append(talk)
        self._ask()

    def _count(self, talk: _Talk, size_bytes: int) -> None:
        moved = min(size_bytes, talk.left_bytes)
        talk.left_bytes -= moved
        self._to_move_bytes -= moved

    def _ask(self) -> None:
        while self._talks and not self._is_full and not self._is_stopped():
            request = self._talks[0].next_request()
            if request is None:
                talk = self._talks.popleft()
                self._active -= talk.is_over
                self._count(talk, talk.left_bytes if talk.is_over else 0)
                continue
            number = self._session.send(request)
            self._waiting[number] = (self._talks[0], self._talks[0].newest, request)
            self._bytes += request.size_bytes + _REQUEST_BYTES


def _single(request: Request) -> Conversation:
    (answer,) = yield [request]
    return answer
