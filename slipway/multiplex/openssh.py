"""A connection that OpenSSH keeps (``ControlMaster``), where a user's ``ControlPath`` names a live one.

As with ssh itself, a session is asked for on the master's socket, and gets its input and outputs as open
files. PROTOCOL.mux has a proxy mode, too, in which paramiko's channels would work as they are; but a master
of OpenSSH 9.2 that was refused a channel in that mode ends with the client, and everything on it.
"""

from __future__ import annotations

import os
import select
import socket
import stat
import struct
import threading
import time
import weakref
from array import array
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from slipway.errors import HostError
from slipway.multiplex import openssh_wire as wire
from slipway.multiplex.folder import connect_socket, is_possible
from slipway.multiplex.openssh_channel import MasterChannel
from slipway.multiplex.openssh_wire import Kind
from slipway.ssh.target import Target
from slipway.ssh.transport import CHANNEL_TIMEOUT_S, refused_error, ssh_error

_ANSWER_S = 5.0
_PATIENCE_S = 3.0
_AGAIN_S = 0.05


class MasterTransport:
    """See :class:`slipway.ssh.transport.Transport`. Closing it leaves the master as it is.

    Attributes:
        was_there: true; another program has logged in.
        on_refused: is called where the server lets the connection have no more sessions, to give up some.
    """

    was_there = True
    farewell = ""

    def __init__(self, path: Path) -> None:
        """Use the master behind a socket.

        Raises:
            OSError: there is none.
        """
        self.on_refused: Callable[[], None] = lambda: None
        self._path = path
        self._lock = threading.Lock()
        self._channels: weakref.WeakSet[MasterChannel] = weakref.WeakSet()
        self._is_active = True
        self._line = _enter(path)
        try:
            self._line.sendall(wire.alive_check())
            kind, _, content = receive(self._line)
            if kind != Kind.ALIVE:
                raise OSError("the master does not say that it is alive")
            self._process = wire.parse_number(content)
        except BaseException:
            self._line.close()
            raise
        self._poll = select.poll()
        self._poll.register(self._line, select.POLLIN)

    def is_active(self) -> bool:
        """True as long as the master is there."""
        self.join(0)
        return self._is_active

    def join(self, timeout: float | None = None, /) -> None:
        """Wait until it is not there any more, at most so many seconds."""
        with self._lock:
            # It says nothing on this socket but that it has gone.
            if self._is_active and self._poll.poll(None if timeout is None else timeout * 1000):
                self._is_active = False

    def open_session(self, *, timeout: float | None = None) -> MasterChannel:
        """A channel for a program or a subsystem; the server is asked for it when that is started."""
        channel = MasterChannel(self._start, self._process)
        self._channels.add(channel)
        return channel

    def open_channel(
        self,
        kind: str,
        dest_addr: tuple[str, int] | None = None,
        src_addr: tuple[str, int] | None = None,
        *,
        timeout: float | None = None,
    ) -> MasterChannel:
        """A channel to a port (``direct-tcpip``).

        Raises:
            paramiko.ChannelException: the server does not open it.
        """
        if kind != "direct-tcpip" or dest_addr is None:
            raise ValueError(kind)
        channel = MasterChannel(self._ask, self._process)
        try:
            channel.open_way(*dest_addr)
        except BaseException:
            channel.close()
            raise
        self._channels.add(channel)
        return channel

    def close(self) -> None:
        """Leave it to others, and end this side's channels."""
        for channel in list(self._channels):
            channel.close()
        self._is_active = False
        self._line.close()

    def _start(self, request: bytes, files: Sequence[int]) -> socket.socket:
        """Have a session started; one that was closed just now may still count."""
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            try:
                return self._ask(request, files)
            except refused_error():
                if time.monotonic() >= deadline:
                    raise
                self.on_refused()
                time.sleep(_AGAIN_S)

    def _ask(self, request: bytes, files: Sequence[int]) -> socket.socket:
        """A socket of the master's on which a session, or a way, has been opened."""
        line = None
        try:
            line = _enter(self._path)
            line.settimeout(CHANNEL_TIMEOUT_S)
            line.sendall(request)
            for file in files:
                line.sendmsg([b"\0"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", [file]))])
            kind, _, content = receive(line)
            if kind == Kind.SESSION_OPENED:
                line.settimeout(None)
                return line
            raise refused_error()(2, wire.parse_text(content))
        except (OSError, struct.error) as error:
            raise ssh_error()(f"OpenSSH's connection at {self._path} does not answer ({error})") from error
        finally:
            if line is not None and line.gettimeout() is not None:
                line.close()


def find_master(target: Target) -> MasterTransport | None:
    """The connection that a user's own OpenSSH keeps to a host; ``None`` where there is no live one."""
    for path in map(Path, target.control_paths if is_possible() else ()):
        with suppress(OSError, ValueError, struct.error):
            found = path.lstat()
            if stat.S_ISSOCK(found.st_mode) and found.st_uid == os.getuid():
                return MasterTransport(path)
    return None


def receive(line: socket.socket) -> tuple[int, int, bytes]:
    """The next packet.

    Raises:
        OSError: none comes.
        struct.error: it is none.
    """
    size = wire.parse_number(_exactly(line, 4))
    if size > wire.MOST_BYTES:
        raise OSError("its packets cannot be understood")
    return wire.parse_packet(_exactly(line, size))


def _enter(path: Path) -> socket.socket:
    """A socket of the master's, after both have said which protocol they speak."""
    try:
        line = connect_socket(path, _ANSWER_S)
    except HostError as error:
        raise OSError(str(error)) from error
    if line is None:
        raise OSError("nobody is there")
    try:
        line.sendall(wire.hello())
        if receive(line)[:2] != (Kind.HELLO, wire.VERSION):
            raise OSError("it speaks another protocol")
    except BaseException:
        line.close()
        raise
    return line


def _exactly(line: socket.socket, size: int) -> bytes:
    content = b""
    while len(content) < size:
        chunk = line.recv(size - len(content))
        if not chunk:
            raise OSError("it hung up")
        content += chunk
    return content
