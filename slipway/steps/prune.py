"""What lies at a site and here: shown, and removed."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from slipway.dataset.packing import dataset_of
from slipway.errors import IncompleteError, ParseError, RemoteError, UsageError
from slipway.host.host import Host
from slipway.host.scratch import Scratch, kept_folder
from slipway.job.home import read_home
from slipway.job.run import Run
from slipway.job.selection import Selection, find_called, parse_states
from slipway.keep.age import parse_age
from slipway.keep.decision import Criteria, Decision, Known, decide, why_in_use
from slipway.keep.here import remove_here, results_here, state_here
from slipway.keep.removal import Removed, remove_items, show_again, still_needed
from slipway.keep.survey import Item, Survey, look_again, take_survey
from slipway.progress import explain_stop
from slipway.push.admit import forget
from slipway.scheduler.find import find_scheduler
from slipway.site import Site
from slipway.steps.purge import forget_purge
from slipway.steps.refresh import refresh
from slipway.steps.session import Session
from slipway.text.nearest import nearest

_KINDS = ("runs", "code", "cache", "data", "packed", "images", "results")


@dataclass(frozen=True, kw_only=True)
class Costs:
    """What lies where: a survey of the site, what is here, and this checkout's runs there by their ids."""

    survey: Survey
    here: Sequence[Item]
    runs: Mapping[str, Run]


@dataclass(frozen=True, kw_only=True)
class Pruned:
    """What came of it: what is gone, and what stayed after all, with the reason."""

    gone: Sequence[Item]
    kept: Sequence[tuple[Item, str]] = ()
    failed: Sequence[tuple[Item, str]] = ()

    def check(self) -> None:
        """Say what could not be removed, once all else is said.

        Raises:
            IncompleteError: there is something.
        """
        if self.failed:
            lines = "".join(f"\n  {item.path}: {why}" for item, why in self.failed)
            raise IncompleteError(f"{len(self.failed):,} could not be removed; the others are gone:{lines}")


Confirm = Callable[[Costs, Decision], bool]


@explain_stop("what was removed is gone, what was only hidden is shown again by the next `invoke runs.prune`")
def prune(session: Session, site: Site, criteria: Criteria, confirm: Confirm) -> Pruned:
    """Show what lies at a site and here, and remove what is not wanted any more.

    Args:
        session: the checkout's.
        site: the site.
        criteria: what is not wanted.
        confirm: is shown the costs and what would go, and says whether it may.

    Raises:
        RemoteError: SLURM could not be asked; nothing was removed.
        UsageError: a run or a dataset that was named is not there.
    """
    progress = session.progress
    with session.open_scratch(site, make=False) as (host, scratch):
        host.require_commands()
        progress.step(f"Looking through {scratch.root}")
        survey = take_survey(host, scratch, kept_folder(host, site), progress)
        _note_problems(session, survey)
        known = _known(session, host, site, survey)
        _show_hidden(session, host, site, scratch, survey, known)
        _check_names(session, criteria, survey, known)
        decision = decide(survey, known, criteria)
        here = [*known.results, *state_here(session.project)]
        costs = Costs(survey=survey, here=here, runs=known.runs)
        if not confirm(costs, decision):
            return Pruned(gone=())
        there = [item for item in decision.remove if item.kind != "results"]
        removed = _remove_there(session, host, site, scratch, known, survey, there)
        forget_purge(session, host, scratch, site)
    gone, failed = remove_here(session.project, [item for item in decision.remove if item.kind == "results"])
    return Pruned(gone=[*removed.gone, *gone], kept=removed.kept, failed=[*removed.failed, *failed])


def _known(session: Session, host: Host, site: Site, survey: Survey) -> Known:
    """This checkout's runs at the site as they stand, and the jobs that wait or run."""
    runs = session.store.select(Selection(site=site.name))
    alive = [run for run in runs if not run.state.is_over]
    fresh = {run.run_id: run for run in (refresh(session, host, alive) if alive else ())}
    runs = [fresh.get(run.run_id, run) for run in runs]
    by_id = {run.run_id: run for run in runs}
    there = [by_id[item.name] for item in survey.scratch if item.kind == "runs" and item.name in by_id]
    results = [item for item in results_here(session.project) if item.name in by_id]
    looked_for = {run.run_id: run for run in [*there, *(by_id[item.name] for item in results)]}
    homes = {run_id: read_home(session.project.results, run) for run_id, run in looked_for.items()}
    return Known(
        now_s=time.time(),
        runs=by_id,
        active=_active(host, site),
        home={run_id for run_id, home in homes.items() if home and home.is_complete},
        results=results,
        brought={run_id: (home.count, home.size_bytes) for run_id, home in homes.items() if home},
    )


def _active(host: Host, site: Site) -> frozenset[str]:
    active = None
    try:
        active = find_scheduler(site.scheduler).active_names(host)
    except ParseError as error:
        raise RemoteError(f"{error}; nothing was removed") from error
    if active is None:
        raise RemoteError(
            f"{host.target}: {find_scheduler(site.scheduler).title} does not say which jobs wait or run, so "
            "nothing was removed; try again later"
        )
    return frozenset(active)


