"""The task that makes pages of runs."""

from __future__ import annotations

from invoke.context import Context
from invoke.tasks import task

from slipway.cli.common import FAILED, RUN, SWEEP, only_failed, open_session, with_sweep


@task(
    help={
        "run": f"{RUN['run']} Several are compared.",
        **SWEEP,
        **FAILED,
        "no_open": "Write the page only; a browser shows it else, where there is a display.",
        "pull": "Bring results home first.",
    },
    iterable=["run"],
    auto_shortflags=False,
)
def show(
    context: Context,
    run: list[str] | None = None,
    sweep: str | None = None,
    failed: bool = False,
    no_open: bool = False,
    pull: bool = False,
) -> None:
    """Make a page of a run, or of several side by side, and open it: invoke show RUN."""
    with open_session(context) as (session, screen):
        from slipway.page.open import open_page
        from slipway.page.write import write_pages
        from slipway.steps.show import runs_to_show
        from slipway.text.wording import short

        tasks = only_failed(session, screen, run, sweep, None) if failed else {}
        if failed and not tasks:
            return
        words = list(tasks) if failed else with_sweep(session, run, sweep)
        runs = runs_to_show(session, words, pull=pull, tasks=tasks)
        path = write_pages(runs, session.project.results, screen)
        screen.done()
        screen.say(short(path))
        if not no_open and not open_page(path):
            screen.note("There is no display here; open the file with a browser")
