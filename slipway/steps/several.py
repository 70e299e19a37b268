"""Steps on several runs, of which none stops the others."""

from __future__ import annotations

from collections.abc import Mapping

from slipway.errors import SlipwayError
from slipway.job.run import Run


def as_one(errors: Mapping[str, SlipwayError], count: int, what: str) -> SlipwayError | None:
    """One error for all that failed; ``None`` where none did.

    Where all of them are of one kind, it is of that kind, and has its exit code.

    Args:
        errors: by the run's id, or what else it is about.
        count: how many there were in all. A single one's error is told as it is.
        what: what failed, such as ``could not be brought``.
    """
    if not errors:
        return None
    first = next(iter(errors.values()))
    if count == 1:
        return first
    lines = [f"{name}: {error}" for name, error in errors.items()]
    is_alike = len({type(error).exit_code for error in errors.values()}) == 1
    said = f"{len(errors)} of {count} runs {what}:\n" + "\n".join(lines)
    return type(first)(said) if is_alike else SlipwayError(said)


def never_submitted(run: Run) -> bool:
    """True where SLURM never had its job."""
    return run.job_id is None and run.status.state.is_over
