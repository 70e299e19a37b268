"""How a sweep stands, as values and as lines. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from slipway.job.elements import describe_values
from slipway.job.run import Reason, Run, Status
from slipway.sweep.record import Sweep, SweepElement

# Elements that are named one by one.
_NAMED = 20


@dataclass(frozen=True, kw_only=True)
class ElementState:
    """An element, its run, and how it stands there; ``None`` where it was not submitted or is not known."""

    element: SweepElement
    run: Run | None
    status: Status | None

    @property
    def is_ok(self) -> bool:
        """True where it has ended well."""
        return self.status is not None and self.status.reason == Reason.OK

    @property
    def has_failed(self) -> bool:
        """True where it is over, and has not ended well."""
        return self.status is not None and self.status.state.is_over and not self.is_ok

    @property
    def word(self) -> str:
        """Its state and, once it is over, why it ended so."""
        if self.status is None:
            return "not submitted" if self.element.place is None else "not known"
        state = self.status.state
        return f"{state} {self.status.reason}" if state.is_over and self.status.reason else str(state)


def element_states(sweep: Sweep, runs: Mapping[str, Run]) -> list[ElementState]:
    """How each element of a sweep stands, by its runs."""
    states = []
    for element in sweep.elements:
        run = runs.get(element.place.run_id) if element.place else None
        status = None
        if run is not None and element.place is not None:
            status = run.task_statuses.get(element.place.task) or run.status
        states.append(ElementState(element=element, run=run, status=status))
    return states


def sweep_values(sweep: Sweep, states: Sequence[ElementState]) -> dict[str, Any]:
    """What ``status --sweep --json`` says."""
    return {
        "sweep_id": sweep.sweep_id,
        "name": sweep.name,
        "profile": sweep.profile,
        "site": sweep.site,
        "submitted": sweep.submitted,
        "args": list(sweep.args),
        "counts": dict(Counter(one.word for one in states)),
        "elements": [
            {
                "values": dict(one.element.values),
                "run_id": one.element.place.run_id if one.element.place else None,
                "task": one.element.place.task if one.element.place else None,
                "earlier": one.element.is_older,
                "state": one.status.state.value if one.status else None,
                "reason": one.status.reason if one.status else None,
                "exit_code": one.status.exit_code if one.status else None,
                "elapsed_s": one.status.elapsed_s if one.status else None,
            }
            for one in states
        ],
    }


def sweep_lines(sweep: Sweep, states: Sequence[ElementState]) -> list[str]:
    """How many elements stand how, and each that has failed, by its values."""
    counts = Counter(one.word for one in states)
    older = sum(one.element.is_older for one in states)
    head = f"sweep {sweep.shown}: {len(states)} elements"
    lines = [f"{head}, {older} of them of earlier sweeps" if older else head]
    lines += [f"  {count:>6,}  {word}" for word, count in counts.most_common()]
    failed = [one for one in states if one.has_failed]
    if failed:
        lines.append("failed:")
        lines += [f"  {describe_failure(one)}" for one in failed[:_NAMED]]
    if len(failed) > _NAMED:
        lines.append(f"  and {len(failed) - _NAMED:,} more; `--json` has all of them")
    return lines


def describe_failure(one: ElementState) -> str:
    """An element that has failed, by its values: how it ended, and where."""
    place, code = one.element.place, one.status.exit_code if one.status else None
    where = f"{place.run_id} task {place.task}" if place else ""
    ended = f"exit code {code}" if code is not None else ""
    return "  ".join(filter(None, (describe_values(one.element.values), one.word, ended, where)))
