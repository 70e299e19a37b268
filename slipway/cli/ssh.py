"""Tasks for getting on a cluster."""

from __future__ import annotations

from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import task

from slipway.cli.common import open_session, program_arguments

SITE = {"site": "The cluster: a file cluster/<site>.yaml."}


@task(
    name="trust",
    positional=["site"],
    help={
        **SITE,
        "yes": "Ask nobody.",
        "replace": "Put a key that has changed in the place of the known one.",
    },
    auto_shortflags=False,
)
def trust(context: Context, site: str, yes: bool = False, replace: bool = False) -> None:
    """Show the keys of a site's hosts, and keep those that you confirm: invoke ssh.trust SITE."""
    with open_session(context) as (session, screen):
        from slipway.steps.host_key import trust as trust_site

        for line in trust_site(session, site, yes=yes, replace=replace):
            screen.say(line)


@task(
    name="setup",
    positional=["site"],
    help={
        **SITE,
        "yes": "Ask nobody whether a host's key is right.",
        "undo": "Take away all that it has added, here and there, and nothing else.",
    },
    auto_shortflags=False,
)
def setup(context: Context, site: str, yes: bool = False, undo: bool = False) -> None:
    """Get on a site without a password: invoke ssh.setup SITE.

    It makes a key if there is none, puts it there (the password is asked for once) and keeps the host's key.
    Where the site's file has `hosts`, each of them then gets on each other and itself, and each way is tried.
    """
    with open_session(context) as (session, screen):
        from slipway.steps.ssh_setup import Setup
        from slipway.terminal.access_view import show_ways

        work = Setup(session=session, site=session.site(site), yes=yes)
        if undo:
            work.undo()
            error = work.error()
        else:
            ways = work.run()
            show_ways(screen, ways)
            error = work.error(ways)
        if error:
            raise error


@task(
    name="run",
    positional=["site"],
    help={**SITE, "terminal": "Give it a terminal. Default: where input and output are one."},
    auto_shortflags=False,
)
def run(context: Context, site: str, terminal: bool = False) -> None:
    """Run one command on the login node: invoke ssh.run SITE -- squeue --me.

    Its words arrive as typed: no shell there reads them, unless you name one (-- sh -c 'ls *'). It has the
    environment of a login shell. Input, output and errors pass through as they are, and its exit code is this
    task's.
    """
    with open_session(context) as (session, _):
        from slipway.steps.ssh_run import run_command

        code = run_command(session, site, program_arguments(), terminal=terminal or None)
    if code:
        raise Exit(code=code)
