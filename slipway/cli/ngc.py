"""Tasks of the login-node job at NVIDIA's platform."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import task

from slipway.cli.common import PROFILE, open_session, program_arguments, read_task

if TYPE_CHECKING:
    from slipway.steps.shell import Attach
    from slipway.terminal.terminal import Terminal

_SITE = {"site": "The site: a file cluster/<site>.yaml with `scheduler: ngc`."}


@task(
    name="login",
    positional=["site"],
    help={
        **_SITE,
        **PROFILE,
        "partition": "On which instance. Default: the profile's, or the site's.",
        "hours": "For how long, 167 at most.",
        "renew": "With fewer hours left than these another takes its place.",
    },
    iterable=["set_"],
    auto_shortflags=False,
)
def login(
    context: Context,
    site: str,
    profile: str = "base",
    set_: list[str] | None = None,
    partition: str | None = None,
    hours: str = "167",
    renew: str = "24",
) -> None:
    """Have a login-node job at NVIDIA's platform, or renew it: invoke ngc.login SITE --profile NAME.

    It sleeps in the profile's image, with the workspace mounted. One that runs is kept; one that ends soon is
    replaced, and ended once the new one runs.
    """
    with open_session(context) as (session, screen):
        from slipway.steps.ngc import open_login_node
        from slipway.text.wording import duration

        choice = session.choose(profile, site, set_ or ())
        node, is_new = open_login_node(
            session,
            choice,
            instance=partition,
            hours=_number("hours", hours),
            renew_hours=_number("renew", renew),
        )
        left = "" if node.left_s is None else f", {duration(node.left_s)} left"
        new = "started now" if is_new else "there already"
        screen.say(f"login-node job {node.job_id}  {node.state.value}  {node.instance}  {new}{left}")
        if node.replaced:
            screen.say(f"job {node.replaced} was ended for it")
        screen.note(
            f"`invoke ngc.exec {site}` opens a shell in it, `invoke ngc.logout {site}` ends it; it costs as "
            "much as any job on that instance"
        )


@task(
    name="exec",
    positional=["site"],
    help={
        **_SITE,
        "run": "In the job of this run. Default: the login-node job.",
        "task": "Which task of an array.",
    },
    auto_shortflags=False,
)
def execute(context: Context, site: str, run: str | None = None, task: str | None = None) -> None:
    """Open a shell in the login-node job, or run a line of shell: invoke ngc.exec SITE -- LINE.

    The platform hands on no exit code.
    """
    with open_session(context) as (session, screen):
        from slipway.steps.ngc import use_job

        words, number = program_arguments(), read_task(task)
        code = use_job(session, session.site(site), words, _attach(screen), run=run, task=number)
    if code:
        raise Exit(code=code)


@task(name="logout", positional=["site"], help=_SITE, auto_shortflags=False)
def logout(context: Context, site: str) -> None:
    """End the login-node job: invoke ngc.logout SITE."""
    with open_session(context) as (session, screen):
        from slipway.steps.ngc import close_login_node

        ended = close_login_node(session, session.site(site))
        for job_id in ended:
            screen.say(f"job {job_id} was told to end")
        if not ended:
            screen.say(f"{site} has no login-node job")


def _number(name: str, word: str) -> int:
    from slipway.errors import UsageError

    if not (word.isdecimal() and len(word) < 5):
        raise UsageError(f"--{name} {word}: write a whole number of hours")
    return int(word)


def _attach(screen: Terminal) -> Attach:
    """What hands it this terminal; without one, what it prints."""
    from collections.abc import Sequence

    from slipway.host.host import Host

    def at_terminal(host: Host, argv: Sequence[str]) -> int:
        from slipway.interactive.attach import attach_terminal
        from slipway.interactive.terminal import open_terminal

        screen.done()
        with open_terminal() as local:
            return attach_terminal(host, argv, local)

    def printed(host: Host, argv: Sequence[str]) -> int:
        return host.stream(argv, screen.log)

    return at_terminal if sys.stdin.isatty() and sys.stdout.isatty() else printed
