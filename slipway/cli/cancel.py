"""The task that cancels jobs."""

from __future__ import annotations

from invoke.context import Context
from invoke.tasks import task

from slipway.cli.common import open_session


@task(help={"run": "The run's id or the beginning of it. Without one you are asked."}, auto_shortflags=False)
def cancel(context: Context, run: str | None = None) -> None:
    """Cancel a run's job: invoke cancel RUN."""
    with open_session(context) as (session, screen):
        from slipway.steps import cancel as steps

        found, was_over = steps.cancel(session, run)
        screen.say(
            f"{found.run_id} is {found.status.state.value}{' (it was over already)' if was_over else ''}"
        )
