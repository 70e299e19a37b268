"""Tasks that log in for the commands to come, and log out."""

from __future__ import annotations

from invoke.context import Context
from invoke.tasks import task

from slipway.cli.common import open_session


@task(
    help={
        "site": "The cluster: a file cluster/<site>.yaml. Default: list who is logged in where.",
        "json": "The list as JSON.",
    },
    auto_shortflags=False,
)
def login(context: Context, site: str | None = None, json: bool = False) -> None:
    """Log in once for all commands to come, until nothing has used it for long: invoke login SITE."""
    with open_session(context) as (session, screen):
        from datetime import datetime

        from slipway.multiplex.kept import list_kept
        from slipway.report.login_table import keep_words, login_values
        from slipway.steps.login import find_openssh, log_in, require_none
        from slipway.terminal.login_view import show_logins
        from slipway.terminal.terminal import print_json
        from slipway.text.wording import moment

        require_none(site, json)
        if site is not None and (there := find_openssh(session, site)):
            screen.say(
                f"logged in already as {there}, by OpenSSH (ControlPath in ssh_config); commands use that"
            )
        elif site is not None:
            kept, was_there = log_in(session, site)
            since = moment(int(kept.since), datetime.now().astimezone())
            already = f" already, since {since}," if was_there else ""
            screen.say(f"logged in{already} as {kept.target}")
            screen.note(
                f"All commands of yours here use this login until none has for {keep_words(kept)}; "
                f"`invoke logout {site}` ends it"
            )
        elif json:
            print_json([login_values(one) for one in list_kept()])
        else:
            show_logins(screen, list_kept())


@task(
    help={"site": "The cluster: a file cluster/<site>.yaml. Default: all of them."},
    auto_shortflags=False,
)
def logout(context: Context, site: str | None = None) -> None:
    """End the login that `login` has left, and what is under way on it: invoke logout SITE."""
    with open_session(context) as (session, screen):
        from slipway.steps.login import log_out

        ended = log_out(session, site)
        for one in ended:
            cut = f"; it was {one.users} commands' connection" if one.users else ""
            screen.say(f"logged out of {', '.join(one.names) or one.target} ({one.target}){cut}")
        if not ended:
            screen.say(f"there is no login to {site} to end" if site else "there is no login to end")
