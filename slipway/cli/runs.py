"""Tasks on the records of runs: one looked at, two compared."""

from __future__ import annotations

from invoke.context import Context
from invoke.tasks import task

from slipway.cli.common import RUN, open_session


@task(
    help={
        **RUN,
        "json": "As JSON.",
        "diff": "Print what was not committed, as a patch for `git apply`, and nothing else.",
    },
    auto_shortflags=False,
)
def show(context: Context, run: str | None = None, json: bool = False, diff: bool = False) -> None:
    """Show what a run was made of, its attempts, and where its results are: invoke runs.show RUN."""
    with open_session(context) as (session, screen):
        from slipway.report.run_details import run_details
        from slipway.steps.details import find_details
        from slipway.terminal.run_view import show_details
        from slipway.terminal.terminal import print_json

        found = find_details(session, run)
        if diff:
            screen.log(found.diff or "")
            if not found.diff:
                screen.note(f"Nothing is known that was not committed for {found.run.run_id}")
            return
        details = run_details(
            found.run,
            attempts=found.attempts,
            diff=found.diff,
            home=found.home,
            root=session.project.root,
        )
        if json:
            print_json(details)
        else:
            show_details(screen, details)
