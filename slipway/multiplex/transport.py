"""A client's end of a kept connection, with the names of paramiko's own."""

from __future__ import annotations

import select
import socket
import threading
import time
import weakref
from contextlib import suppress
from pathlib import Path
from typing import Any

from slipway.multiplex.channel import TURN_S, KeptChannel
from slipway.multiplex.folder import connect_socket
from slipway.multiplex.frame import Decoder, Kind, MalformedFrameError, message, values_of
from slipway.ssh.transport import refused_error, ssh_error

ANSWER_S = 10.0
_LOCAL_S = 10.0


class GoneError(Exception):
    """There is no connection behind a socket any more."""


class KeptTransport:
    """See :class:`slipway.ssh.transport.Transport`. Closing it leaves the connection for the next command.

    Attributes:
        path: the socket.
        farewell: what the server has said when it hung up.
        was_there: another command has logged in.
        state: what the keeper has said of it.
    """

    farewell = ""

    def __init__(self, path: Path, name: str = "", *, was_there: bool = True) -> None:
        """Use the connection behind a socket.

        Args:
            path: the socket.
            name: of the site, as the user calls it.
            was_there: another command has logged in.

        Raises:
            GoneError: there is none.
        """
        self.was_there = was_there
        self.path = path
        self._lock = threading.Lock()
        self._channels: weakref.WeakSet[KeptChannel] = weakref.WeakSet()
        self._is_active = True
        self._socket, _, kind, self.state = _call(path, {"want": "use", "name": name}, ANSWER_S)
        if kind is not Kind.DONE:
            self._socket.close()
            raise GoneError(str(self.state.get("text")))
        self._socket.settimeout(TURN_S)
        self._poll = select.poll()
        self._poll.register(self._socket, select.POLLIN)

    def is_active(self) -> bool:
        """True as long as the line is there."""
        self.join(0)
        return self._is_active

    def join(self, timeout: float | None = None, /) -> None:
        """Wait until it is not there any more, at most so many seconds."""
        deadline = time.monotonic() + (float("inf") if timeout is None else timeout)
        with self._lock:
            while self._is_active:
                left_s = min(max(deadline - time.monotonic(), 0), TURN_S)
                # Nothing is told on this socket but its end.
                if self._poll.poll(left_s * 1000):
                    self._hear_end()
                elif time.monotonic() >= deadline:
                    return

    def open_session(self, *, timeout: float | None = None) -> KeptChannel:
        """A new channel for a program or a subsystem."""
        return self.open_channel("session", timeout=timeout)

    def open_channel(
        self,
        kind: str,
        dest_addr: tuple[str, int] | None = None,
        src_addr: tuple[str, int] | None = None,
        *,
        timeout: float | None = None,
    ) -> KeptChannel:
        """A new channel.

        Raises:
            paramiko.ChannelException: the server refuses it.
            paramiko.SSHException: the connection was lost, or there was no answer in time.
        """
        hello = {"want": "channel", "kind": kind, "to": dest_addr, "from": src_addr, "timeout_s": timeout}
        try:
            connection, decoder, reply, values = _call(
                self.path, hello, None if timeout is None else timeout + _LOCAL_S
            )
        except (GoneError, TimeoutError) as error:
            raise ssh_error()(str(error)) from error
        if reply is Kind.DONE:
            connection.settimeout(TURN_S)
            channel = KeptChannel(connection, decoder)
            self._channels.add(channel)
            return channel
        connection.close()
        if reply is Kind.REFUSED:
            raise refused_error()(int(values["code"]), str(values["text"]))
        raise ssh_error()(str(values.get("text")))

    def close(self) -> None:
        """Leave it to others, and end this side's channels."""
        for channel in list(self._channels):
            channel.close()
        with self._lock:
            self._is_active = False
            self._socket.close()

    def _hear_end(self) -> None:
        decoder, self._is_active = Decoder(), False
        with suppress(OSError, MalformedFrameError):
            while content := self._socket.recv(1 << 12):
                for kind, part in decoder.feed(content):
                    if kind is Kind.LOST:
                        self.farewell = str(values_of(part).get("farewell", ""))


def _call(
    path: Path, hello: dict[str, Any], timeout_s: float | None
) -> tuple[socket.socket, Decoder, Kind, dict[str, Any]]:
    """Say what a new socket is for, and hear the answer.

    Raises:
        GoneError: nobody is there.
        TimeoutError: there is no answer in time.
    """
    connection = connect_socket(path, timeout_s)
    if connection is None:
        raise GoneError("the process that kept the connection has ended")
    decoder = Decoder()
    try:
        connection.sendall(message(Kind.HELLO, hello))
        while content := connection.recv(1 << 12):
            for kind, part in decoder.feed(content):
                return connection, decoder, kind, values_of(part)
    except TimeoutError:
        connection.close()
        raise
    except (OSError, MalformedFrameError) as error:
        connection.close()
        raise GoneError(f"the process that keeps the connection does not answer ({error})") from error
    connection.close()
    raise GoneError("the connection was lost")


def ask_keeper(path: Path, hello: dict[str, Any]) -> dict[str, Any] | None:
    """Ask the process behind a socket one thing, and wait until it hangs up; ``None``: nobody is there."""
    try:
        connection, _, _, values = _call(path, hello, ANSWER_S)
    except (GoneError, TimeoutError):
        return None
    with connection, suppress(OSError):
        while connection.recv(1 << 12):
            pass
    return values
