"""What `invoke retry` says: which elements are submitted again, and why others are not. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from slipway.job.run import Status
from slipway.resources import Resources
from slipway.steps.retry import Candidate, Kind, Picked
from slipway.text.wording import one_line

# Elements that are named one by one.
_NAMED = 20


def retry_lines(picked: Picked, asked: Resources) -> list[str]:
    """Each element that is submitted again, how it ended, and what is asked for otherwise."""
    wanted = _asked_words(asked)
    with_what = f" with {wanted}" if wanted else ""
    lines = [f"{_describe(one)} → again{with_what}" for one in picked.again[:_NAMED]]
    return [*lines, *_more(picked.again)]


def left_lines(picked: Picked) -> list[str]:
    """What is not submitted again, though it has not ended well."""
    unknown = [one for one in picked.left if one.kind is Kind.UNKNOWN]
    lines = []
    if unknown:
        them = "1 is" if len(unknown) == 1 else f"{len(unknown):,} are"
        they = "it ended, and it" if len(unknown) == 1 else "they ended, and they"
        lines.append(f"{them} left as before, since nobody knows how {they} may have ended well:")
        lines += [f"  {_describe(one)}" for one in unknown[:_NAMED]]
        lines += _more(unknown)
    if picked.not_submitted:
        elements = _elements(picked.not_submitted)
        lines.append(f"{elements} not submitted yet; `invoke sweep` with the same file submits them")
    return lines


def nothing_line(picked: Picked) -> str:
    """That nothing is submitted again, and why."""
    words = ", ".join(f"{count:,} {kind.value}" for kind, count in picked.counts.items())
    return f"Nothing is to be submitted again: {words or 'nothing was submitted'}"


def taken_line(count: int) -> str:
    """That somebody else was quicker."""
    return f"{_elements(count)} taken meanwhile, by a monitor or another retry"


def _describe(one: Candidate) -> str:
    run_id, task = one.watched.place
    is_element = one.watched.number is not None
    where = f" ({run_id}{'' if task is None else f' task {task}'})" if is_element else ""
    return f"{one_line(one.watched.label, 300)}{where}: {_ended(one.status)}"


def _ended(status: Status | None) -> str:
    if status is None:
        return "its record is gone"
    code = f", exit code {status.exit_code}" if status.exit_code else ""
    return f"{' '.join(filter(None, (status.state.value, status.reason)))}{code}"


def _asked_words(asked: Resources) -> str:
    values = asked.model_dump(exclude_none=True)
    words = [
        key if value is True else f"{key} {' '.join(value) if isinstance(value, tuple) else value}"
        for key, value in values.items()
        if value
    ]
    return ", ".join(words)


def _more(some: Sequence[object]) -> list[str]:
    return [f"and {len(some) - _NAMED:,} more"] if len(some) > _NAMED else []


def _elements(count: int) -> str:
    return "1 element was" if count == 1 else f"{count:,} elements were"
