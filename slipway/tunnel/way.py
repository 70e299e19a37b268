"""Ways to a port there: through sshd itself, or by a relay on the node."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Protocol

from slipway.errors import ConnectionLostError, RemoteError
from slipway.host.host import Host
from slipway.ssh.transport import refused_error, ssh_error
from slipway.tunnel.relay import Relay, open_relay

if TYPE_CHECKING:
    from typing_extensions import Self

_PROHIBITED = 1  # RFC 4254, 5.1


class Stream(Protocol):
    """A connection to the port there."""

    def recv(self, nbytes: int, /) -> bytes:
        """Some of what comes; nothing at its end."""
        ...

    def sendall(self, content: bytes, /) -> None:
        """Send all of it.

        Raises:
            OSError: the connection has ended.
        """
        ...

    def shutdown_write(self) -> None:
        """Send nothing more."""
        ...

    def close(self) -> None:
        """End it."""
        ...


class Way:
    """The ways to one port, of which the one that works is taken.

    Args:
        host: the login node.
        address: the host that the port is on, as the login node sees it.
        port: the port.
        within: the argv by which an argv is started where the port is, for the relay.
        on_relay: is told that sshd does not serve, before the relay is started, or that this cannot be.
    """

    def __init__(
        self,
        host: Host,
        address: str,
        port: int,
        within: Callable[[Sequence[str]], Sequence[str]],
        on_relay: Callable[[str], None],
    ) -> None:
        self._host, self._address, self._port = host, address, port
        self._within, self._on_relay = within, on_relay
        self._relay: Relay | None = None
        self._is_direct = True
        self._has_failed = False
        self._stack = ExitStack()
        self._starting = threading.Lock()

    def open(self, *, patiently: bool = True) -> Stream | None:
        """A connection to the port; ``None`` where nothing answers there.

        Args:
            patiently: start no relay only because nothing answers: the program may not listen yet.

        Raises:
            RemoteError: the relay is needed, and cannot be started.
            ConnectionLostError: the connection to the login node was lost.
        """
        if self._is_direct and (stream := self._open_direct()) is not None:
            return stream
        if self._is_direct and (patiently or self._has_failed) and self._relay is None:
            return None
        with self._starting:
            if self._relay is None or self._relay.is_over:
                self._start()
        return self._open_relayed()

    def _open_direct(self) -> Stream | None:
        try:
            return self._host.open_tunnel(self._address, self._port)
        except refused_error() as error:
            if getattr(error, "code", None) == _PROHIBITED:
                self._is_direct = False
                self._on_relay(
                    f"{self._host.target} does not pass connections on; a small program there does it instead"
                )
            return None
        except (ssh_error(), EOFError, OSError) as error:
            raise ConnectionLostError(f"{self._host.target}: the connection was lost; try again") from error

    def _start(self) -> None:
        self._stack.close()
        self._stack = ExitStack()
        try:
            self._relay = self._stack.enter_context(open_relay(self._host, self._port, self._within))
        except RemoteError as error:
            if not (self._is_direct and self._host.is_open):
                raise
            # The program may only not listen yet, and then sshd's own way will do.
            self._relay, self._has_failed = None, True
            self._on_relay(str(error))

    def _open_relayed(self) -> Stream | None:
        if self._relay is None:
            return None
        try:
            stream = self._relay.open()
        except (OSError, EOFError):
            stream = None
        if stream is not None and self._is_direct:
            # It answers there and not from here.
            self._is_direct = False
        return stream

    def close(self) -> None:
        """End the relay, and what goes over it."""
        self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