def _remove_there(
    session: Session,
    host: Host,
    site: Site,
    scratch: Scratch,
    known: Known,
    survey: Survey,
    items: Sequence[Item],
) -> Removed:
    runs = frozenset(item.name for item in items if item.kind == "runs")
    before = frozenset(run for run in survey.uses.runs if why_in_use(run, survey.uses, known))

    def look() -> Callable[[Item], str | None] | None:
        try:
            active = _active(host, site)
            uses = look_again(host, scratch, session.progress)
        except (RemoteError, ParseError):
            return None
        return still_needed(uses, active, runs, before) if uses.is_whole or not _share(items) else None

    with session.lock(f"prune-{site.name}", f"Waiting for another removal at {site.name}"):
        begin = partial(_write_down, session, known)
        removed = remove_items(host, scratch, items, look, session.progress, begin)
        forget(host, site, [scratch.images / item.name for item in removed.gone if item.kind == "images"])
        return removed


def _show_hidden(
    session: Session, host: Host, site: Site, scratch: Scratch, survey: Survey, known: Known
) -> None:
    """Show again what a removal that was cut has only hidden, so that whatever does not go is found again."""
    begun = {f"runs/{run.run_id}" for run in known.runs.values() if run.removed_s is not None}
    own = [item for item in survey.scratch if item.owner == survey.user and item.path not in begun]
    hidden = [item for item in own if item.is_hidden]
    if not hidden:
        return
    with session.lock(f"prune-{site.name}", f"Waiting for another removal at {site.name}"):
        shown = show_again(host, scratch, hidden, session.progress)
    if shown:
        names = ", ".join(item.path for item in shown[:3]) + (", …" if len(shown) > 3 else "")
        session.progress.note(
            f"{len(shown):,} that a removal that was cut had hidden are shown again: {names}"
        )


def _share(items: Sequence[Item]) -> bool:
    return any(item.kind != "runs" for item in items)


def _write_down(session: Session, known: Known, going: Sequence[Item]) -> None:
    """Say in the records of runs that their folders are removed; all else in them stays."""
    now_s = int(time.time())
    for item in going:
        run = known.runs.get(item.name) if item.kind == "runs" else None
        if run is not None and session.store.has(run):
            session.store.save(replace(run, removed_s=run.removed_s or now_s))


def _check_names(session: Session, criteria: Criteria, survey: Survey, known: Known) -> None:
    there = {kind: {item.name for item in survey.scratch if item.kind == kind} for kind in ("data", "runs")}
    there["data"] |= {dataset_of(item.name) or "" for item in survey.scratch if item.kind == "packed"} - {""}
    for name in sorted(criteria.data - there["data"]):
        raise UsageError(f"no dataset {name!r} lies in scratch{nearest(name, there['data'])}")
    for name in sorted(criteria.runs - there["runs"]):
        if name not in known.runs:
            raise UsageError(f"there is no run {name!r}, neither here nor in scratch")
        session.progress.note(f"{name} has no folder in scratch any more")


def _note_problems(session: Session, survey: Survey) -> None:
    said = [line for line in survey.problems if "No such file" not in line]
    if said:
        more = f"\n  and {len(said) - 5:,} more" if len(said) > 5 else ""
        session.progress.note("Not all could be looked at:\n  " + "\n  ".join(said[:5]) + more)


def make_criteria(
    session: Session,
    site: Site,
    *,
    kinds: str | None,
    older_than: str | None,
    states: Sequence[str],
    keep_last: str | None,
    runs: Sequence[str],
    data: Sequence[str],
    not_home: bool,
) -> Criteria:
    """What the words on a command line ask to be rid of.

    Raises:
        UsageError: one of them is none of the words that it may be.
    """
    wanted = {word.strip() for word in (kinds or "runs,code").split(",") if word.strip()}
    for word in sorted(wanted - set(_KINDS)):
        raise UsageError(f"--kind {word}: write some of {', '.join(_KINDS)}{nearest(word, _KINDS)}")
    of_data = {"data", "packed"}
    if "data" in wanted and not data:
        raise UsageError("--kind data: a dataset goes only when it is named; add --data NAME")
    if keep_last is not None and not (keep_last.isdecimal() and len(keep_last) < 10):
        raise UsageError(f"--keep-last {keep_last[:100]}: write how many runs as a number")
    return Criteria(
        kinds=frozenset(wanted | (set() if not data or wanted & of_data else of_data)),
        older_than_s=None if older_than is None else parse_age(older_than, "--older-than"),
        states=frozenset(parse_states(states)),
        keep_last=None if keep_last is None else int(keep_last),
        runs=_find_ids(session, site, runs),
        data=frozenset(data),
        not_home=not_home,
    )


def _find_ids(session: Session, site: Site, words: Sequence[str]) -> frozenset[str]:
    """The runs that are meant: this checkout's by what they are called, others by their whole ids."""
    found = set()
    for word in words:
        if not word:
            raise UsageError("--run has no value; write a run's id or name, or the beginning of either")
        mine = find_called(word, session.store.select(Selection(prefixes=(word,), site=site.name)))
        if len(mine) > 1:
            ids = ", ".join(run.run_id for run in mine[:10])
            raise UsageError(f"{word!r} is the beginning of several runs' ids: {ids}; write more of it")
        found.add(mine[0].run_id if mine else word)
    return frozenset(found)
