"""What is used of a connection and of its channels, whichever way they came about.

The names are paramiko's, whose classes are the one kind; those of :mod:`slipway.multiplex` are the other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

# A line on which nothing is acknowledged for so long is dead; one that stalls for less goes on.
DEAD_AFTER_S = 90
# So only a line that is alive, and opens no channel, is late.
CHANNEL_TIMEOUT_S = DEAD_AFTER_S + 10


def ssh_error() -> type[Exception]:
    """Paramiko's error, for an ``except``: paramiko takes long to import, and then only that imports it."""
    import paramiko

    return paramiko.SSHException


def refused_error() -> type[Exception]:
    """Paramiko's error where a server opens no channel, likewise."""
    import paramiko

    return paramiko.ChannelException


class Channel(Protocol):
    """A program, a file transfer or a way to a port, at the other end of a connection."""

    @property
    def closed(self) -> bool:
        """True after its end on either side."""
        ...

    def exec_command(self, command: str, /) -> None:
        """Start a command by the login shell."""
        ...

    def invoke_subsystem(self, subsystem: str, /) -> None:
        """Start what the server has under this name."""
        ...

    def invoke_shell(self) -> None:
        """Start a login shell."""
        ...

    def get_pty(self, term: str = ..., width: int = ..., height: int = ...) -> None:
        """Have a terminal of so many columns and lines; before anything is started."""
        ...

    def resize_pty(self, width: int = ..., height: int = ...) -> None:
        """Say that the terminal has another size."""
        ...

    def settimeout(self, timeout: float | None, /) -> None:
        """Wait for so many seconds at most wherever there is something to wait for; ``None`` for ever."""
        ...

    def recv(self, nbytes: int, /) -> bytes:
        """Some of what comes, at most so much; nothing at its end."""
        ...

    def recv_stderr(self, nbytes: int, /) -> bytes:
        """Some of what a program prints on standard error; nothing at its end."""
        ...

    def recv_ready(self) -> bool:
        """True where :meth:`recv` would not wait."""
        ...

    def sendall(self, s: bytes, /) -> None:
        """Send all of it.

        Raises:
            OSError: the channel is closed.
        """
        ...

    def shutdown_write(self) -> None:
        """Say that nothing more will be sent."""
        ...

    def exit_status_ready(self) -> bool:
        """True where :meth:`recv_exit_status` would not wait."""
        ...

    def recv_exit_status(self) -> int:
        """Wait for the program's end; -1 where there is no exit code."""
        ...

    def close(self) -> None:
        """End it."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> object: ...


class Transport(Protocol):
    """An authenticated connection."""

    def is_active(self) -> bool:
        """True as long as it has not been lost or closed."""
        ...

    def join(self, timeout: float | None = ..., /) -> None:
        """Wait until it is not active any more, at most so many seconds."""
        ...

    def open_session(self, *, timeout: float | None = ...) -> Channel:
        """A new channel for a program or a subsystem."""
        ...

    def open_channel(
        self,
        kind: str,
        dest_addr: tuple[str, int] | None = ...,
        src_addr: tuple[str, int] | None = ...,
        *,
        timeout: float | None = ...,
    ) -> Channel:
        """A new channel of any kind."""
        ...

    def close(self) -> None:
        """End it, and all channels with it."""
        ...
