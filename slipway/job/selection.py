"""Selections: which of a project's runs are meant. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol, TypeVar

from slipway.errors import UsageError
from slipway.scheduler.base import State
from slipway.text.nearest import nearest

_SPAN = re.compile(r"(\d{1,6})([mhdw])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


class Called(Protocol):
    """What a run is called."""

    @property
    def run_id(self) -> str: ...  # noqa: D102
    @property
    def name(self) -> str | None: ...  # noqa: D102


_Called = TypeVar("_Called", bound=Called)


class Entry(Called, Protocol):
    """What of a run decides whether it is selected; a :class:`slipway.job.run.Run` has all of it."""

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


ALL = Selection()


def is_called(run: Called, prefix: str) -> bool:
    """True where the run's id or its label begins so."""
    return run.run_id.startswith(prefix) or (run.name is not None and run.name.startswith(prefix))


def find_called(word: str, runs: Sequence[_Called]) -> Sequence[_Called]:
    """The run that has this id; else those that have this name; else those whose id or name begins so."""
    same_id = [run for run in runs if run.run_id == word]
    same_name = [run for run in runs if run.name == word]
    return same_id or same_name or [run for run in runs if is_called(run, word)]


def have_one_name(word: str, runs: Sequence[Called]) -> bool:
    """True where all of them have one name, which is this one or begins so."""
    name = runs[0].name
    return name is not None and name.startswith(word) and all(run.name == name for run in runs)


def parse_states(words: Iterable[str]) -> frozenset[State]:
    """States as somebody writes them, several with commas between them; capitals do not matter.

    Raises:
        UsageError: one of them is none.
    """
    names = [name.strip() for word in words for name in word.split(",")]
    return frozenset(map(_parse_state, names))


def _parse_state(name: str) -> State:
    try:
        return State(name.upper().replace("-", "_"))
    except ValueError as error:
        known = [state.value for state in State]
        raise UsageError(
            f"--state {name:.99}: there is no such state{nearest(name, known)}; states: {', '.join(known)}"
        ) from error


def parse_since(text: str, now: datetime) -> datetime:
    """A time, or how long ago it was: ``3d``, ``2026-11-01``, or that with ``T14:30``; by the clock of here.

    Args:
        text: as somebody writes it.
        now: with its time zone.

    Raises:
        UsageError: it is neither.
    """
    span = _SPAN.fullmatch(text)
    try:
        if span:
            return now - timedelta(**{_UNITS[span[2]]: int(span[1])})
        # Python 3.10 does not read Z.
        written = datetime.fromisoformat(re.sub("[zZ]$", "+00:00", text))
        return written.astimezone() if written.tzinfo is None else written
    except (ValueError, OverflowError, OSError) as error:
        raise UsageError(
            f"--since {text:.99}: write how long ago, such as 3d, 12h, 90m or 2w, or a date, such as "
            "2026-11-01 or 2026-11-01T14:30"
        ) from error
