"""Watching: following a run to its end, and ending it."""

from __future__ import annotations

import time
from collections.abc import Callable

from slipway.errors import (
    HostKeyChangedError,
    HostKeyError,
    JobError,
    LoginError,
    RemoteError,
    SlipwayError,
    SshError,
)
from slipway.host.host import Host
from slipway.job.chain import cancel_mark, most_links
from slipway.job.poll import LOOK_S, poll
from slipway.job.run import Run, Status
from slipway.job.tail import EndTail, LogPart, LogTail
from slipway.scheduler.base import State
from slipway.scheduler.find import find_scheduler

# SLURM is asked less often than the files are looked at: its controller serves everybody.
ASK_S = 10.0
# A lost connection is tried again after 1, 2, 4 … seconds, at most this many, and for an hour.
PAUSE_S = 60.0
RETRY_S = 3600.0
# So many equal failures to find out how the run stands are the end: a quarter of an hour of them.
EQUAL_FAILURES = 90


def follow(
    host: Host,
    run: Run,
    on_text: Callable[[str], None],
    on_change: Callable[[Run], None],
    *,
    look: Callable[[Host, Run], Run] | None = None,
    reconnect: Callable[[], Host] | None = None,
    on_trouble: Callable[[str], None] = lambda text: None,
    part: LogPart | None = None,
) -> Run:
    """Hand over what a run prints, from the beginning until it is over.

    Args:
        host: the connection to its site.
        run: the run.
        on_text: is given each new piece of the log.
        on_change: is given the run whenever its state has changed.
        look: asks how the run stands. Default: :func:`poll`.
        reconnect: makes a new connection where one was lost. Without it, that is an error.
        on_trouble: is told once that the connection was lost, and once that it is there again.
        part: where to begin in the log.

    Returns:
        The run as it ended.

    Raises:
        SshError: the connection was lost and could not be had again.
    """
    following = Following(run=run, on_text=on_text, on_change=on_change, look=look or _poll_one, part=part)
    first = host
    try:
        while True:
            try:
                while not following.step(host):
                    if not following.is_behind:
                        time.sleep(LOOK_S)
                return following.run
            except (SshError, RemoteError) as error:
                # What was under way may name the file and not the line.
                if reconnect is None or (isinstance(error, RemoteError) and host.is_open):
                    raise
                host.close()
                host = connect_again(reconnect, error, on_trouble)
    finally:
        if host is not first:
            host.close()


class Following:
    """One run that is followed, over as many connections as it takes.

    Args:
        run: the run.
        on_text: is given each new piece of the log; ``None`` where nobody reads it.
        on_change: is given the run whenever its state has changed.
        look: asks how the run stands.
        part: where to begin in the log.

    Attributes:
        run: as it was last seen.
    """

    def __init__(
        self,
        *,
        run: Run,
        on_text: Callable[[str], None] | None,
        on_change: Callable[[Run], None],
        look: Callable[[Host, Run], Run],
        part: LogPart | None = None,
    ) -> None:
        self.run = run
        self._on_change = on_change
        self._look = look
        self._on_text = on_text
        self._tail = LogTail(run, self._keep, part) if on_text else EndTail(run)
        self._kept: list[str] = []
        self._said, self._has_printed = run.status.state, False
        self._asked, self._patience = -ASK_S, LOOK_S
        self._failures = 0

    @property
    def is_behind(self) -> bool:
        """True where there is more of the log to be read at once."""
        return self._tail.is_behind

    def step(self, host: Host) -> bool:
        """Look once; true where the run is over and everything is handed over.

        Raises:
            SshError: the connection was lost. Nothing is lost with it: call this again with a new one.
        """
        if not self.run.status.state.is_over:
            ended = self._tail.read(host)
            now = time.monotonic()
            # The script's last act hurries the next question, and so does its first: that the run has begun
            # is said before what it prints.
            begins = bool(self._kept) and not self._has_printed
            # Of a job that begins again its last attempt has ended as well.
            ends = ended and self.run.status.state is not State.PENDING
            if begins or now - self._asked >= (LOOK_S if ends else self._patience):
                self._asked, self._patience = now, min(self._patience * 1.5, ASK_S)
                self._ask(host)
            if not self.run.status.state.is_over:
                self._say_state()
                self._print()
                return False
        is_done = self._tail.finish(host)
        self._print()
        if is_done:
            self._say_state()
        return is_done

    def _keep(self, text: str) -> None:
        # What was read is not read again, also where the connection is lost before it is shown.
        self._kept.append(text)

    def _print(self) -> None:
        while self._kept and self._on_text:
            self._on_text(self._kept.pop(0))
            self._has_printed = True

    def _say_state(self) -> None:
        if self.run.status.state is not self._said:
            self._said = self.run.status.state
            self._on_change(self.run)

    def _ask(self, host: Host) -> None:
        new = self._look(host, self.run)
        before, self.run = self.run, new
        self._count_failures(host, before.status, new.status)

    def _count_failures(self, host: Host, before: Status, now: Status) -> None:
        """Give up where the scheduler has given the same answer that cannot be read for too often.

        Raises:
            RemoteError: it has.
        """
        if now.state is not State.UNKNOWN or now.native_state is not None:
            self._failures = 0
            return
        self._failures = self._failures + 1 if now.note == before.note else 1
        if self._failures >= EQUAL_FAILURES:
            raise RemoteError(
                f"{host.target}: how {self.run.run_id} stands could not be found out {self._failures} times "
                f"in a row: {now.note}. The job may go on; `invoke status` asks again"
            )


def cancel(host: Host, run: Run) -> Run:
    """Cancel a run's job, and return the run as it stands then.

    Raises:
        JobError: SLURM does not know the job, or could not be asked.
        RemoteError: SLURM refused.
    """
    run = _poll_one(host, run)
    if run.status.state.is_over:
        return run
    if run.job_id is None:
        who = find_scheduler(run.scheduler).title
        raise JobError(f"{host.target}: {who} knows no job {run.run_id}; `invoke status` asks it again")
    mark_cancelled(host, run)
    find_scheduler(run.scheduler).cancel(host, [run.job_id])
    return _poll_one(host, run)


def mark_cancelled(host: Host, run: Run) -> None:
    """Have a run that would go on after its time limit not do so."""
    if most_links(run):
        host.write(cancel_mark(run), b"")


def unmark_cancelled(host: Host, run: Run) -> None:
    """Take that back, of a run that was not cancelled."""
    if most_links(run):
        host.remove(cancel_mark(run))


def _poll_one(host: Host, run: Run) -> Run:
    return poll(host, [run])[0]


def connect_again(
    reconnect: Callable[[], Host],
    error: SlipwayError,
    on_trouble: Callable[[str], None],
    retry_s: float = RETRY_S,
) -> Host:
    """A new connection. Only what passes by itself is tried again: a login that is refused stays refused.

    Args:
        reconnect: makes it.
        error: how the old one was lost.
        on_trouble: is told of that, and when there is a new one.
        retry_s: seconds for which it is tried.
    """
    on_trouble(f"The connection was lost: {error}\nConnecting again")
    began, pause = time.monotonic(), LOOK_S
    while True:
        try:
            host = reconnect()
        except (HostKeyChangedError, HostKeyError, LoginError):
            raise
        except SshError:
            left_s = retry_s - (time.monotonic() - began)
            if left_s <= 0:
                raise
            time.sleep(min(pause, left_s))
            pause = min(pause * 2, PAUSE_S)
        else:
            on_trouble("Connected again")
            return host
