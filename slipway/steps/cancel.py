"""Jobs that are ended."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import groupby

from slipway.errors import JobError, RemoteError, SlipwayError, UsageError
from slipway.host.host import Host
from slipway.job import watch
from slipway.job.run import LOCAL, Run
from slipway.job.selection import Selection
from slipway.scheduler.base import State
from slipway.scheduler.find import find_scheduler
from slipway.site import Site
from slipway.steps.find import describe_arguments, find_record, find_site, which_run
from slipway.steps.hosts import SiteHosts
from slipway.steps.local_runs import cancel_here, look_here
from slipway.steps.refresh import refresh, save
from slipway.steps.session import Session
from slipway.steps.several import as_one

_WAITING = frozenset({State.PENDING})


def cancel(session: Session, prefix: str | None) -> tuple[Run, bool]:
    """Cancel a run's job; without a name the newest, if the person at the terminal says yes to it.

    Returns:
        The run as it stands then, and whether it was over before.

    Raises:
        UsageError: it was not named, and nobody said yes.
    """
    run = find_record(session, prefix or _confirm_newest(session).run_id, to_end=True)
    if run.site == LOCAL:
        (before,) = look_here(session, [run])
        return cancel_here(session, before), before.status.state.is_over
    with session.connect(find_site(session, run)) as host:
        before = refresh(session, host, [run])[0]
        return save(session, watch.cancel(host, before)), before.status.state.is_over


def find_named(session: Session, words: Sequence[str]) -> list[Run]:
    """The runs that are to be ended, by their ids or names, in this order and each once.

    Raises:
        UsageError: there is none of this name, or its site is not known.
    """
    runs = {run.run_id: run for run in (find_record(session, word, to_end=True) for word in words)}
    for run in runs.values():
        if run.site != LOCAL:
            find_site(session, run)
    return [*runs.values()]


def find_alive(session: Session, selection: Selection) -> list[Run]:
    """The runs of a selection that may not be over, however they stood when they were last seen."""
    return [*session.store.select(replace(selection, states=frozenset(), over=False))]


@dataclass(frozen=True, kw_only=True)
class Cancelling:
    """Several runs that are cancelled, at as many sites as they have, and on this machine.

    Args:
        session: the checkout's.
        states: only those that stand so; all, where there are none.
        confirm: is asked about those that are to be cancelled, as they stand now.
        on_cancelled: is given each, as it stands then, and whether it was over before.
    """

    session: Session
    states: Set[State] = frozenset()
    confirm: Callable[[Sequence[Run]], bool] = lambda runs: True
    on_cancelled: Callable[[Run, bool], None] = lambda run, was_over: None
    _errors: dict[str, SlipwayError] = field(default_factory=dict)

    def cancel(self, runs: Sequence[Run], *, tell_over: bool) -> SlipwayError | None:
        """Cancel runs; none that fails stops the others.

        Args:
            runs: which.
            tell_over: those that are over already are told as well.

        Returns:
            What could not be cancelled.

        Raises:
            UsageError: nobody has confirmed it. Nothing was cancelled.
        """
        with SiteHosts(self.session) as hosts:
            here = [run for run in runs if run.site == LOCAL]
            sites = {run.run_id: site for run, site in self._sites(run for run in runs if run.site != LOCAL)}
            now = [*look_here(self.session, here), *self._as_of_now(hosts, runs, sites)]
            alive = [run for run in now if not run.status.state.is_over and self._is_meant(run)]
            count = len(self._errors) + len(alive)
            if alive and not self.confirm(alive):
                raise UsageError(
                    "nothing was cancelled: that needs a yes. Type it at a terminal, or add --yes"
                )
            for run in now if tell_over else ():
                if run.status.state.is_over:
                    self.on_cancelled(run, True)
            for site, some in groupby(alive, key=lambda run: run.site):
                if site == LOCAL:
                    self._cancel_here(list(some))
                else:
                    self._cancel_at(hosts, sites, list(some))
        return as_one(self._errors, count, "were not cancelled")

    @property
    def _only_waiting(self) -> bool:
        return self.states == _WAITING

    def _is_meant(self, run: Run) -> bool:
        return not self.states or run.status.state in self.states

    def _sites(self, runs: Iterable[Run]) -> Iterable[tuple[Run, Site]]:
        for run in runs:
            try:
                yield run, self.session.site(run.site)
            except SlipwayError as error:
                self._errors[run.run_id] = error

    def _as_of_now(self, hosts: SiteHosts, runs: Sequence[Run], sites: dict[str, Site]) -> list[Run]:
        """The runs that could be asked for, site by site."""
        known = sorted((run for run in runs if run.run_id in sites), key=lambda run: run.site)
        now: list[Run] = []
        for _, group in groupby(known, key=lambda run: run.site):
            some = list(group)
            try:
                now += refresh(self.session, hosts.of(sites[some[0].run_id]), some)
            except SlipwayError as error:
                self._errors.update({run.run_id: error for run in some})
        return now

    def _cancel_here(self, runs: Sequence[Run]) -> None:
        for run in runs:
            try:
                self.on_cancelled(cancel_here(self.session, run), False)
            except SlipwayError as error:
                self._errors[run.run_id] = error

    def _cancel_at(self, hosts: SiteHosts, sites: dict[str, Site], runs: Sequence[Run]) -> None:
        try:
            host = hosts.of(sites[runs[0].run_id])
            with_job = [run for run in runs if run.job_id is not None]
            for run in with_job:
                with suppress(RemoteError):  # Without its folder it does not go on either.
                    watch.mark_cancelled(host, run)
            refused = self._end(host, with_job)
            after = refresh(self.session, host, runs)
        except SlipwayError as error:
            self._errors.update({run.run_id: error for run in runs})
            return
        for run in after:
            if run.job_id is None:
                who = find_scheduler(run.scheduler).title
                why = f"{who} knows no job {run.run_id}; `invoke status` asks it again"
                refused[run.run_id] = JobError(why)
            if self._only_waiting and not run.status.state.is_over:
                refused.setdefault(run.run_id, JobError("it began meanwhile, and goes on"))
            if run.run_id in refused and not run.status.state.is_over:
                self._errors[run.run_id] = refused[run.run_id]
                with suppress(SlipwayError):
                    watch.unmark_cancelled(host, run)
            else:
                self.on_cancelled(run, False)

    def _end(self, host: Host, runs: Sequence[Run]) -> dict[str, SlipwayError]:
        """Have the scheduler end jobs, all at once; where it refuses that, one by one, to see which."""
        if not runs:
            return {}
        scheduler, job_ids = find_scheduler(runs[0].scheduler), [str(run.job_id) for run in runs]
        try:
            scheduler.cancel(host, job_ids, only_waiting=self._only_waiting)
        except RemoteError as error:
            if len(runs) == 1:
                return {runs[0].run_id: error}
            refused = (self._end(host, [run]) for run in runs)
            return {run_id: why for one in refused for run_id, why in one.items()}
        return {}


def _confirm_newest(session: Session) -> Run:
    run = session.store.find(None)
    if run.status.state.is_over:
        return run  # There is nothing to lose.
    newest = f"{run.run_id} ({describe_arguments(run)})"
    if not says_yes(session, f"Cancel {newest}, {which_run(run)}? Type yes to cancel it: "):
        raise UsageError(f"nothing was cancelled; name the run: `invoke cancel RUN`. The newest is {newest}")
    return run


def says_yes(session: Session, question: str) -> bool:
    """True where somebody at the terminal answers a question with yes."""
    answer = session.prompt.ask(question, echo=True)
    return answer is not None and answer.strip().lower() in ("y", "yes")
