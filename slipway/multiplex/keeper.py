"""The connection that is kept, its socket, and those who use it, in the process that logged in."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

import paramiko

from slipway.multiplex.folder import peer_user
from slipway.multiplex.frame import Decoder, Kind, MalformedFrameError, message, values_of
from slipway.multiplex.served import ServedChannel
from slipway.ssh.target import Target
from slipway.ssh.userauth import Transport

# How long a line that a command is about to use may stay silent, and how often it is tried.
PROBE_S = 10.0
_PROBE_AGAIN_S = 5.0
_LOOK_S = 15.0
_HELLO_S = 10.0
_LAST_WORDS_S = 3.0
_QUESTION = "keepalive@openssh.com"


class Keeper:
    """The connection, its socket, and those who use it.

    Args:
        path: the socket; one that is there is replaced.
        target: the host.
        transports: the connection, through all hosts on the way.
        keep_s: for so many seconds without anybody who uses it.
        name: of the site that it was made for.
    """

    def __init__(
        self, path: Path, target: Target, transports: Sequence[Transport], keep_s: float, name: str
    ) -> None:
        self._path = path
        self._target = target
        self._transports = transports
        self._keep_s = keep_s
        self._names = [name] if name else []
        # Not the monotonic clock, which stands still while a laptop sleeps.
        self._since = self._idle_since = time.time()
        self._users: list[socket.socket] = []
        self._channels = 0
        self._lock = threading.Lock()
        self._ending = threading.Lock()
        self._probed = 0.0
        self._listener = socket.socket(socket.AF_UNIX)
        fresh = path.with_name(f"{path.stem}.{os.getpid()}")
        self._listener.bind(str(fresh))
        self._listener.listen(64)
        self._listener.settimeout(_LOOK_S)
        fresh.rename(path)
        self._inode = path.lstat().st_ino

    def run(self) -> None:
        """Serve until the line is lost, nobody has used it for long, or somebody ends it."""
        threading.Thread(target=self._wait_for_loss, daemon=True).start()
        signal.signal(signal.SIGTERM, _stop)
        try:
            while not self._is_over():
                with suppress(TimeoutError):
                    self._accept()
        finally:
            self.end()

    def _accept(self) -> None:
        connection, _ = self._listener.accept()
        if peer_user(connection) in (os.getuid(), None):
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()
        else:
            connection.close()

    def end(self) -> None:
        """Tell those who use it, log out, and end this process."""
        if not self._ending.acquire(blocking=False):
            time.sleep(_LAST_WORDS_S)  # another thread is at it, and ends this one too
        self._remove_socket()
        farewell = message(Kind.LOST, {"farewell": self._transports[-1].farewell})
        for transport in reversed(self._transports):
            with suppress(OSError, EOFError):
                transport.close()
        with self._lock:
            users, self._users = self._users, []
        for user in users:
            with suppress(OSError):
                user.sendall(farewell)
                user.shutdown(socket.SHUT_RDWR)
        # What has come of channels is brought to those who wait for it.
        deadline = time.monotonic() + _LAST_WORDS_S
        while self._channels and time.monotonic() < deadline:
            time.sleep(0.05)
        os._exit(0)

    def _is_over(self) -> bool:
        with self._lock:
            is_used = self._users or self._channels
            left_s = self._keep_s if is_used else self._idle_since + self._keep_s - time.time()
        self._listener.settimeout(max(0.05, min(_LOOK_S, left_s)))
        if is_used:
            return False
        # A clock that was set back does not keep it for ever.
        return left_s <= 0 or left_s > self._keep_s + 60 or not self._has_socket()

    def _has_socket(self) -> bool:
        try:
            return self._path.lstat().st_ino == self._inode
        except OSError:
            return False

    def _remove_socket(self) -> None:
        if self._has_socket():
            self._path.unlink(missing_ok=True)

    def _wait_for_loss(self) -> None:
        self._transports[-1].join()
        self.end()

    def _serve(self, connection: socket.socket) -> None:
        decoder = Decoder()
        with connection, suppress(OSError, MalformedFrameError, KeyError, TypeError):
            connection.settimeout(_HELLO_S)
            while content := connection.recv(1 << 12):
                for kind, part in decoder.feed(content):
                    connection.settimeout(None)
                    if kind is Kind.HELLO:
                        self._greet(connection, decoder, values_of(part))
                    return

    def _greet(self, connection: socket.socket, decoder: Decoder, hello: dict[str, Any]) -> None:
        match hello.get("want"):
            case "use":
                self._admit(connection, str(hello.get("name") or ""))
            case "channel":
                with self._lock:
                    self._channels += 1
                try:
                    self._open(connection, decoder, hello)
                finally:
                    with self._lock:
                        self._channels -= 1
                        self._idle_since = time.time()
            case "state":
                connection.sendall(message(Kind.DONE, self._state()))
            case "end":
                connection.sendall(message(Kind.DONE, self._state()))
                self.end()

    def _state(self) -> dict[str, Any]:
        with self._lock:
            is_idle = not (self._users or self._channels)
            return {
                "target": str(self._target),
                "names": self._names,
                "since": self._since,
                "until": self._idle_since + self._keep_s if is_idle else None,
                "idle_s": time.time() - self._idle_since if is_idle else 0,
                "keep_s": self._keep_s,
                "users": len(self._users),
                "pid": os.getpid(),
            }

    def _admit(self, connection: socket.socket, name: str) -> None:
        """Let a command use the connection, until it hangs up."""
        threading.Thread(target=self._probe, daemon=True).start()
        state = self._state()
        with self._lock:
            self._users.append(connection)
            if name and name not in self._names:
                self._names.append(name)
        try:
            connection.sendall(message(Kind.DONE, state))
            while connection.recv(1 << 12):
                pass
        finally:
            with self._lock:
                if connection in self._users:
                    self._users.remove(connection)
                self._idle_since = time.time()

    def _probe(self) -> None:
        """Have a line that is dead noticed, beside the first channel that is opened on it."""
        with self._lock:
            if 0 <= time.time() - self._probed < _PROBE_AGAIN_S:
                return
            self._probed = time.time()
        give_up = threading.Timer(PROBE_S, self._transports[-1].close)
        give_up.daemon = True
        give_up.start()
        with suppress(paramiko.SSHException, OSError, EOFError):
            self._transports[-1].global_request(_QUESTION, wait=True)
        give_up.cancel()

    def _open(self, connection: socket.socket, decoder: Decoder, hello: dict[str, Any]) -> None:
        """Open a channel, and serve the client on it."""
        to, origin = (tuple(place) if place else None for place in (hello["to"], hello["from"]))
        try:
            channel = self._transports[-1].open_channel(
                hello["kind"], dest_addr=to, src_addr=origin, timeout=hello["timeout_s"]
            )
        except paramiko.ChannelException as error:
            connection.sendall(message(Kind.REFUSED, {"code": error.code, "text": error.text}))
        except (paramiko.SSHException, OSError, EOFError) as error:
            connection.sendall(message(Kind.FAILED, {"text": str(error) or type(error).__name__}))
        else:
            try:
                connection.sendall(message(Kind.DONE))
            except OSError:
                channel.close()
                raise
            ServedChannel(connection, decoder, channel).serve()


def _stop(_: int, __: FrameType | None) -> None:
    # Here the main thread may hold a lock; it lets go of that on its way to the end.
    sys.exit()
