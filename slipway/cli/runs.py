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
        from slipway.report.usage import advice, usage_words
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
            used = [f"{what}  {how_much}" for what, how_much in usage_words(found.run)]
            show_details(screen, details, [*used, *advice(found.run)])


@task(
    help={
        "run": "The two runs, by their ids or names. Of one: the run that it repeats, and it.",
        "json": "As JSON.",
    },
    iterable=["run"],
    auto_shortflags=False,
)
def diff(context: Context, run: list[str] | None = None, json: bool = False) -> None:
    """Show what differs between two runs: invoke runs.diff A B.

    Code, image, arguments, variables, resources, settings, figures and endings; what is equal is left out.
    """
    with open_session(context) as (session, screen):
        from slipway.report.run_diff import Side, run_diff
        from slipway.steps.compare import compare_commits, find_pair
        from slipway.terminal.diff_view import show_diff
        from slipway.terminal.terminal import print_json

        pair = find_pair(session, run or [])
        a, b = (Side(run=one.run, tree=one.tree, diff=one.diff, figures=one.figures) for one in pair)
        found = run_diff(a, b, commits=compare_commits(session, a.run, b.run))
        if json:
            print_json(found)
        else:
            show_diff(screen, found)
