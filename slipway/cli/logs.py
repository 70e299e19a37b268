"""The task that shows what runs print, and a run that is followed to its end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import task

from slipway.cli.common import RUN, open_session

if TYPE_CHECKING:
    from slipway.host.host import Host
    from slipway.job.run import Run
    from slipway.site import Site
    from slipway.steps.session import Session
    from slipway.terminal.terminal import Terminal


@task(
    help={
        **RUN,
        "follow": "Go on until the run is over.",
        "raw": "The program's bytes as they are, also on a terminal: it obeys what is in them.",
    },
    auto_shortflags=False,
)
def logs(context: Context, run: str | None = None, follow: bool = False, raw: bool = False) -> None:
    """Show what a run has printed: invoke logs RUN."""
    with open_session(context) as (session, screen):
        from slipway.steps.find import find_run
        from slipway.steps.follow import print_log

        if not follow:
            print_log(session, run, screen.raw if raw else screen.log)
            return
        found, site = find_run(session, run)
        with session.connect(site) as host:
            follow_run(session, screen, host, found, site, raw=raw)


def follow_run(session: Session, screen: Terminal, host: Host, run: Run, site: Site, *, raw: bool) -> None:
    """Show a run's log to its end, and exit as the job did."""
    from slipway.steps.follow import follow
    from slipway.steps.tell import tell_endings

    run = follow(session, host, run, site, screen.raw if raw else screen.log)
    status = run.status
    code = "no exit code" if status.exit_code is None else f"exit code {status.exit_code}"
    screen.say(f"run {run.shown}  {status.state.value}  {status.reason}  {code}")
    if status.note:
        screen.note(status.note)
    tell_endings(session)
    if status.wait_code:
        raise Exit(code=status.wait_code)
