"""Tasks on the records of runs: one looked at, two compared."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invoke.context import Context
from invoke.tasks import task

from slipway.cli.common import RUN, SITE, open_session

if TYPE_CHECKING:
    from slipway.keep.decision import Decision
    from slipway.steps.prune import Costs


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
            is_whole=found.is_whole,
            root=session.project.root,
        )
        if json:
            print_json(details)
        else:
            words = usage_words(found.run) if found.run.usage else []
            used = [f"{what}  {how_much}" for what, how_much in words]
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


@task(
    help={
        **SITE,
        "profile": "Whose site and images are meant, where --site is not given.",
        "older_than": "Only what nobody has written to for so long: 12h, 30d or 2w.",
        "state": "Only runs that ended so, such as FAILED; may be repeated.",
        "keep_last": "Leave so many of the newest runs.",
        "run": "Only this run; may be repeated. Of another checkout's, the whole id.",
        "kind": "What may go, with commas: runs, code, cache, images, packed (older packed data), results "
        "(here). Default: runs,code.",
        "data": "A dataset that may go, packed or not; may be repeated. No other does.",
        "not_home": "Also runs whose results are not home, and results here that are nowhere else.",
        "dry_run": "Show it, and remove nothing.",
        "yes": "Ask nothing.",
    },
    iterable=["state", "run", "data"],
    auto_shortflags=False,
)
def prune(
    context: Context,
    site: str | None = None,
    profile: str = "base",
    older_than: str | None = None,
    state: list[str] | None = None,
    keep_last: str | None = None,
    run: list[str] | None = None,
    kind: str | None = None,
    data: list[str] | None = None,
    not_home: bool = False,
    dry_run: bool = False,
    yes: bool = False,
) -> None:
    """Show what lies at a site and here, and remove what is not wanted any more.

    What a job that waits or runs needs always stays, and so does a run whose results are not home.
    """
    with open_session(context) as (session, screen):
        from slipway.report.cost_table import total
        from slipway.steps import prune as step
        from slipway.terminal.cost_view import confirm_removal, show_costs, show_decision

        chosen = session.choose(profile, site).site
        criteria = step.make_criteria(
            session,
            chosen,
            kinds=kind,
            older_than=older_than,
            states=state or (),
            keep_last=keep_last,
            runs=run or (),
            data=data or (),
            not_home=not_home,
        )

        def confirm(costs: Costs, decision: Decision) -> bool:
            show_costs(screen, costs, chosen.name)
            show_decision(screen, decision, costs, criteria)
            return confirm_removal(screen, decision, yes=yes, dry_run=dry_run)

        done = step.prune(session, chosen, criteria, confirm)
        for item, why in done.kept:
            screen.note(f"{item.path} stays after all: it {why}")
        if done.gone:
            screen.say(f"removed {total(done.gone)}")
        elif not dry_run:
            screen.note("Nothing was removed")
        done.check()
