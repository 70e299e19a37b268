"""Steps that submit again what has not ended well, where somebody asks for that; see monitor.py for more."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from slipway.errors import ImageError, JobError, SlipwayError
from slipway.host.host import Host
from slipway.host.scratch import Scratch, open_scratch
from slipway.job.run import Reason, Run, Status
from slipway.notify.target import Target as Notified
from slipway.resources import Resources
from slipway.steps.monitored import Target, Watched, Where
from slipway.steps.newest_tries import NewestTries
from slipway.steps.session import Session
from slipway.steps.several import as_one
from slipway.steps.submit import with_mail
from slipway.steps.try_again import MOST_TASKS, Again, check_again, try_again

# SLURM may begin such a run again by itself, some seconds after it has called it over.
_MAY_RETURN = (Reason.PREEMPTED, Reason.NODE_FAILURE)
_RETURNS_S = 10.0


class Kind(str, Enum):
    """How an element stands, for somebody who wants it again if it has not ended well."""

    OK = "ok"
    # It waits or runs, or somebody else is submitting it again.
    GOING = "on its way"
    FAILED = "failed"
    CANCELLED = "cancelled"
    # Nobody can say how it ended: it may have ended well.
    UNKNOWN = "nobody knows how it ended"


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """An element, and how it stands."""

    watched: Watched
    kind: Kind
    status: Status | None


@dataclass(frozen=True, kw_only=True)
class Picked:
    """What is to be submitted again, and what is not.

    Attributes:
        again: the elements that are.
        left: the others.
        not_submitted: elements of the sweep that never were.
    """

    again: Sequence[Candidate]
    left: Sequence[Candidate]
    not_submitted: int = 0

    @property
    def counts(self) -> Mapping[Kind, int]:
        """How many of the others stand how."""
        return Counter(one.kind for one in self.left)


@dataclass(frozen=True, kw_only=True)
class Retried:
    """What came of it.

    Attributes:
        runs: the new runs.
        taken: elements that somebody else has taken meanwhile.
        error: what could not be submitted.
    """

    runs: Sequence[Run]
    taken: int
    error: SlipwayError | None


def kind_of(status: Status | None, *, is_claimed: bool) -> Kind:
    """How an element stands, by its newest try.

    Args:
        status: of that try; ``None`` where there is no record of it.
        is_claimed: somebody has taken the next one.
    """
    if status is not None and status.state.is_over and status.reason == Reason.OK:
        return Kind.OK
    if is_claimed or (status is not None and not status.state.is_over):
        return Kind.GOING
    if status is None or status.reason not in {reason.value for reason in Reason} - {Reason.UNKNOWN.value}:
        return Kind.UNKNOWN
    return Kind.CANCELLED if status.reason == Reason.CANCELLED else Kind.FAILED


@dataclass(kw_only=True)
class Retry:
    """What of one target has not ended well, submitted again.

    Args:
        session: keeps the connection.
        target: what is meant.
        only_failed: what was cancelled is left alone.
        asked: what is asked for otherwise, for all of them.
        notify: who is told of the end of each new run, beside those who were to be told of the earlier one.
        only_look: nothing is written on the cluster.
        pause: waits so many seconds.
    """

    session: Session
    target: Target
    only_failed: bool = False
    asked: Resources = field(default_factory=Resources)
    notify: Sequence[Notified] = ()
    only_look: bool = False
    pause: Callable[[float], None] = time.sleep

    def __post_init__(self) -> None:
        """Read the records of all runs that are known here."""
        self._newest = NewestTries(session=self.session, target=self.target, only_look=self.only_look)

    def look(self) -> Picked:
        """Ask how all stand, and pick.

        Raises:
            JobError: what is asked for would never start, as far as that is known here.
            SlipwayError: the site could not be asked.
        """
        newest = self._newest
        with self.session.connect(self.target.site) as host:
            host.require_commands()
            scratch = open_scratch(host, self.target.site, make=False)
            before = set(self._may_return())
            newest.follow(host, scratch, before)
            if fresh := set(self._may_return()) - before:
                self.session.progress.step("Waiting whether SLURM begins some of them again by itself")
                self.pause(_RETURNS_S)
                newest.follow(host, scratch, fresh)
        newest.keep_places()
        picked = self._pick()
        for group in self._groups(picked.again):
            check_again(group, self.target.site)
        return picked

    def submit(self, picked: Picked, on_run: Callable[[Run], None]) -> Retried:
        """Submit what was picked, a new run for each that it was in; one that is refused stops no other.

        Raises:
            RemoteError: whether one was submitted is not known; whoever looks next finds it out.
            SshError: the connection was lost; likewise.
        """
        runs: list[Run] = []
        errors: dict[str, SlipwayError] = {}
        groups, taken = list(self._groups(picked.again)), 0
        try:
            with self.session.connect(self.target.site) as host:
                scratch = open_scratch(host, self.target.site, make=False)
                for group in groups:
                    try:
                        new = self._submit(group, host, scratch)
                    except (JobError, ImageError) as error:
                        errors[group.run.run_id] = error
                        continue
                    taken += len(group.claims) - (len(new.tasks) if new else 0)
                    if new is not None:
                        runs.append(new)
                        on_run(new)
        finally:
            self._newest.keep_places()
        return Retried(
            runs=runs, taken=taken, error=as_one(errors, len(groups), "could not be submitted again")
        )

    def _submit(self, group: Again, host: Host, scratch: Scratch) -> Run | None:
        new = try_again(self.session, group, self.target.site, host, scratch)
        if new is not None:
            self._newest.move(group.run.run_id, new)
        return new

    def _may_return(self) -> Iterator[Where]:
        for one in self._newest.elements:
            status = self._newest.status(one.place)
            if status is not None and status.state.is_over and status.reason in _MAY_RETURN:
                yield one.place

    def _told_of(self, run_id: str) -> tuple[Notified, ...] | None:
        more = [target for target in self.notify if target.kind != "mail"]
        known = self._newest.notify(run_id)
        if known is None and not more:
            return None
        return tuple(dict.fromkeys([*(known or ()), *more]))

    def _pick(self) -> Picked:
        wanted = {Kind.FAILED} if self.only_failed else {Kind.FAILED, Kind.CANCELLED}
        all_of_them = [self._look_at(one) for one in self._newest.elements]
        return Picked(
            again=[one for one in all_of_them if one.kind in wanted],
            left=[one for one in all_of_them if one.kind not in wanted],
            not_submitted=self.target.not_submitted,
        )

    def _look_at(self, one: Watched) -> Candidate:
        status = self._newest.status(one.place)
        kind = kind_of(status, is_claimed=self._newest.is_claimed(one.place))
        return Candidate(watched=one, kind=kind, status=status)

    def _groups(self, again: Sequence[Candidate]) -> Iterator[Again]:
        """Those of one run, as one new run."""
        by_run: dict[str, list[Where]] = {}
        for one in again:
            place = one.watched.place
            by_run.setdefault(place[0], []).append(place)
        for run_id, places in by_run.items():
            for start in range(0, len(places), MOST_TASKS):
                yield Again(
                    run=self._newest.runs[run_id],
                    claims={
                        place[1]: self._newest.next_claim(place)
                        for place in places[start : start + MOST_TASKS]
                    },
                    asked=with_mail(self.asked, self.target.site, self.notify),
                    notify=self._told_of(run_id),
                )
