"""Results brought home."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path, PurePosixPath

from slipway.errors import JobError, SlipwayError, TransferOnlyError
from slipway.host.host import Host
from slipway.job import results
from slipway.job.home import read_home
from slipway.job.results import Results
from slipway.job.run import Run
from slipway.job.selection import Entry, Selection
from slipway.job.wanted import Wanted, check_tasks
from slipway.progress import explain_stop
from slipway.site import Site
from slipway.steps.find import find_run
from slipway.steps.hosts import SiteHosts, is_lost
from slipway.steps.keep import where_it_lies
from slipway.steps.refresh import current, refresh
from slipway.steps.session import Session
from slipway.steps.several import as_one, never_submitted

# A connection that was lost is tried again for so long, and so often for one run.
RETRY_S = 600.0
_TRIES = 5
# Runs that a note names.
_NAMED = 3


@dataclass(frozen=True, kw_only=True)
class Pulled:
    """A run whose results were brought home, as it stands, and what was brought."""

    run: Run
    results: Results


@dataclass(frozen=True, kw_only=True)
class Order:
    """What is to be brought of each run, and to where.

    Attributes:
        wanted: which files.
        into: the folder that gets a folder for each run; ``None`` for the project's.
        tasks: which tasks of a run, by its id, where these are not the same for all.
    """

    wanted: Wanted = field(default_factory=Wanted)
    into: Path | None = None
    tasks: Mapping[str, frozenset[int]] = field(default_factory=dict)

    def wanted_of(self, run: Run) -> Wanted:
        """Which files of a run."""
        tasks = self.tasks.get(run.run_id)
        return replace(self.wanted, tasks=tasks) if tasks else self.wanted

    def folder(self, session: Session) -> Path:
        """Where results go."""
        return self.into or session.project.results


def pull(session: Session, prefix: str | None, order: Order | None = None) -> Pulled:
    """Bring a run's results home; see :func:`slipway.job.results.pull`.

    Raises:
        JobError: the run was never submitted.
    """
    run, site = find_run(session, prefix)
    order = order or Order()
    with explain_stop(_what_is_left(session, run, order)), session.connect(site) as host:
        return _pull(session, host, current(session, host, run), order)


def pull_several(
    session: Session,
    found: Sequence[tuple[Run, Site]],
    order: Order,
    on_pulled: Callable[[Pulled], None],
    host: Host | None = None,
) -> SlipwayError | None:
    """Bring the results of several runs home; none that fails stops the others.

    A connection that is lost is made again, and the run that was under way goes on where it was.

    Args:
        session: the checkout's.
        found: the runs, and their sites.
        order: what of each is wanted.
        on_pulled: is given each that was brought.
        host: a connection to the first one's site, which stays open.

    Returns:
        What could not be brought.
    """
    errors: dict[str, SlipwayError] = {}
    with SiteHosts(session) as hosts:
        if host is not None and host.is_open:
            hosts.lend(found[0][1], host)
        for run, site in found:
            try:
                with explain_stop(_what_is_left(session, run, order)):
                    pulled = _persist(session, hosts, run, site, order)
                on_pulled(pulled)
                pulled.results.check()
            except SlipwayError as error:
                errors[run.run_id] = error
    return as_one(errors, len(found), "were not brought whole")


def find_not_home(session: Session, order: Order) -> tuple[list[tuple[Run, Site]], SlipwayError | None]:
    """The runs that are over and whose results are not home, and why some could not be asked for.

    How those stand that were not over yet is asked, once a site. Those that are gone on their cluster are
    told in a note.
    """
    found: list[tuple[Run, Site]] = []
    errors: dict[str, SlipwayError] = {}
    folder = order.folder(session)
    waiting = [run for run in session.store.select(_NotHome(folder=folder)) if not never_submitted(run)]
    with SiteHosts(session) as hosts:
        for name, group in groupby(sorted(waiting, key=lambda run: run.site), key=lambda run: run.site):
            try:
                site = session.site(name)
                there = _there(session, hosts.of(site), list(group))
                found += [(run, site) for run in there if not never_submitted(run)]
            except SlipwayError as error:
                errors[name] = error
    ordered = sorted(found, key=lambda pair: pair[0].submitted, reverse=True)
    return ordered, as_one(errors, len(errors), "could not be asked")


@dataclass(frozen=True, kw_only=True)
class _NotHome(Selection):
    """Runs that are not home as a whole; records of the others are not read."""

    folder: Path

    def matches(self, run: Entry) -> bool:
        """True where the run is meant."""
        home = read_home(self.folder, run)
        return home is None or not home.is_complete


def _there(session: Session, host: Host, runs: Sequence[Run]) -> list[Run]:
    """Those of a site's runs that are over, and still there."""
    alive = [run for run in runs if not run.status.state.is_over]
    over = [run for run in runs if run.status.state.is_over]
    with suppress(TransferOnlyError):
        over += [run for run in (refresh(session, host, alive) if alive else []) if run.status.state.is_over]
    folders = {PurePosixPath(run.run_dir).parent for run in over}
    names = {folder: {*host.list(folder)} for folder in folders}
    gone = [
        run for run in over if not run.kept and run.run_id not in names[PurePosixPath(run.run_dir).parent]
    ]
    if gone:
        named = ", ".join(run.run_id for run in gone[:_NAMED]) + (", …" if len(gone) > _NAMED else "")
        session.progress.note(
            f"{len(gone):,} that were not brought home are not at {gone[0].site} any more: {named}"
        )
    return [run for run in over if run not in gone]


def _persist(session: Session, hosts: SiteHosts, run: Run, site: Site, order: Order) -> Pulled:
    host = hosts.of(site)
    for left in reversed(range(_TRIES)):
        try:
            return _pull(session, host, current(session, host, run), order)
        except SlipwayError as error:
            if not (left and is_lost(host, error)):
                raise
            host = hosts.again(site, error, RETRY_S)
    raise AssertionError


def _pull(session: Session, host: Host, run: Run, order: Order) -> Pulled:
    if never_submitted(run):
        raise JobError(f"{run.run_id} has no results: {run.status.note}")
    wanted = order.wanted_of(run)
    check_tasks(run, wanted.tasks)
    folder, source = order.folder(session), where_it_lies(session, host, run)
    brought = results.pull(host, run, folder, session.progress, wanted, source=source)
    return Pulled(run=run, results=brought)


def _what_is_left(session: Session, run: Run, order: Order) -> str:
    return f"what has arrived is in {order.folder(session) / run.run_id}; `invoke pull {run.run_id}` goes on"
