"""The task that sets up a repository."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from invoke.context import Context
from invoke.tasks import task

if TYPE_CHECKING:
    from slipway.steps.init import InitResult
    from slipway.terminal.terminal import Terminal

_WIDTH = 13
_WORDS = {"write": "written", "append": "added to", "keep": "there already", "tell": "lines to add"}


@task(
    help={
        "site": "A short name for the cluster, such as hpc. Default: box, the one on this machine.",
        "host": "Its login node: a host's name, or an alias of ~/.ssh/config.",
        "user": "Your user name there, where ~/.ssh/config does not say it.",
        "scratch": "A large, fast folder there. Default: $SCRATCH, as a login shell there knows it.",
        "from_host": "Ask the cluster what is to be in its file, as site.add does.",
        "yes": "Ask nobody, and take any folder.",
    },
    auto_shortflags=False,
)
def init(
    context: Context,
    site: str | None = None,
    host: str | None = None,
    user: str | None = None,
    scratch: str | None = None,
    from_host: bool = False,
    yes: bool = False,
) -> None:
    """Set up the folder that you are in: write what is missing, and change nothing that is there."""
    from slipway.terminal.terminal import terminal

    with terminal() as screen:
        from slipway.steps import init as step

        options = step.InitOptions(
            site=site, host=host, user=user, scratch=scratch, from_host=from_host, yes=yes
        )
        _show(step.init(Path.cwd(), options, screen, screen), screen)


def _show(done: InitResult, screen: Terminal) -> None:
    from slipway.report.login_table import keep_words
    from slipway.text.command_name import command_name

    for file in done.files:
        remark = f"  ({file.remark})" if file.remark else ""
        screen.say(f"{_WORDS[file.action]:{_WIDTH}}  {file.name}{remark}")
        for line in file.lines:
            screen.say(f"    {line}", whole=True)
    for note in done.notes:
        screen.note(note)
    if done.kept is not None:
        screen.note(
            f"All commands of yours here use this login until none has for {keep_words(done.kept)}; "
            f"`invoke logout {done.kept.names[0]}` ends it"
        )
    screen.say("Next:")
    for command in done.commands:
        screen.say(f"  {command_name()} {command}", whole=True)
