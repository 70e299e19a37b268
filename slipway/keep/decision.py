"""What may go of what lies on a cluster and here, and why the rest stays. Nothing here asks or removes."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from slipway.dataset.packing import dataset_of
from slipway.job.run import Run
from slipway.keep.age import age_words
from slipway.keep.survey import Item, Survey, Uses
from slipway.runtime.base import SUFFIXES
from slipway.scheduler.base import State

# A snapshot that came just now may be one whose run is written down in a moment.
_FRESH_S = 3600


@dataclass(frozen=True, kw_only=True)
class Criteria:
    """What a user wants to be rid of.

    Attributes:
        kinds: which kinds; ``results`` are those here.
        older_than_s: nothing that was written to since.
        states: only runs that ended so; empty for all.
        keep_last: not so many of the newest runs.
        runs: only the runs of these ids; empty for all of this checkout.
        data: the datasets of these names, and no others; of packed ones all versions. Without names only
            packed versions that are not the newest.
        not_home: also runs whose results are not home, and results here that are nowhere else.
    """

    kinds: AbstractSet[str] = frozenset({"runs", "code"})
    older_than_s: int | None = None
    states: AbstractSet[State] = frozenset()
    keep_last: int | None = None
    runs: AbstractSet[str] = frozenset()
    data: AbstractSet[str] = frozenset()
    not_home: bool = False

    @property
    def name_runs(self) -> bool:
        """True where they say which runs; otherwise no run is removed."""
        return bool(self.states or self.runs) or self.older_than_s is not None or self.keep_last is not None


@dataclass(frozen=True, kw_only=True)
class Known:
    """What is known beside the survey.

    Attributes:
        now_s: seconds since 1970.
        runs: this checkout's runs at the site, as they stand, by their ids.
        active: the names of jobs that wait or run.
        home: the ids of runs whose results are home as a whole.
        results: what is in ``results/`` here, an item a run of this site.
        brought: how many files of these runs a pull has brought, and how many bytes, by their ids.
    """

    now_s: float
    runs: Mapping[str, Run]
    active: AbstractSet[str]
    home: AbstractSet[str] = frozenset()
    results: Sequence[Item] = ()
    brought: Mapping[str, tuple[int, int]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What is to be removed, and why the rest stays, for each item one sentence without its subject."""

    remove: Sequence[Item] = ()
    stay: Mapping[str, Sequence[Item]] = field(default_factory=dict)


def decide(survey: Survey, known: Known, criteria: Criteria) -> Decision:
    """What may go.

    Args:
        survey: what lies on the cluster.
        known: what is known beside that.
        criteria: what is wanted to go.
    """
    remove: list[Item] = []
    stay: dict[str, list[Item]] = {}

    def sort(items: Sequence[Item], why: Callable[[Item], str | None]) -> None:
        for item in items:
            reason = why(item)
            if reason is None:
                remove.append(item)
            else:
                stay.setdefault(reason, []).append(item)

    of_kind = {
        kind: [item for item in survey.scratch if item.kind == kind] for kind in criteria.kinds - {"results"}
    }
    if criteria.name_runs:
        sort(of_kind.get("runs", ()), lambda item: why_run_stays(item, survey, known, criteria))
    going = frozenset(item.name for item in remove)
    shared = _Shared(survey=survey, known=known, criteria=criteria, going=going)
    for kind in ("code", "cache", "images", "data", "packed"):
        sort([item for item in of_kind.get(kind, ()) if shared.concerns(item)], shared.why_stays)
    if "results" in criteria.kinds and criteria.name_runs:
        there = frozenset(item.name for item in survey.scratch if item.kind == "runs") - going
        sort(known.results, lambda item: why_results_stay(item, there, survey, known, criteria))
    return Decision(remove=remove, stay=stay)


def why_run_stays(item: Item, survey: Survey, known: Known, criteria: Criteria) -> str | None:
    """Why a run's folder has to stay in scratch, or ``None``."""
    run, named = known.runs.get(item.name), item.name in criteria.runs
    if why := why_in_use(item.name, survey.uses, known):
        return why
    if item.name.startswith("."):
        return "is no run"
    if run is None and not named:
        return "is a run of another checkout; --run with its whole id names it"
    if why := _why_not_wanted(item, run, known, criteria):
        return why
    if item.owner != survey.user:
        return f"belongs to {item.owner}"
    if run is not None and run.removed_s is not None:
        return None  # An earlier removal did not come to its end.
    is_kept = _holds(survey.kept_runs.get(item.name), item.files, item.size_bytes)
    safe = item.name in known.home or is_kept or not item.has_begun
    return None if safe or criteria.not_home else "has results that are not home; --not-home removes it, too"


def why_in_use(run_id: str, uses: Uses, known: Known) -> str | None:
    """Why a run has to stay because of its job, or ``None``."""
    run = known.runs.get(run_id)
    if run_id in known.active:
        return "is queued or running"
    if run_id in uses.young:
        return "was submitted just now"
    if run is not None and not run.status.state.is_over:
        return f"is {run.status.state.value}, and not known to be over"
    return None


