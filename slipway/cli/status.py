"""The task that shows how runs stand."""

from __future__ import annotations

from invoke.context import Context
from invoke.tasks import task

from slipway.cli.common import FILTERS, open_session


@task(
    help={
        "run": "A run's id or name, or the beginning of it; may be repeated. Default: all.",
        **FILTERS,
        "json": "As JSON.",
        "count": "How many runs, the newest first.",
    },
    iterable=["run", "state"],
    auto_shortflags=False,
)
def status(
    context: Context,
    run: list[str] | None = None,
    site: str | None = None,
    profile: str | None = None,
    state: list[str] | None = None,
    since: str | None = None,
    name: str | None = None,
    json: bool = False,
    count: str = "20",
) -> None:
    """Show how runs stand: invoke status --since 3d."""
    with open_session(context) as (session, screen):
        from slipway.errors import UsageError
        from slipway.job.selection import ALL
        from slipway.report.values import run_values
        from slipway.steps.select import select_runs
        from slipway.steps.status import list_runs
        from slipway.terminal.terminal import print_json
        from slipway.terminal.view import show_runs

        if not count.isdecimal():
            raise UsageError(f"--count {count}: write how many runs as a number")
        selection = select_runs(
            session, run=run, site=site, profile=profile, state=state, since=since, name=name
        )
        runs, error = list_runs(session, selection, int(count))
        if json:
            print_json([run_values(one) for one in runs])
        elif runs:
            show_runs(screen, runs)
        elif selection == ALL:
            screen.say("There are no runs yet; `invoke job -- …` starts one.")
        else:
            screen.say("No run is like that; `invoke status` shows the newest of all.")
        if error:
            raise error
