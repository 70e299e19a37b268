"""The task that shows a site's partitions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invoke.context import Context
from invoke.tasks import task

from slipway.cli.common import SITE, open_session

if TYPE_CHECKING:
    from slipway.steps.queues import FileChange
    from slipway.terminal.terminal import Terminal


@task(
    help={
        **SITE,
        "json": "As JSON.",
        "write": "Add what the site's file lacks in `queues`, and show that first.",
        "yes": "With --write: ask nobody.",
    },
    auto_shortflags=False,
)
def queues(
    context: Context, site: str | None = None, json: bool = False, write: bool = False, yes: bool = False
) -> None:
    """Show a site's partitions, what is free, and what you may have of them: invoke queues SITE."""
    with open_session(context) as (session, screen):
        from slipway.errors import UsageError
        from slipway.report.queue_table import queue_values
        from slipway.steps.queues import look_at_queues, plan_file
        from slipway.terminal.queue_view import show_queues
        from slipway.terminal.terminal import print_json

        if yes and not write:
            raise UsageError("--yes answers the question of --write; add --write, or leave --yes out")
        if json and write:
            raise UsageError("--json and --write contradict each other; leave one of them out")
        # A site that is named needs no profile.
        chosen = session.site(site) if site else session.choose("base", None).site
        there = look_at_queues(session, chosen)
        if write:
            _write(screen, plan_file(session, chosen, there), yes=yes)
            return
        values = queue_values(chosen, there)
        if json:
            print_json(values)
        else:
            show_queues(screen, values)


def _write(screen: Terminal, change: FileChange, *, yes: bool) -> None:
    from slipway.errors import UsageError
    from slipway.steps.queues import write_change
    from slipway.terminal.queue_view import show_change
    from slipway.text.wording import short

    name = short(change.file)
    if not change.is_any:
        screen.say(f"{name} has all of it already; nothing was written")
        return
    show_change(screen, name, change.old, change.new)
    answer = "yes" if yes else screen.ask(f"Write this to {name}? Type yes: ", echo=True)
    if answer is None:
        raise UsageError("nothing was written, since nobody can be asked here; --yes says yes beforehand")
    if answer.strip().lower() not in ("y", "yes"):
        screen.say("nothing was written")
        return
    write_change(change)
    screen.say(f"written: {name}")
