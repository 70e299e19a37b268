"""Selections: which of a project's runs are meant. Pure."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from slipway.scheduler.base import State


class Entry(Protocol):
    """What of a run decides whether it is selected; a :class:`slipway.job.run.Run` has all of it."""

    @property
    def run_id(self) -> str: ...  # noqa: D102
    @property
    def name(self) -> str | None: ...  # noqa: D102
    @property
    def site(self) -> str: ...  # noqa: D102
    @property
    def profile(self) -> str: ...  # noqa: D102
    @property
    def submitted(self) -> datetime: ...  # noqa: D102
    @property
    def state(self) -> State: ...  # noqa: D102


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Which runs are meant: those for which all of this holds; nothing in it is all runs.

    Attributes:
        prefixes: beginnings of ids or names, one of which the run has.
        site: the site's name.
        profile: the profile's name.
        states: how it stands is one of these; all, where there are none.
        since: it was submitted then or later.
        name: its label.
        over: whether it is over; ``None`` for either.
    """

    prefixes: tuple[str, ...] = ()
    site: str | None = None
    profile: str | None = None
    states: Set[State] = frozenset()
    since: datetime | None = None
    name: str | None = None
    over: bool | None = None

    def matches(self, run: Entry) -> bool:
        """True where the run is meant."""
        return (
            (not self.prefixes or any(is_called(run, prefix) for prefix in self.prefixes))
            and self.site in (None, run.site)
            and self.profile in (None, run.profile)
            and (not self.states or run.state in self.states)
            and (self.since is None or run.submitted >= self.since)
            and self.name in (None, run.name)
            and self.over in (None, run.state.is_over)
        )


def is_called(run: Entry, prefix: str) -> bool:
    """True where the run's id or its label begins so."""
    return run.run_id.startswith(prefix) or (run.name is not None and run.name.startswith(prefix))
