"""This machine as a connection that never breaks."""

from __future__ import annotations

import threading

from slipway.here.channel import LocalChannel
from slipway.ssh.transport import refused_error

# paramiko's number for a way that leads nowhere.
_CONNECT_FAILED = 2


class LocalTransport:
    """See :class:`slipway.ssh.transport.Transport`."""

    def __init__(self) -> None:
        self._closed = threading.Event()

    def is_active(self) -> bool:
        """True until it is closed."""
        return not self._closed.is_set()

    def join(self, timeout: float | None = None, /) -> None:
        """Return at once: it is not lost."""

    def open_session(self, *, timeout: float | None = None) -> LocalChannel:
        """A new channel for a program, or for files."""
        return LocalChannel()

    def open_channel(
        self,
        kind: str,
        dest_addr: tuple[str, int] | None = None,
        src_addr: tuple[str, int] | None = None,
        *,
        timeout: float | None = None,
    ) -> LocalChannel:
        """A way to a port.

        Raises:
            paramiko.ChannelException: nothing answers there.
        """
        if kind != "direct-tcpip" or dest_addr is None:
            raise ValueError(f"a channel of the kind {kind!r} is not known")
        channel = LocalChannel()
        try:
            channel.open_way(*dest_addr, timeout)
        except OSError as error:
            channel.close()
            raise refused_error()(_CONNECT_FAILED, str(error)) from error
        return channel

    def close(self) -> None:
        """End it; what has been started goes on."""
        self._closed.set()
