"""The loop of the monitor: until all that it watches is over, or its budget is spent."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from slipway.errors import JobError, ParseError, RemoteError, SlipwayError, SshError
from slipway.steps.kept_hosts import KeptHostsSession
from slipway.steps.monitor import Monitor
from slipway.steps.monitored import Look, Stands

# Without an interval of the user's, as `status --watch`: 5 s, 7.5 s, … at most this many.
_FIRST_S, _LONGEST_S, _GROWS = 5.0, 30.0, 1.5
# What may pass by itself; the rest is wrong and stays so.
_PASSING = (SshError, RemoteError, ParseError, JobError)


class Told:
    """What somebody who watches is told: each decision, each change of the counts and each trouble, once.

    Args:
        on_look: is given each look that differs from the one before.
        on_trouble: is told why a site could not be asked, once a trouble, and what was refused.
    """

    def __init__(
        self, on_look: Callable[[Look, Look | None], None], on_trouble: Callable[[str], None]
    ) -> None:
        self._on_look = on_look
        self._on_trouble = on_trouble
        self._before: dict[int, Look] = {}
        self._said: set[str] = set()

    def look(self, number: int, look: Look) -> bool:
        """Tell a look of a target; whether it differs from the one before."""
        before = self._before.get(number)
        self._before[number] = look
        self._said.clear()
        if before is not None and _standing(before) == _standing(look):
            return False
        self._on_look(look, before)
        return True

    def trouble(self, words: str) -> None:
        """Tell a trouble, unless it is the one that was told last."""
        if words not in self._said:
            self._said.add(words)
            self._on_trouble(words)


def _standing(look: Look) -> object:
    return [(one.watched.tries, one.stands, one.status and one.status.state) for one in look.seen]


def keep_going(
    session: KeptHostsSession,
    monitors: Sequence[Monitor],
    told: Told,
    interval_s: float | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> list[Look]:
    """Look, decide and submit, until all is over or a budget is spent.

    Args:
        session: keeps the connections.
        monitors: one a target.
        told: is told what happens.
        interval_s: seconds between two looks; ``None`` for a pause that grows while nothing changes.
        sleep: waits.

    Returns:
        How all stood in the end, a look a target.

    Raises:
        SlipwayError: no site will let us in, or something else that does not pass by itself.
    """
    last: dict[int, Look] = {}
    pause_s = _FIRST_S
    while True:
        has_changed = False
        for number, monitor in enumerate(monitors):
            known = last.get(number)
            if known is not None and _is_done(known):
                continue
            try:
                look = monitor.look()
                last[number] = look
                has_changed = told.look(number, look) or has_changed
                for words in monitor.act(look):
                    told.trouble(words)
            except _PASSING as error:
                _explain(session, error, told)
        if len(last) == len(monitors) and all(map(_is_done, last.values())):
            return [last[number] for number in range(len(monitors))]
        pause_s = _FIRST_S if has_changed else min(pause_s * _GROWS, _LONGEST_S)
        sleep(interval_s or pause_s)


def _is_done(look: Look) -> bool:
    if look.reached and any(one.stands is Stands.FAILED for one in look.seen):
        return True
    return look.is_over


def _explain(session: KeptHostsSession, error: SlipwayError, told: Told) -> None:
    """Tell what may pass.

    Raises:
        SlipwayError: it does not.
    """
    if session.hosts.is_hopeless:
        raise error
    told.trouble(f"{error}\nIt is tried again")
