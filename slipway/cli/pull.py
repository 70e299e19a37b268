"""The task that brings results home, and its other name."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any

from invoke.context import Context
from invoke.tasks import task

from slipway.cli.common import FAILED, RUNS, SWEEP, only_failed, open_session, with_sweep
from slipway.tilde import expand

if TYPE_CHECKING:
    from slipway.host.host import Host
    from slipway.job.results import Results
    from slipway.job.run import Run
    from slipway.site import Site
    from slipway.steps.pull import Pulled
    from slipway.steps.session import Session
    from slipway.terminal.terminal import Terminal

_HELP = {
    **RUNS,
    **SWEEP,
    **FAILED,
    "all_": "Every run that is over and whose results are not home.",
    "only": "Only what matches in an attempt's output folder, such as '*.json' or 'maps/*'. May be repeated.",
    "task": "Only these tasks of an array: 3, or 0-9,12.",
    "attempt": "Only this attempt: a number, or last. Default: all; out/ is the last one.",
    "into": "To a folder of the run's id in this folder. Default: results/.",
}


@task(help=_HELP, iterable=["run", "only"], auto_shortflags=False)
def pull(
    context: Context,
    run: list[str] | None = None,
    sweep: str | None = None,
    failed: bool = False,
    all_: bool = False,
    only: list[str] | None = None,
    task: str | None = None,
    attempt: str | None = None,
    into: str | None = None,
) -> None:
    """Bring results home, to results/<run>/, and show their figures: invoke pull RUN.

    What comes is compared with what is there by its hashes. Called again, it brings what is new.
    """
    with open_session(context) as (session, screen):
        from slipway.errors import UsageError
        from slipway.job.wanted import Wanted, parse_attempt, parse_only, parse_tasks
        from slipway.steps.find import find_runs
        from slipway.steps.pull import Order, find_not_home, pull_several

        if all_ and failed:
            raise UsageError(
                "--all is every run that is over and not home; name runs or a sweep for --failed"
            )
        tasks = only_failed(session, screen, run, sweep, task) if failed else {}
        if failed and not tasks:
            return
        run = list(tasks) if failed else with_sweep(session, run, sweep)
        if all_ and run:
            raise UsageError(
                "--all is every run that is over and not home; name none beside it, or leave it out"
            )
        wanted = Wanted(only=parse_only(only or ()), tasks=parse_tasks(task), attempt=parse_attempt(attempt))
        order = Order(wanted=wanted, into=expand(into) if into else None, tasks=tasks)
        found, unasked = find_not_home(session, order) if all_ else (find_runs(session, run or ()), None)
        if all_ and not found and not unasked:
            screen.say("All runs that are over are home.")
        problem = pull_several(
            session, found, order, lambda pulled: show_pulled(screen, pulled, brief=len(found) > 1)
        )
        if error := problem or unasked:
            if problem and unasked:
                screen.note(str(unasked))
            raise error


@wraps(pull.body)
def _extract(*args: Any, **options: Any) -> None:
    pull.body(*args, **options)


_extract.__name__ = "extract"
_extract.__doc__ = "Bring results home: the same as pull, by the name that older command lines have for it."
extract = task(help=_HELP, iterable=["run", "only"], auto_shortflags=False)(_extract)


def bring_home(session: Session, screen: Terminal, host: Host, run: Run, site: Site) -> None:
    """Bring a run's results that has just ended.

    Raises:
        SlipwayError: that failed, and the run did well; of one that did not, its own code counts.
    """
    from slipway.steps.pull import Order, pull_several

    failed = pull_several(
        session, [(run, site)], Order(), lambda pulled: show_pulled(screen, pulled), host=host
    )
    if failed and not run.status.wait_code:
        raise failed
    if failed:
        screen.error(str(failed))


def show_pulled(screen: Terminal, pulled: Pulled, *, brief: bool = False) -> None:
    """Show what was brought of a run; in brief, without what is in it."""
    from slipway.skipped import some_of
    from slipway.terminal.view import show_output

    run, results = pulled.run, pulled.results
    screen.done()
    if not brief:
        show_output(screen, results.output)
    if results.transfer.left_out:
        left_out = results.transfer.left_out
        screen.note(
            f"{len(left_out):,} left there, since they are pipes, sockets or devices: {some_of(left_out)}"
        )
    for line in results.attempts:
        screen.note(line)
    if not run.status.state.is_over:
        screen.note(f"{run.run_id} is {run.status.state}: these are not its last results; pull again later")
    screen.note(_summary(run, results))


def _summary(run: Run, results: Results) -> str:
    from slipway.text.wording import megabytes, short

    received, mark = megabytes(results.transfer.received_bytes), results.mark
    has = f"{mark.count:,} {'file' if mark.count == 1 else 'files'}, {megabytes(mark.size_bytes)}"
    whole = "complete" if mark.is_complete else "in part" if results.is_part else "not complete"
    brought = f"{run.shown} {run.status.state}: {received} brought to {short(results.home)}/"
    return f"{brought}, which is {whole}: {has}"
