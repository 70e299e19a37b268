"""What is looked at before a monitor on the cluster gets its order."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import PurePosixPath

from slipway.errors import SlipwayError, UsageError
from slipway.host.scratch import Scratch
from slipway.job.run import Run
from slipway.scheduler.limits import ResourceRequest


def refuse_runs(runs: Iterable[Run], scratch: Scratch) -> None:
    """Refuse runs that the program on the cluster cannot tell apart, or does not find.

    Raises:
        UsageError: there is one.
    """
    leave = "leave --remote and --in-job out"
    for run in runs:
        if run.bundles:
            raise UsageError(
                f"{run.shown}: elements of it share a job, which a monitor there cannot tell apart; {leave}"
            )
        if PurePosixPath(run.run_dir).parent != scratch.runs:
            raise UsageError(
                f"{run.shown} is in {run.run_dir}, and a monitor there looks in {scratch.runs}; {leave}"
            )


def once(check: Callable[[ResourceRequest], None]) -> Callable[[ResourceRequest], None]:
    """The same check, made once of each request."""
    known: dict[str, SlipwayError | None] = {}

    def checked(request: ResourceRequest) -> None:
        key = request.resources.model_copy(update={"array": None}).model_dump_json()
        if key not in known:
            try:
                check(request)
                known[key] = None
            except SlipwayError as error:
                known[key] = error
        refusal = known[key]
        if refusal is not None:
            raise refusal

    return checked
