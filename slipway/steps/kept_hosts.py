"""Connections that a long step keeps: one a site, made again with growing pauses where it was lost."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field

from slipway.errors import HostKeyChangedError, HostKeyError, LoginError, SlipwayError, SshError
from slipway.host.host import Host
from slipway.site import Site
from slipway.steps.session import Session

# A site that does not answer is asked again after 2, 4, 8 … seconds, at most this many.
_PAUSE_S, _LONGEST_S = 2.0, 60.0
# What does not pass by itself: nobody is asked for a password again and again.
_FINAL = (HostKeyChangedError, HostKeyError, LoginError)


@dataclass(kw_only=True)
class _Kept:
    host: Host | None = None
    error: SlipwayError | None = None
    pause_s: float = _PAUSE_S
    again_at: float = 0.0


class KeptHosts:
    """The connections to sites; each site that fails is left alone for a while, which grows."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._sites: dict[str, _Kept] = {}

    @contextmanager
    def use(self, site: Site, log_in: Callable[[Site], Host]) -> Iterator[Host]:
        """The connection to a site, for the time of a ``with``; what fails in there is kept in mind.

        Raises:
            SlipwayError: there is none; while the site is left alone, the error of the last time.
        """
        kept = self._sites.setdefault(site.name, _Kept())
        if kept.error is not None and self._clock() < kept.again_at:
            raise kept.error.with_traceback(None)
        try:
            if kept.host is None or kept.host.is_lost:
                self._close(kept)
                kept.host = log_in(site)
            yield kept.host
        except SlipwayError as error:
            self._failed(kept, error)
            raise
        kept.error, kept.pause_s = None, _PAUSE_S

    def _failed(self, kept: _Kept, error: SlipwayError) -> None:
        if isinstance(error, SshError):
            self._close(kept)
        kept.error = error
        pause_s = float("inf") if isinstance(error, _FINAL) else kept.pause_s
        kept.again_at, kept.pause_s = self._clock() + pause_s, min(kept.pause_s * 2, _LONGEST_S)

    def troubles(self) -> dict[str, float | None]:
        """The sites that failed last, and in how many seconds each is asked again; ``None`` for never."""
        now = self._clock()
        left = {name: kept.again_at - now for name, kept in self._sites.items() if kept.error is not None}
        return {name: None if wait_s == float("inf") else max(wait_s, 0.0) for name, wait_s in left.items()}

    @property
    def is_hopeless(self) -> bool:
        """True where sites were asked, and none of them will let us in by itself."""
        return bool(self._sites) and all(isinstance(kept.error, _FINAL) for kept in self._sites.values())

    def close(self) -> None:
        """End all connections."""
        for kept in self._sites.values():
            self._close(kept)

    def _close(self, kept: _Kept) -> None:
        if kept.host is not None:
            kept.host.close()
        kept.host = None


@dataclass(frozen=True, kw_only=True)
class KeptHostsSession(Session):
    """A session whose connections outlive single questions."""

    hosts: KeptHosts = field(default_factory=KeptHosts)

    def connect(self, site: Site) -> AbstractContextManager[Host]:
        """The kept connection to a site, for the time of a ``with``."""
        return self.hosts.use(site, self.log_in)
