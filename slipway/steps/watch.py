"""Watching runs: asked again and again, over connections that are kept, until somebody has seen enough."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from slipway.errors import SlipwayError
from slipway.job.run import Run
from slipway.scheduler.base import State
from slipway.steps.kept_hosts import KeptHostsSession

# Without an interval of the user's, as long as nothing changes: 5 s, 7.5 s, … at most this many. SLURM's
# controller serves everybody.
_FIRST_S, _LONGEST_S, _GROWS = 5.0, 30.0, 1.5
Asked = tuple[list[Run], SlipwayError | None]


@dataclass(frozen=True, kw_only=True)
class Picture:
    """How runs stood at one moment.

    Attributes:
        runs: the newest first; those of a site that did not answer as they were last known.
        trouble: why some could not be asked for; ``None`` where all were.
        asked_at: when, by :func:`time.monotonic`.
        next_s: seconds from then on to the next question.
    """

    runs: Sequence[Run]
    trouble: str | None
    asked_at: float
    next_s: float

    @property
    def is_over(self) -> bool:
        """True where nothing of it will change any more."""
        return self.trouble is None and all(run.status.state.is_over for run in self.runs)


class Watch:
    """One watch: each :meth:`ask` is one question to each site at which a run is not over.

    Args:
        session: keeps the connections.
        list_now: the runs as they stand now, and why some could not be asked for.
        interval_s: seconds between two questions; ``None`` for a pause that grows while nothing changes.
    """

    def __init__(
        self,
        session: KeptHostsSession,
        list_now: Callable[[KeptHostsSession], Asked],
        interval_s: float | None = None,
    ) -> None:
        self._session = session
        self._list_now = list_now
        self._interval_s = interval_s
        self._pause_s = _FIRST_S
        self._stood: object = None

    def ask(self) -> Picture:
        """Ask once.

        Raises:
            SlipwayError: no site will let us in, which does not pass by itself.
        """
        runs, error = self._list_now(self._session)
        if error is not None and self._session.hosts.is_hopeless:
            raise error
        runs = [self._last_known(run) if error else run for run in runs]
        return Picture(
            runs=runs,
            trouble=self._explain(error) if error else None,
            asked_at=time.monotonic(),
            next_s=self._next_s(runs),
        )

    def _last_known(self, run: Run) -> Run:
        # Whoever cannot ask calls a run UNKNOWN, and does not write that down.
        lost = run.status.state is State.UNKNOWN and run.site in self._session.hosts.troubles()
        return self._session.store.find(run.run_id) if lost else run

    def _next_s(self, runs: Sequence[Run]) -> float:
        stands = [
            (run.run_id, run.status.state, [task.state for task in run.task_statuses.values()])
            for run in runs
        ]
        self._pause_s = min(self._pause_s * _GROWS, _LONGEST_S) if stands == self._stood else _FIRST_S
        self._stood = stands
        return self._interval_s or self._pause_s

    def _explain(self, error: SlipwayError) -> str:
        again = self._session.hosts.troubles()
        words = [
            f"{site} is {'not asked again' if wait_s is None else f'asked again in {wait_s:.0f} s'}"
            for site, wait_s in again.items()
        ]
        known = [f"What is shown is what was known last; {', '.join(words)}"] if words else []
        return "\n".join([str(error), *known])
