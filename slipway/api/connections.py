"""Connections that are kept: one a site, from the first call that needs it on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from slipway.errors import RemoteError, SlipwayError, SshError, TransferOnlyError
from slipway.host.host import Host
from slipway.job.watch import RETRY_S, connect_again
from slipway.site import Login, Site

# A connection that was left alone for so long is tried before it is used: a laptop may have slept.
IDLE_S = 30.0
ANSWER_S = 20.0
_Value = TypeVar("_Value")


@dataclass(kw_only=True)
class _Kept:
    """The connection to one site; ``turn`` is whose turn it is to use it."""

    turn: threading.RLock = field(default_factory=threading.RLock)
    host: Host | None = None
    login: Login | None = None
    used_s: float = 0.0


class Connections:
    """One connection a site. Threads take turns at it.

    Args:
        log_in: makes a connection.
    """

    def __init__(self, log_in: Callable[[Site], Host]) -> None:
        self._log_in = log_in
        self._kept: dict[str, _Kept] = {}
        self._closings = 0

    def turn(self, site: Site) -> AbstractContextManager[object]:
        """Have a site's connection for this thread alone, and with it all locks that are taken below it."""
        return self._of(site).turn

    @contextmanager
    def use(self, site: Site) -> Iterator[Host]:
        """The connection to a site; it is made where there is none that answers.

        It is given up where it was lost meanwhile, and where anything but an error of Slipway's own ends
        this: Ctrl-C, or an error in a listener, may have left an answer half read. The next use makes one.
        """
        kept = self._of(site)
        with kept.turn:
            host = _ready(kept, site, self._log_in)
            try:
                yield host
            except SlipwayError as error:
                # What was under way may name the file and not the line.
                if isinstance(error, (SshError, RemoteError)) and (host.is_lost or not _responds(host)):
                    _drop(kept)
                raise
            except BaseException:
                _drop(kept)
                raise
            finally:
                kept.used_s = time.time()

    def retry(self, site: Site, act: Callable[[Host], _Value]) -> _Value:
        """Do what may be done twice; once more with a new connection where the kept one was lost meanwhile.

        Raises:
            SshError: there is no connection, or it was lost again.
        """
        closings = self._closings
        with self.turn(site):
            host = None
            try:
                with self.use(site) as host:
                    return act(host)
            except (SshError, RemoteError):
                if self._closings != closings or self._of(site).host is host:
                    raise
            with self.use(site) as host:
                return act(host)

    def persist(
        self,
        site: Site,
        act: Callable[[Host], _Value],
        note: Callable[[str], None],
        retry_s: float = RETRY_S,
    ) -> _Value:
        """Do what may be done many times, as often as connections are lost.

        Args:
            site: whose connection.
            act: is given it.
            note: is told that it was lost, and that there is a new one.
            retry_s: seconds for which a new one is tried.

        Raises:
            SshError: there was none for so long, or the login was refused.
        """
        closings = self._closings
        while True:
            host = None
            try:
                with self.use(site) as host:
                    return act(host)
            except (SshError, RemoteError) as error:
                is_there = self._of(site).host is host
                if self._closings != closings or (is_there and isinstance(error, RemoteError)):
                    raise
                connect_again(lambda: self._open(site), error, note, retry_s)

    def close(self) -> None:
        """Log out everywhere. What is under way ends with an error."""
        self._closings += 1
        for kept in list(self._kept.values()):
            _drop(kept)

    def _of(self, site: Site) -> _Kept:
        # One step of the interpreter: two threads get the same one.
        return self._kept.setdefault(site.name, _Kept())

    def _open(self, site: Site) -> Host:
        with self.use(site) as host:
            return host


def _ready(kept: _Kept, site: Site, log_in: Callable[[Site], Host]) -> Host:
    # The site's file may have been edited meanwhile.
    if kept.host is not None and (kept.login != site.login or not _answers(kept.host, kept.used_s)):
        _drop(kept)
    if kept.host is None:
        kept.host, kept.login = log_in(site), site.login
    return kept.host


def _answers(host: Host, used_s: float) -> bool:
    if not host.is_open:
        return False
    # Not the monotonic clock, which stands still while a laptop sleeps.
    return 0 <= time.time() - used_s < IDLE_S or _responds(host)


def _responds(host: Host) -> bool:
    try:
        host.run(["true"], timeout_s=ANSWER_S)
    except TransferOnlyError:
        return True
    except (SshError, RemoteError):
        return False
    return True


def _drop(kept: _Kept) -> None:
    host, kept.host = kept.host, None
    if host is not None:
        host.close()
