"""Connections of a step that has to do with runs of several sites: one a site."""

from __future__ import annotations

from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING

from slipway.errors import ConnectionLostError, RemoteError, SlipwayError, SshError
from slipway.host.host import Host
from slipway.job.watch import connect_again
from slipway.site import Site
from slipway.steps.session import Session

if TYPE_CHECKING:
    from typing_extensions import Self


class SiteHosts:
    """The connections to sites, each made when it is first needed; a ``with`` closes them at its end."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._open: dict[str, tuple[Host, ExitStack]] = {}
        self._refused: dict[str, SlipwayError] = {}

    def of(self, site: Site) -> Host:
        """The connection to a site.

        Raises:
            SshError: there is none; who asks again is told the same at once.
        """
        if site.name in self._refused:
            raise self._refused[site.name]
        if site.name not in self._open:
            stack = ExitStack()
            try:
                host = stack.enter_context(self._session.connect(site))
            except SlipwayError as error:
                self._refused[site.name] = error
                raise
            self._open[site.name] = host, stack
        return self._open[site.name][0]

    def lend(self, site: Site, host: Host) -> None:
        """Use a connection that is there, and leave it open."""
        self._open[site.name] = host, ExitStack()

    def again(self, site: Site, error: SlipwayError, retry_s: float) -> Host:
        """A new connection in the place of one that was lost.

        Args:
            site: whose.
            error: how it was lost.
            retry_s: seconds for which it is tried.

        Raises:
            SshError: there is none.
        """
        self._close(site.name)

        def connect() -> Host:
            self._refused.pop(site.name, None)
            return self.of(site)

        return connect_again(connect, error, self._session.progress.note, retry_s)

    def _close(self, name: str) -> None:
        if name in self._open:
            self._open.pop(name)[1].close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for name in list(self._open):
            self._close(name)


def is_lost(host: Host, error: SlipwayError) -> bool:
    """True where an error comes of a connection that is gone, also where it names a file instead."""
    if isinstance(error, ConnectionLostError):
        return True
    return isinstance(error, (SshError, RemoteError)) and host.is_lost
