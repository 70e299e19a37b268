"""The task that cancels jobs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from invoke.context import Context
from invoke.tasks import task

from slipway.cli.common import FILTERS, SWEEP, open_session, with_sweep

if TYPE_CHECKING:
    from slipway.job.run import Run
    from slipway.steps.session import Session
    from slipway.terminal.terminal import Terminal


@task(
    help={
        "run": "A run's id or name, or its beginning; may be repeated. Without one you are asked.",
        **SWEEP,
        "all_": "All runs that wait or run.",
        "yes": "Ask nothing.",
        **{name: FILTERS[name] for name in ("site", "profile", "state", "name")},
    },
    iterable=["run", "state"],
    auto_shortflags=False,
)
def cancel(
    context: Context,
    run: list[str] | None = None,
    sweep: str | None = None,
    all_: bool = False,
    state: list[str] | None = None,
    site: str | None = None,
    profile: str | None = None,
    name: str | None = None,
    yes: bool = False,
) -> None:
    """Cancel runs' jobs: invoke cancel RUN, or invoke cancel --state PENDING.

    More than one, and those that are not named, are listed first, and you are asked.
    """
    with open_session(context) as (session, screen):
        from slipway.errors import UsageError
        from slipway.steps.cancel import Cancelling, find_alive, find_named
        from slipway.steps.select import select_runs

        run = with_sweep(session, run, sweep)
        is_filtered = bool(state or site or profile or name)
        if all_ and run:
            raise UsageError("--all is every run that waits or runs; name none beside it, or leave it out")
        if not (run or all_ or is_filtered):
            _cancel_newest(session, screen, yes=yes)
            return
        is_named = bool(run) and not is_filtered
        words = None if is_named else run
        selection = select_runs(session, run=words, site=site, profile=profile, state=state, name=name)
        runs = find_named(session, run or ()) if is_named else find_alive(session, selection)
        cancelled: list[str] = []

        def tell(one: Run, was_over: bool) -> None:
            cancelled.append(one.run_id)
            _tell(screen, one, was_over)

        error = Cancelling(
            session=session,
            states=selection.states,
            confirm=lambda some: yes or (is_named and len(runs) == 1) or _confirm(session, screen, some),
            on_cancelled=tell,
        ).cancel(runs, tell_over=is_named)
        if error:
            raise error
        if not cancelled:
            screen.say("No run is like that and not over; nothing was cancelled.")


def _cancel_newest(session: Session, screen: Terminal, *, yes: bool) -> None:
    from slipway.steps import cancel as steps

    newest = session.store.find(None).run_id if yes else None
    _tell(screen, *steps.cancel(session, newest))


def _confirm(session: Session, screen: Terminal, runs: Sequence[Run]) -> bool:
    from slipway.steps.cancel import says_yes
    from slipway.terminal.view import show_runs

    show_runs(screen, runs)
    count = "this run" if len(runs) == 1 else f"these {len(runs)} runs"
    return says_yes(session, f"Cancel {count}? Type yes to cancel: ")


def _tell(screen: Terminal, run: Run, was_over: bool) -> None:
    screen.say(f"{run.shown} is {run.status.state.value}{' (it was over already)' if was_over else ''}")
