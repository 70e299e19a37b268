"""An authenticated SSH connection: its channels, and its end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from slipway.errors import ConnectionLostError, SshError
from slipway.ssh.target import Target
from slipway.ssh.transport import CHANNEL_TIMEOUT_S, Channel, Transport, refused_error, ssh_error

if TYPE_CHECKING:
    from typing_extensions import Self

LogIn = Callable[[], Sequence[Transport]]

_PORT_TIMEOUT_S = 20
CHANNEL_PATIENCE_S = 3
_AGAIN_S = 0.05
_DYING_S = 1.0


class Connection:
    """A connection to a host, through those on the way.

    Attributes:
        target: the host.
    """

    def __init__(
        self, target: Target, transports: Sequence[Transport], log_in_again: LogIn | None = None
    ) -> None:
        self.target = target
        self._transports = transports
        self._log_in_again = log_in_again
        self._renewing = threading.Lock()
        # Since the last login.
        self._has_opened = False
        if hasattr(transports[-1], "on_refused"):
            transports[-1].on_refused = self.spare_channel

    @property
    def is_open(self) -> bool:
        """True as long as the connection has not been lost."""
        return self._transports[-1].is_active()

    @property
    def is_lost(self) -> bool:
        """True where the connection has been lost, asked after a channel has ended without a word."""
        # paramiko ends the channels of a lost connection a moment before it says that it is lost.
        self._transports[-1].join(_DYING_S)
        return not self.is_open

    def close(self) -> None:
        """Log out."""
        for transport in reversed(self._transports):
            transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def open_channel(self, patience_s: float = CHANNEL_PATIENCE_S) -> Channel:
        """A new channel.

        Raises:
            paramiko.ChannelException: the server lets this connection have no more, for ``patience_s``.
        """
        return self._open(lambda transport: transport.open_session(timeout=CHANNEL_TIMEOUT_S), patience_s)

    def open_tunnel(self, host: str, port: int) -> Channel:
        """A channel to a port, as the host itself sees it; each end closes it.

        Raises:
            paramiko.ChannelException: the server does not let it pass (code 1), or gets no connection to
                that port (code 2).
        """
        place, origin = (host, port), ("127.0.0.1", 0)
        return self._open(
            lambda transport: transport.open_channel("direct-tcpip", place, origin, timeout=_PORT_TIMEOUT_S),
            0,
        )

    def _open(self, opening: Callable[[Transport], Channel], patience_s: float) -> Channel:
        deadline = time.monotonic() + patience_s
        while True:
            transport = self._transports[-1]
            try:
                channel = opening(transport)
            except refused_error():
                if time.monotonic() >= deadline:
                    raise
                self.spare_channel()
                time.sleep(_AGAIN_S)  # one that was closed just now may still count
            except (ssh_error(), EOFError):
                if not self._renew(transport):
                    raise
            else:
                self._has_opened = True
                return channel

    def _renew(self, lost: Transport) -> bool:
        """Log in once more where the server hung up and said why; False where that is not to be tried.

        Some servers let a connection have so many channels and no more. One that is cut says nothing.
        """
        with self._renewing:
            if self._transports[-1] is not lost:
                return True  # another thread has done it
            if self._log_in_again is None or not self.is_lost or not self._may_renew(lost):
                return False
            self.spare_channel()
            for transport in reversed(self._transports):
                transport.close()
            self._transports, self._has_opened = self._log_in_again(), False
            return True

    def _may_renew(self, lost: Transport) -> bool:
        if not self._has_opened:
            # One that another command has logged in may have been dead all along.
            return getattr(lost, "was_there", False)
        return bool(getattr(lost, "farewell", ""))

    def spare_channel(self) -> None:
        """Give up a channel that is kept open only for speed."""

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Say it in the project's own words where the connection is lost.

        Raises:
            ConnectionLostError: it is.
            SshError: the server lets it have no more channels.
        """
        try:
            yield
        except GeneratorExit:
            # Nobody ended what was under way, and Python itself ends: nothing can be imported any more.
            raise
        except refused_error() as error:
            raise SshError(
                f"{self.target}: the server lets this connection have no more sessions (MaxSessions): {error}"
            ) from error
        except (ssh_error(), EOFError, OSError) as error:
            if _is_of_this_machine(error) and self.is_open:
                raise
            # A server that hangs up may say why: some let a connection have so many channels and no more.
            what = getattr(self._transports[-1], "farewell", "") or str(error) or type(error).__name__
            raise ConnectionLostError(
                f"{self.target}: the connection was lost ({what}); try again"
            ) from error


def _is_of_this_machine(error: Exception) -> bool:
    # paramiko's own have no number; those of a connection that it passes on are these two.
    if not isinstance(error, OSError) or isinstance(error, (ConnectionResetError, TimeoutError)):
        return False
    return error.errno is not None