def _why_not_wanted(item: Item, run: Run | None, known: Known, criteria: Criteria) -> str | None:
    if criteria.runs and item.name not in criteria.runs:
        return "is not named"
    if run is not None and item.name in _newest(known, criteria):
        return f"is one of the newest {criteria.keep_last}"
    if criteria.states and (run is None or run.status.state not in criteria.states):
        return f"is not {' or '.join(sorted(state.value for state in criteria.states))}"
    return _why_too_young(item, known, criteria)


def _why_too_young(item: Item, known: Known, criteria: Criteria) -> str | None:
    if criteria.older_than_s is None or known.now_s - item.written_s >= criteria.older_than_s:
        return None
    return f"is younger than {age_words(criteria.older_than_s)}"


def _newest(known: Known, criteria: Criteria) -> AbstractSet[str]:
    if not criteria.keep_last:
        return frozenset()
    newest = sorted(known.runs.values(), key=lambda run: run.submitted, reverse=True)
    return {run.run_id for run in newest[: criteria.keep_last]}


def why_results_stay(
    item: Item, there: AbstractSet[str], survey: Survey, known: Known, criteria: Criteria
) -> str | None:
    """Why what was brought home of a run has to stay here, or ``None``.

    Args:
        item: the folder in ``results/``.
        there: the runs that stay in scratch.
        survey: what lies on the cluster.
        known: the runs.
        criteria: what is wanted to go.
    """
    if why := _why_not_wanted(item, known.runs.get(item.name), known, criteria):
        return why
    count, size_bytes = known.brought.get(item.name, (item.files, item.size_bytes))
    in_scratch = survey.runs.get(item.name) if item.name in there else None
    copies = (in_scratch, survey.kept_runs.get(item.name))
    elsewhere = any(_holds(copy, count, size_bytes) for copy in copies)
    return (
        None if elsewhere or criteria.not_home else "is not whole anywhere else; --not-home removes it, too"
    )


def _holds(copy: Item | None, files: int, size_bytes: int) -> bool:
    """True where a copy has as much as that; a site's purge, or somebody's hand, leaves folders with less."""
    return copy is not None and copy.files >= files and copy.size_bytes >= size_bytes


@dataclass(frozen=True, kw_only=True)
class _Shared:
    """What several runs may share: code, caches, images and data."""

    survey: Survey
    known: Known
    criteria: Criteria
    going: AbstractSet[str]

    def concerns(self, item: Item) -> bool:
        """False for what is on its way, and for what was not named."""
        if item.kind == "data":
            return item.name in self.criteria.data
        if item.kind == "packed":
            name = dataset_of(item.name)
            return name is not None and (not self.criteria.data or name in self.criteria.data)
        if item.kind == "images":
            return item.name.endswith(SUFFIXES) and not item.name.startswith(".")
        return not item.name.startswith(".")

    def why_stays(self, item: Item) -> str | None:
        """Why it has to stay, or ``None``."""
        if not self.survey.uses.is_whole:
            return "may be used by a run whose record cannot be read"
        if item.owner != self.survey.user:
            return f"belongs to {item.owner}"
        if item.kind == "code":
            return self._why_code(item)
        is_newest = item.name in self.survey.uses.newest
        if is_newest and (item.kind == "images" or (item.kind == "packed" and not self.criteria.data)):
            return "is the newest"
        if user := self._user(item):
            return f"is used by {user}"
        return None if item.kind == "data" else _why_too_young(item, self.known, self.criteria)

    def _why_code(self, item: Item) -> str | None:
        if self.known.now_s - item.arrived_s < _FRESH_S:
            return "came just now"
        runs = self.survey.uses.runs.items()
        of = next((run for run, use in runs if use.code == item.name and run not in self.going), None)
        return f"is the code of {of}" if of else None

    def _user(self, item: Item) -> str | None:
        """A run that waits or runs, and that needs it."""
        return next((run for run in self._alive() if self._needs(run, item)), None)

    def _alive(self) -> list[str]:
        """Runs whose jobs wait or run, or may; those of other people, which SLURM was not asked about."""
        owners = {one.name: one.owner for one in self.survey.scratch if one.kind == "runs"}
        others = {run for run, owner in owners.items() if owner != self.survey.user}
        mine = {run for run in self.known.runs if why_in_use(run, self.survey.uses, self.known)}
        active = {run for run in self.survey.uses.runs if run in self.known.active}
        return sorted(mine | active | others | self.survey.uses.young)

    def _needs(self, run_id: str, item: Item) -> bool:
        use = self.survey.uses.runs.get(run_id)
        if use is None:
            return False
        if item.kind == "data":
            return self._may_read(run_id, item.name)
        if item.kind == "packed":
            return item.name in use.packed
        return item.name in ((use.sif,) if item.kind == "images" else (use.cache,))

    def _may_read(self, run_id: str, dataset: str) -> bool:
        """True where its arguments name the dataset, or none of those that are there."""
        run = self.known.runs.get(run_id)
        words = " ".join([*run.program, *run.args]) if run else ""
        named = {one.name for one in self.survey.scratch if one.kind == "data" and _names(words, one.name)}
        return dataset in named or not named


def _names(words: str, dataset: str) -> bool:
    return dataset in {part for word in re.split(r"[\s=]+", words) for part in word.split("/")}
