"""Tasks that start and end the box."""

from __future__ import annotations

from invoke.context import Context
from invoke.tasks import task

from slipway.cli.common import open_session


@task(name="up", auto_shortflags=False)
def up(context: Context) -> None:
    """Start a SLURM cluster in a container on this machine: site `box`."""
    with open_session(context, anywhere=True) as (session, screen):
        from slipway.steps.box import box_up

        status = box_up(session)
        for line in status.lines():
            screen.say(line)


@task(name="down", help={"purge": "Remove its images too."}, auto_shortflags=False)
def down(context: Context, purge: bool = False) -> None:
    """End the box, with everything that is on it."""
    with open_session(context, anywhere=True) as (session, screen):
        from slipway.steps.box import box_down

        was_there = box_down(session, purge=purge)
        screen.say("The box is gone." if was_there else "There was no box.")
