"""Steps of the monitor: look how elements stand, decide what is done about those that failed, and do it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from slipway.errors import ImageError, JobError
from slipway.host.host import Host
from slipway.host.scratch import Scratch, open_scratch
from slipway.job.run import Reason, Run, Status
from slipway.job.usage import given_memory_bytes
from slipway.monitor.decide import Case, Decision, decide
from slipway.monitor.rule import Failure
from slipway.monitor.spending import Budget, check_costs, spent
from slipway.steps.failed_tries import FailedTries
from slipway.steps.monitored import Look, Seen, Stands, Target, Watched, Where
from slipway.steps.newest_tries import NewestTries
from slipway.steps.session import Session
from slipway.steps.try_again import MOST_TASKS, Again, try_again


@dataclass(kw_only=True)
class Monitor:
    """One monitor of one target.

    Args:
        session: keeps the connection.
        target: what is monitored.
        budget: what may be spent.
        only_look: nothing is written on the cluster.
    """

    session: Session
    target: Target
    budget: Budget
    only_look: bool = False
    on_try: Callable[[Run], None] = lambda run: None
    _refused: dict[Where, tuple[str, int]] = field(default_factory=dict)
    _anywhere: set[Where] = field(default_factory=set)

    def __post_init__(self) -> None:
        """Read the records of all runs that are known here."""
        self._newest = NewestTries(session=self.session, target=self.target, only_look=self.only_look)
        self._failed = FailedTries(newest=self._newest)

    @property
    def elements(self) -> Sequence[Watched]:
        """The elements, with all of their tries."""
        return self._newest.elements

    @property
    def runs(self) -> Mapping[str, Run]:
        """The runs of all of their tries, as far as there is a record of them."""
        return self._newest.runs

    def look(self) -> Look:
        """How all stand now.

        Raises:
            UsageError: what a try costs is not known, and there is a budget of it.
            SlipwayError: the site could not be asked.
        """
        with self._connected() as (host, scratch):
            self._newest.follow(host, scratch, self._failed.doubtful)
            self._failed.read(host)
        self._newest.keep_places()
        self.target = self._newest.target
        return self._picture()

    def act(self, look: Look) -> list[str]:
        """Submit again what a look has decided about; nothing where a budget is spent.

        Returns:
            What was refused, in words.

        Raises:
            SshError: the connection was lost; whoever looks next finds out what was submitted.
        """
        alive = sum(one.stands is Stands.ON_ITS_WAY for one in look.seen)
        failed = [one for one in look.seen if one.decision and one.stands is Stands.FAILED]
        again = failed[: self._room(alive)]
        if look.reached or not again:
            return []
        said = []
        with self._connected() as (host, scratch):
            for group in self._groups(again):
                try:
                    new = try_again(self.session, group, self.target.site, host, scratch)
                except (JobError, ImageError) as error:
                    said.append(str(error))
                    places = [(group.run.run_id, task) for task in group.claims]
                    if group.exclude:
                        # What is left without those nodes may not do; next time they are taken, too.
                        self._anywhere.update(places)
                    else:
                        self._refused |= dict.fromkeys(places, (str(error), alive))
                    continue
                if new is not None:
                    self._newest.take([new])
                    self.on_try(new)
        return said

    def _room(self, alive: int) -> int | None:
        """How many may be submitted again now: an array has a throttle of its own, beside the sweep's."""
        throttle = self.target.sweep.throttle if self.target.sweep else None
        return None if throttle is None else max(0, throttle - alive)

    @contextmanager
    def _connected(self) -> Iterator[tuple[Host, Scratch]]:
        with self.session.connect(self.target.site) as host:
            host.require_commands()
            yield host, open_scratch(host, self.target.site, make=False)

    # ---- How they stand ----------------------------------------------------------------------------

    def _picture(self) -> Look:
        known = self._newest.runs
        runs = [(known[run_id], task) for run_id, task in self._newest.tries if run_id in known]
        check_costs(self.budget, (run for run, _ in runs), self.target.site)
        costs = spent(runs, self.target.site)
        seen = [self._see(one) for one in self.elements]
        return Look(
            seen=self._with_refusals(seen),
            spent=costs,
            reached=costs.reached(self.budget, self.target.site.currency or ""),
        )

    def _see(self, one: Watched) -> Seen:
        newest, place = self._newest, one.place
        status = newest.status(place)
        if not newest.has_failed(place):
            is_ok = status is not None and status.reason == Reason.OK
            return Seen(watched=one, stands=Stands.OK if is_ok else Stands.ON_ITS_WAY, status=status)
        if newest.is_claimed(place):
            return Seen(watched=one, stands=Stands.ON_ITS_WAY, status=status)
        failure, end = self._failed.why(place)
        decision = self._decide(one, failure, status)
        may_return = self._failed.may_return(place)
        stands = Stands.STOPPED
        if decision.again:
            stands = Stands.ON_ITS_WAY if may_return and not self.only_look else Stands.FAILED
        return Seen(
            watched=one,
            stands=stands,
            status=status,
            decision=None if stands is Stands.ON_ITS_WAY else decision,
            log_end=end,
        )

    def _decide(self, one: Watched, failure: Failure, status: Status | None) -> Decision:
        run = self._newest.runs.get(one.place[0])
        if run is None or status is None:
            return Decision(words=f"{one.label}: the record of {one.place[0]} is gone → stop", again=False)
        given = given_memory_bytes(run, one.place[1])
        case = Case(
            label=one.label,
            failure=failure,
            status=status,
            tries=len(run.tries) + 1,
            resources=run.resources_of(one.place[1]),
            given_mebibytes=given / (1 << 20) if given else None,
        )
        site = self.target.site
        return decide(
            case,
            site.monitor,
            site.queues,
            most_tries=self.budget.most_tries,
            bad_nodes={} if one.place in self._anywhere else self._failed.bad_nodes(),
            nodes=self._nodes(),
        )

    def _nodes(self) -> set[str]:
        """Where there was a try."""
        statuses = map(self._newest.status, self._newest.tries)
        return {status.node for status in statuses if status is not None and status.node}

    def _with_refusals(self, seen: Sequence[Seen]) -> list[Seen]:
        """What SLURM has refused is tried again once less is on its way, and is given up where nothing is."""
        alive = sum(one.stands is Stands.ON_ITS_WAY for one in seen)

        def refused(one: Seen) -> Seen:
            said = self._refused.get(one.watched.place)
            if said is None or one.stands is not Stands.FAILED or 0 < alive < said[1]:
                return one
            if alive:
                return replace(one, stands=Stands.ON_ITS_WAY, decision=None)
            words = f"{one.watched.label}: it cannot be submitted again: {said[0]} → stop"
            return replace(one, stands=Stands.STOPPED, decision=Decision(words=words, again=False))

        return [refused(one) for one in seen]

    # ---- What is submitted -------------------------------------------------------------------------

    def _groups(self, again: Sequence[Seen]) -> Iterator[Again]:
        """Those of one run for which the same is done, as one new run."""
        groups: dict[tuple[object, ...], list[tuple[Where, Decision]]] = {}
        for one in again:
            if one.decision is not None:
                place, decision = one.watched.place, one.decision
                key = (place[0], tuple(sorted(decision.changes.items())), decision.exclude)
                groups.setdefault(key, []).append((place, decision))
        for group in groups.values():
            (run_id, _), decision = group[0]
            for start in range(0, len(group), MOST_TASKS):
                places = [place for place, _ in group[start : start + MOST_TASKS]]
                yield Again(
                    run=self._newest.runs[run_id],
                    claims={place[1]: self._newest.next_claim(place) for place in places},
                    changes=decision.changes,
                    exclude=decision.exclude,
                    notify=self._newest.notify(run_id),
                )
