"""The task that shows how runs stand."""

from __future__ import annotations

from invoke.context import Context
from invoke.tasks import task

from slipway.cli.common import RUN, open_session


@task(
    help={**RUN, "json": "As JSON.", "count": "How many runs, the newest first."},
    auto_shortflags=False,
)
def status(context: Context, run: str | None = None, json: bool = False, count: str = "20") -> None:
    """Show how runs stand."""
    with open_session(context) as (session, screen):
        from slipway.errors import UsageError
        from slipway.report.values import run_values
        from slipway.steps.status import list_runs
        from slipway.terminal.terminal import print_json
        from slipway.terminal.view import show_runs

        if not count.isdigit():
            raise UsageError(f"--count {count}: write how many runs as a number")
        runs, error = list_runs(session, run, int(count))
        if json:
            print_json([run_values(one) for one in runs])
        elif runs:
            show_runs(screen, runs)
        else:
            screen.say("There are no runs yet; `invoke job -- …` starts one.")
        if error:
            raise error
