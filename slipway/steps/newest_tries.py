"""Where elements are by now: their newest tries, whoever submitted these, and whose the next ones are."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from slipway.errors import SlipwayError
from slipway.host.host import Host
from slipway.host.scratch import Scratch
from slipway.job.poll import poll
from slipway.job.record import parse_run
from slipway.job.run import Reason, Run, RunPaths, Status
from slipway.job.store import RunStore
from slipway.monitor.claim import FRESH_S, Claim, read_claims, write_down
from slipway.notify.pending import PendingStore
from slipway.notify.target import Target as Notified
from slipway.scheduler.base import State
from slipway.steps.monitored import Target, Where
from slipway.steps.refresh import refresh
from slipway.steps.session import Session
from slipway.steps.try_again import give_up
from slipway.sweep.record import Place, SweepStore


@dataclass(kw_only=True)
class NewestTries:
    """The newest tries of all elements of a target.

    Args:
        session: keeps the connection.
        target: what the elements are of.
        only_look: nothing is written on the cluster.
    """

    session: Session
    target: Target
    only_look: bool = False
    _runs: dict[str, Run] = field(default_factory=dict)
    _claims: dict[Where, Claim] = field(default_factory=dict)
    # Whom to tell of a run's end, as long as they are not told: what is told is forgotten.
    _notify: dict[str, tuple[Notified, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Read the records of all runs that are known here."""
        self.elements = list(self.target.elements)
        store = self.session.store
        run_ids = {where[0] for one in self.elements for where in one.tries}
        self.take(list(filter(None, (_known(store, run_id) for run_id in run_ids))))

    @property
    def runs(self) -> Mapping[str, Run]:
        """The runs of all tries, as far as there is a record of them."""
        return self._runs

    @property
    def tries(self) -> list[Where]:
        """All tries of all elements."""
        return list(dict.fromkeys(where for one in self.elements for where in one.tries))

    def take(self, runs: Sequence[Run]) -> None:
        """Take the records of runs as they are now."""
        self._runs |= {run.run_id: run for run in runs}
        pending = PendingStore(self.session.project.state)
        for run_id in {run.run_id for run in runs} - set(self._notify):
            if targets := pending.targets(run_id):
                self._notify[run_id] = targets

    def notify(self, run_id: str) -> tuple[Notified, ...] | None:
        """Who was to be told of a run's end; ``None`` where that is not known any more."""
        return self._notify.get(run_id)

    def status(self, where: Where) -> Status | None:
        """How a try stands, as it was last asked; ``None`` where there is no record of it."""
        run = self._runs.get(where[0])
        return None if run is None else run.status_of(where[1])

    def has_failed(self, where: Where) -> bool:
        """True where a try is over and has not ended well, or nobody knows how it stands."""
        status = self.status(where)
        return status is None or (status.state.is_over and status.reason != Reason.OK)

    def is_claimed(self, where: Where) -> bool:
        """True where somebody has taken the next try, and has not given it up."""
        claim = self._claims.get(where)
        return claim is not None and claim.is_submitted is not False

    def next_claim(self, where: Where) -> int:
        """The number of the next claim of a try that failed."""
        claim = self._claims.get(where)
        return claim.number + 1 if claim else 1

    def follow(self, host: Host, scratch: Scratch, doubtful: Collection[Where] = ()) -> None:
        """Ask how the last tries stand, and go on to those that somebody has submitted after them.

        Args:
            host: the connection.
            scratch: the site's.
            doubtful: tries that SLURM may begin again by itself, though it has called them over.

        Raises:
            SlipwayError: the site could not be asked.
        """
        moved = True
        while moved:
            self._refresh(host, scratch, doubtful)
            failed = [one for one in self.elements if self.has_failed(one.place)]
            run_ids = sorted({one.place[0] for one in failed})
            claims = read_claims(host, scratch, run_ids)
            self._claims = dict(claims)
            moved = False
            is_followed = self._are_followed(host, scratch, [one.place for one in failed])
            for number, one in enumerate(self.elements):
                claim = claims.get(one.place)
                if claim is not None and is_followed.get(claim.run_id):
                    self.elements[number] = replace(one, tries=(*one.tries, (claim.run_id, one.place[1])))
                    moved = True

    def move(self, run_id: str, new: Run) -> None:
        """Take a new run for the next try of a run's tasks."""
        self.take([new])
        tasks = set(new.tasks)
        for number, one in enumerate(self.elements):
            if one.place[0] == run_id and one.place[1] in tasks:
                self.elements[number] = replace(one, tries=(*one.tries, (new.run_id, one.place[1])))

    def keep_places(self) -> None:
        """Have the sweep's record say where its elements are."""
        sweep = self.target.sweep
        if sweep is None or self.only_look:
            return
        elements = list(sweep.elements)
        for one in self.elements:
            if one.number is not None:
                places = [Place(run_id=run_id, task=task or 0) for run_id, task in one.tries]
                elements[one.number] = elements[one.number].at(*places)
        new = replace(sweep, elements=tuple(elements))
        if new != sweep:
            SweepStore(self.session.project.state / "sweeps").save(new)
            self.target = replace(self.target, sweep=new)

    def _refresh(self, host: Host, scratch: Scratch, doubtful: Collection[Where]) -> None:
        wanted = {one.place[0] for one in self.elements}
        for run_id in wanted - set(self._runs):
            if run := self._bring_record(host, scratch, run_id):
                self._runs[run_id] = run
        runs = [self._runs[run_id] for run_id in sorted(wanted & set(self._runs))]
        self.take(refresh(self.session, host, runs))
        # What may begin again by itself is asked for once more, though it was called over.
        over = {run.run_id for run in self._runs.values() if run.state.is_over and run.run_id in wanted}
        if asked := {where[0] for where in doubtful} & over:
            polled = poll(host, [self._runs[run_id] for run_id in sorted(asked)])
            returned = [run for run in polled if run != self._runs[run.run_id] and self._is_clear(run)]
            for run in returned:
                self.session.store.save(run)
            self.take(returned)

    @staticmethod
    def _is_clear(run: Run) -> bool:
        """False where SLURM could not say how it stands: what was known before counts."""
        return all(status.state is not State.UNKNOWN for status in _statuses(run))

    def _bring_record(self, host: Host, scratch: Scratch, run_id: str) -> Run | None:
        """The record of a run that another machine has submitted, from the cluster; kept here."""
        known = _known(self.session.store, run_id)
        if known is not None:
            return known
        content = host.read(RunPaths.of(scratch, run_id).record)
        if content is None:
            return None
        try:
            run = parse_run(content)
        except ValueError:
            return None
        if run.run_id != run_id or run.site != self.target.site.name:
            return None
        if not self.only_look and run.job_id is not None:
            self.session.store.save(run)
        return run

    def _are_followed(self, host: Host, scratch: Scratch, places: Sequence[Where]) -> dict[str, bool]:
        """Of each claimed run, whether it was submitted; one of which that is not known yet is absent."""
        claims = {
            (place[0], self._claims[place].run_id): self._claims[place]
            for place in places
            if place in self._claims
        }
        decided: dict[str, bool] = {}
        for (run_id, new_id), claim in claims.items():
            is_submitted = claim.is_submitted
            if is_submitted is None:
                is_submitted = self._find_out(host, scratch, run_id, claim)
            if is_submitted is not None:
                decided[new_id] = is_submitted
        for place, claim in self._claims.items():
            if claim.run_id in decided:
                self._claims[place] = replace(claim, is_submitted=decided[claim.run_id])
        return decided

    def _find_out(self, host: Host, scratch: Scratch, run_id: str, claim: Claim) -> bool | None:
        """Whether a claimed run was submitted, of which nobody has written that down."""
        new_id, store = claim.run_id, self.session.store
        is_fresh = claim.age_s < FRESH_S
        run = self._bring_record(host, scratch, new_id)
        if run is None:
            if is_fresh or self.only_look:
                return None
            return False if give_up(host, scratch, run_id, new_id) else None
        if run.job_id is None:
            # Another machine may be at it.
            is_mine = store.has(run)
            if self.only_look or (is_fresh and not is_mine) or store.is_submitting(run):
                return None
            store.save(run)
            [run] = refresh(self.session, host, [run])
        if run.job_id is None and not run.state.is_over:
            return None
        is_submitted = run.job_id is not None
        if is_submitted:
            self._runs[new_id] = run
        else:
            store.forget(run)
        if not self.only_look:
            write_down(host, scratch, run_id, [new_id], is_submitted=is_submitted)
        return is_submitted


def _statuses(run: Run) -> list[Status]:
    return [*run.task_statuses.values()] or [run.status]


def _known(store: RunStore, run_id: str) -> Run | None:
    try:
        return store.find(run_id)
    except SlipwayError:
        return None
