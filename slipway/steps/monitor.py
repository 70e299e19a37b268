"""Steps of the monitor: look how elements stand, decide what is done about those that failed, and do it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

from slipway.errors import ImageError, JobError, SlipwayError
from slipway.host.host import Host
from slipway.host.scratch import Scratch, open_scratch
from slipway.job.log_ends import read_log_ends
from slipway.job.poll import poll
from slipway.job.record import parse_run
from slipway.job.run import Reason, Run, RunPaths, Status
from slipway.job.store import RunStore
from slipway.monitor.claim import FRESH_S, Claim, read_claims, write_down
from slipway.monitor.decide import Case, Decision, count_bad_nodes, decide
from slipway.monitor.failure import END_BYTES, classify
from slipway.monitor.rule import Failure
from slipway.monitor.spending import Budget, check_costs, spent
from slipway.scheduler.base import State
from slipway.steps.monitored import Look, Seen, Stands, Target, Watched, Where
from slipway.steps.refresh import refresh
from slipway.steps.session import Session
from slipway.steps.try_again import Again, give_up, try_again
from slipway.sweep.record import Place, SweepStore

# SLURM may begin such a run again by itself, some seconds after it has called it over.
_MAY_RETURN = (Failure.PREEMPTED, Failure.NODE_FAILURE)
# Tasks of one new run: their numbers stand in one option.
_MOST_TASKS = 500


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
    _runs: dict[str, Run] = field(default_factory=dict)
    _failures: dict[Where, tuple[Failure, str]] = field(default_factory=dict)
    _claims: dict[Where, Claim] = field(default_factory=dict)
    _refused: dict[Where, tuple[str, int]] = field(default_factory=dict)
    _anywhere: set[Where] = field(default_factory=set)
    # Which of those that may begin again by themselves were seen before.
    _seen: set[Where] = field(default_factory=set)

    def __post_init__(self) -> None:
        """Read the records of all runs that are known here."""
        self.elements = list(self.target.elements)
        store = self.session.store
        for run_id in {where[0] for one in self.elements for where in one.tries}:
            if run := _known(store, run_id):
                self._runs[run_id] = run

    def look(self) -> Look:
        """How all stand now.

        Raises:
            UsageError: what a try costs is not known, and there is a budget of it.
            SlipwayError: the site could not be asked.
        """
        with self._connected() as (host, scratch):
            self._follow(host, scratch)
            self._read_failures(host)
        self._keep_places()
        return self._picture()

    def act(self, look: Look) -> list[str]:
        """Submit again what a look has decided about; nothing where a budget is spent.

        Returns:
            What was refused, in words.

        Raises:
            SshError: the connection was lost; whoever looks next finds out what was submitted.
        """
        again = [one for one in look.seen if one.decision and one.stands is Stands.FAILED]
        if look.reached or not again:
            return []
        said = []
        alive = sum(one.stands is Stands.ON_ITS_WAY for one in look.seen)
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
                    self._runs[new.run_id] = new
                    self.on_try(new)
        return said

    @contextmanager
    def _connected(self) -> Iterator[tuple[Host, Scratch]]:
        with self.session.connect(self.target.site) as host:
            host.require_commands()
            yield host, open_scratch(host, self.target.site, make=False)

    # ---- Where elements are ------------------------------------------------------------------------

    def _follow(self, host: Host, scratch: Scratch) -> None:
        """Ask how the last tries stand, and go on to those that somebody has submitted after them."""
        moved = True
        while moved:
            self._refresh(host, scratch)
            failed = [one for one in self.elements if self._has_failed(one.place)]
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

    def _refresh(self, host: Host, scratch: Scratch) -> None:
        wanted = {one.place[0] for one in self.elements}
        for run_id in wanted - set(self._runs):
            if run := self._bring_record(host, scratch, run_id):
                self._runs[run_id] = run
        runs = [self._runs[run_id] for run_id in sorted(wanted & set(self._runs))]
        self._take(refresh(self.session, host, runs))
        # What may begin again by itself is asked for once more, though it was called over.
        over = {run.run_id for run in self._runs.values() if run.state.is_over and run.run_id in wanted}
        doubtful = {where[0] for where in self._failures if self._may_return(where)} & over
        if doubtful:
            polled = poll(host, [self._runs[run_id] for run_id in sorted(doubtful)])
            returned = [run for run in polled if run != self._runs[run.run_id] and self._is_clear(run)]
            for run in returned:
                self.session.store.save(run)
            self._take(returned)

    @staticmethod
    def _is_clear(run: Run) -> bool:
        """False where SLURM could not say how it stands: what was known before counts."""
        return all(status.state is not State.UNKNOWN for status in _statuses(run))

    def _may_return(self, where: Where) -> bool:
        failure = self._failures.get(where)
        return failure is not None and failure[0] in _MAY_RETURN

    def _take(self, runs: Sequence[Run]) -> None:
        self._runs |= {run.run_id: run for run in runs}

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

    def _keep_places(self) -> None:
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

    # ---- How they stand ----------------------------------------------------------------------------

    def _status(self, where: Where) -> Status | None:
        run = self._runs.get(where[0])
        if run is None:
            return None
        return run.status if where[1] is None else run.task_statuses.get(where[1], run.status)

    def _has_failed(self, where: Where) -> bool:
        status = self._status(where)
        return status is None or (status.state.is_over and status.reason != Reason.OK)

    def _read_failures(self, host: Host) -> None:
        """Why tries failed, of which that is not known yet."""
        self._failures = {where: known for where, known in self._failures.items() if self._has_failed(where)}
        self._seen &= set(self._failures)
        new = [
            where
            for one in self.elements
            for where in one.tries
            if where not in self._failures and self._has_failed(where)
        ]
        known = [where for where in new if where[0] in self._runs]
        folders = {where: self._folder(where) for where in known}
        ends = read_log_ends(host, list(folders.values()), END_BYTES) if folders else {}
        for where in new:
            status = self._status(where)
            end = ends.get(folders[where], "") if where in folders else ""
            failure = classify(status, end) if status else Failure.UNKNOWN
            self._failures[where] = (failure or Failure.UNKNOWN, end)

    def _folder(self, where: Where) -> PurePosixPath:
        return RunPaths(PurePosixPath(self._runs[where[0]].run_dir)).of_task(where[1]).folder

    def _picture(self) -> Look:
        tries = dict.fromkeys(where for one in self.elements for where in one.tries if where[0] in self._runs)
        runs = [(self._runs[run_id], task) for run_id, task in tries]
        check_costs(self.budget, (run for run, _ in runs), self.target.site)
        costs = spent(runs, self.target.site)
        seen = [self._see(one) for one in self.elements]
        return Look(
            seen=self._with_refusals(seen),
            spent=costs,
            reached=costs.reached(self.budget, self.target.site.currency or ""),
        )

    def _see(self, one: Watched) -> Seen:
        status = self._status(one.place)
        if not self._has_failed(one.place):
            is_ok = status is not None and status.reason == Reason.OK
            return Seen(watched=one, stands=Stands.OK if is_ok else Stands.ON_ITS_WAY, status=status)
        failure, end = self._failures[one.place]
        claim = self._claims.get(one.place)
        if claim is not None and claim.is_submitted is not False:
            return Seen(watched=one, stands=Stands.ON_ITS_WAY, status=status)
        decision = self._decide(one, failure, status)
        is_first = failure in _MAY_RETURN and one.place not in self._seen
        self._seen.add(one.place)
        stands = Stands.STOPPED
        if decision.again:
            stands = Stands.ON_ITS_WAY if is_first and not self.only_look else Stands.FAILED
        return Seen(
            watched=one,
            stands=stands,
            status=status,
            decision=None if stands is Stands.ON_ITS_WAY else decision,
            log_end=end,
        )

    def _decide(self, one: Watched, failure: Failure, status: Status | None) -> Decision:
        run = self._runs.get(one.place[0])
        if run is None or status is None:
            return Decision(words=f"{one.label}: the record of {one.place[0]} is gone → stop", again=False)
        usage = run.usage if one.place[1] is None else run.task_usages.get(one.place[1])
        given = usage.asked_memory_bytes if usage else None
        case = Case(
            label=one.label,
            failure=failure,
            status=status,
            tries=len(run.tries) + 1,
            resources=run.resources,
            given_mebibytes=given / (1 << 20) if given else None,
        )
        site = self.target.site
        return decide(
            case,
            site.monitor,
            site.queues,
            most_tries=self.budget.most_tries,
            bad_nodes={} if one.place in self._anywhere else self._bad_nodes(),
            nodes=self._nodes(),
        )

    def _bad_nodes(self) -> dict[str, int]:
        failed = ((failure, self._status(where)) for where, (failure, _) in self._failures.items())
        return count_bad_nodes((failure, status.node if status else None) for failure, status in failed)

    def _nodes(self) -> set[str]:
        """Where there was a try."""
        statuses = (self._status(where) for one in self.elements for where in one.tries)
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
            for start in range(0, len(group), _MOST_TASKS):
                places = [place for place, _ in group[start : start + _MOST_TASKS]]
                yield Again(
                    run=self._runs[run_id],
                    claims={place[1]: self._next_claim(place) for place in places},
                    changes=decision.changes,
                    exclude=decision.exclude,
                )

    def _next_claim(self, where: Where) -> int:
        claim = self._claims.get(where)
        return claim.number + 1 if claim else 1


def _statuses(run: Run) -> list[Status]:
    return [*run.task_statuses.values()] or [run.status]


def _known(store: RunStore, run_id: str) -> Run | None:
    try:
        return store.find(run_id)
    except SlipwayError:
        return None
