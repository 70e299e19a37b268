"""The task that writes a site's file by asking its cluster."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from invoke.context import Context
from invoke.tasks import task

from slipway.cli.common import open_session

if TYPE_CHECKING:
    from slipway.steps.queues import FileChange
    from slipway.terminal.terminal import Terminal


@task(
    name="add",
    positional=["name"],
    help={
        "name": "A short name for the cluster, such as hpc.",
        "host": "Its login node: USER@HOST, a host's name, or an alias of ~/.ssh/config.",
        "user": "Your user name there, where ~/.ssh/config does not say it.",
        "scratch": "A large, fast folder there. Default: asked, of those that are found.",
        "yes": "Ask nobody, and take the likeliest.",
        "replace": "Write a file anew that is there.",
    },
    auto_shortflags=False,
)
def add(
    context: Context,
    name: str,
    host: str | None = None,
    user: str | None = None,
    scratch: str | None = None,
    yes: bool = False,
    replace: bool = False,
) -> None:
    """Write a site's file by asking the cluster: invoke site.add NAME --host HOST."""
    with open_session(context) as (session, screen):
        from slipway.steps.site_add import SiteOptions, find_site, write_site
        from slipway.text.command_name import command_name
        from slipway.text.wording import short

        options = SiteOptions(name=name, host=host, user=user, scratch=scratch, yes=yes, replace=replace)
        found = find_site(session, options)
        for line in found.lines:
            screen.say(line)
        if found.change.old and not yes and not _agrees(screen, found.change):
            screen.say("nothing was written")
            return
        write_site(found.change, replace=replace)
        screen.say(f"written: {short(found.change.file)}; look it through, it says what else was found")
        screen.say(
            f"Next: {command_name()} job --push --wait --site {shlex.quote(name)} -- python3 --version",
            whole=True,
        )


def _agrees(screen: Terminal, change: FileChange) -> bool:
    from slipway.errors import UsageError
    from slipway.terminal.queue_view import show_change
    from slipway.text.wording import short

    name = short(change.file)
    show_change(screen, name, change.old, change.new)
    answer = screen.ask(f"Write {name} anew? What only you have written is lost. Type yes: ", echo=True)
    if answer is None:
        raise UsageError("nothing was written, since nobody can be asked here; --yes says yes beforehand")
    return answer.strip().lower() in ("y", "yes")
