"""Tasks for getting on a cluster."""

from __future__ import annotations

from invoke.context import Context
from invoke.tasks import task

from slipway.cli.common import open_session


@task(
    name="trust",
    positional=["site"],
    help={
        "site": "The cluster: a file cluster/<site>.yaml.",
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
