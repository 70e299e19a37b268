"""A port of this machine that leads to one of a run's node, or of the login node."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass

from slipway.errors import ConnectionLostError, JobError, RemoteError, SlipwayError, SshError
from slipway.host.marked import login_command
from slipway.job.run import Run
from slipway.job.watch import connect_again
from slipway.site import Site
from slipway.steps.on_node import Place, choose_task, is_still_there, require_alive, wait_where
from slipway.steps.session import Session
from slipway.tunnel.door import Door
from slipway.tunnel.port import LOCALHOST, PortPair, listen
from slipway.tunnel.way import Stream, Way

# So long only sshd's own way is tried; a relay is a step of the job.
_PATIENT_S = 5.0
_TRY_S = 1.0
# How often it is asked whether the run still is where it was.
_ASK_S = 30.0
_LOOK_S = 0.5
# So long a connection here waits for a line that was cut.
_CUT_S = 60.0


@dataclass(frozen=True, kw_only=True)
class TunnelRequest:
    """What a tunnel is to lead to.

    Attributes:
        site: the cluster.
        ports: the port there and the one here.
        run: the run on whose node it is; ``None`` for the login node.
        task: which task of an array.
        node: which of the run's nodes. Default: the first.
    """

    site: Site
    ports: PortPair
    run: Run | None = None
    task: int | None = None
    node: str | None = None


def tunnel(session: Session, request: TunnelRequest, on_ready: Callable[[str], None]) -> None:
    """Lead a port of this machine to one there, until the run is over or somebody interrupts it.

    Where the run waits, and where the port does not answer yet, that is waited for. A line that is cut is
    made again.

    Args:
        session: where.
        request: what it leads to.
        on_ready: is given ``127.0.0.1:PORT`` when the port answers for the first time.

    Raises:
        HostError: the port here cannot be had.
        JobError: the run was over before that.
        SshError: the connection was lost and could not be had again.
    """
    if request.run is not None:
        # A run that is over stays so: nobody has to log in to be told.
        require_alive(request.run, request.run.status)
    task = choose_task(request.run, request.task) if request.run else None
    with ExitStack() as stack:
        listener = stack.enter_context(listen(request.ports))
        address = f"{LOCALHOST}:{listener.getsockname()[1]}"
        session.progress.step(f"Logging in to {request.site.name}")
        work = stack.enter_context(closing(_Tunnel(session, request, task)))
        work.lead()
        stack.enter_context(closing(Door(listener, work.open_stream)))
        on_ready(address)
        try:
            work.keep()
        except KeyboardInterrupt:
            session.progress.note("The tunnel is closed")


class _Tunnel:
    """The way to the port, made anew whenever the line was cut or the run has moved."""

    def __init__(self, session: Session, request: TunnelRequest, task: int | None) -> None:
        self._session, self._request, self._task = session, request, task
        self._host = session.log_in(request.site)
        self._place: Place | None = None
        self._way: Way | None = None
        self._news = threading.Condition()

    def close(self) -> None:
        """End it."""
        self._set(None)
        self._host.close()

    def open_stream(self) -> Stream | None:
        """A connection to the port, for one that has come here."""
        deadline = time.monotonic() + _CUT_S
        tried: Way | None = None
        while (way := self._wait_for_way(tried, deadline)) is not None:
            try:
                return way.open()
            except SlipwayError:
                tried = way
        return None

    def lead(self) -> None:
        """Wait until the port answers, over as many connections as that takes."""
        while True:
            try:
                way = self._find()
                if way is not None:
                    self._set(way)
                    return
            except (SshError, RemoteError) as error:
                self._again(error)

    def keep(self) -> None:
        """Keep it, until the run is over."""
        try:
            while True:
                try:
                    self._watch()
                except (SshError, RemoteError) as error:
                    self._again(error)
                self._set(None)
                self.lead()
        except JobError as over:
            self._session.progress.note(f"The tunnel is closed: {over}")

    def _watch(self) -> None:
        """Return when the run is not where it was any more."""
        asked = time.monotonic()
        while self._host.is_open:
            time.sleep(_LOOK_S)
            if self._place is not None and time.monotonic() - asked > _ASK_S:
                if not is_still_there(self._session, self._host, self._place):
                    return
                asked = time.monotonic()
        raise ConnectionLostError(f"{self._host.target}: it has ended")

    def _again(self, error: SlipwayError) -> None:
        if isinstance(error, RemoteError) and self._host.is_open:
            raise error
        self._set(None)
        self._host.close()
        request = self._request
        self._host = connect_again(
            lambda: self._session.log_in(request.site), error, self._session.progress.note
        )

    def _find(self) -> Way | None:
        """The way, once the port answers; ``None`` where the run has moved meanwhile."""
        run, host, remote = self._request.run, self._host, self._request.ports.remote
        if run is not None:
            self._place = wait_where(self._session, host, run, self._task, self._request.node)
        address = self._place.node.address if self._place else LOCALHOST
        where = self._place.node.name if self._place else str(host.target)
        way = Way(
            host,
            address,
            remote,
            self._place.command if self._place else login_command,
            self._session.progress.note,
        )
        with ExitStack() as stack:
            stack.enter_context(way)
            if not self._answers(way, where):
                return None
            stack.pop_all()
        return way

    def _answers(self, way: Way, where: str) -> bool:
        """Wait until the port answers; false where the run has moved meanwhile."""
        began = asked = time.monotonic()
        self._session.progress.step(f"Waiting for port {self._request.ports.remote} of {where}")
        while (stream := way.open(patiently=time.monotonic() - began < _PATIENT_S)) is None:
            time.sleep(_TRY_S)
            if self._place is not None and time.monotonic() - asked > _ASK_S / 3:
                if not is_still_there(self._session, self._host, self._place):
                    return False
                asked = time.monotonic()
        stream.close()
        return True

    def _set(self, way: Way | None) -> None:
        with self._news:
            old, self._way = self._way, way
            self._news.notify_all()
        if old is not None:
            old.close()

    def _wait_for_way(self, tried: Way | None, deadline: float) -> Way | None:
        with self._news:
            self._news.wait_for(
                lambda: self._way is not None and self._way is not tried, deadline - time.monotonic()
            )
            return self._way if self._way is not tried else None
