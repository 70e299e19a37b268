"""The task that brings results home."""

from __future__ import annotations

from invoke.context import Context
from invoke.tasks import task

from slipway.cli.common import RUN, open_session


@task(help=RUN, auto_shortflags=False)
def pull(context: Context, run: str | None = None) -> None:
    """Bring a run's results home, to results/<run>/, and show its figures: invoke pull RUN."""
    with open_session(context) as (session, screen):
        from slipway.skipped import some_of
        from slipway.steps import pull as steps
        from slipway.terminal.view import show_output
        from slipway.text.wording import megabytes, short

        pulled = steps.pull(session, run)
        found, results = pulled.run, pulled.results
        transfer = results.transfer
        screen.done()
        show_output(screen, results.output)
        if transfer.left_out:
            screen.note(
                f"{len(transfer.left_out):,} left there, since they are pipes, sockets or devices: "
                + some_of(transfer.left_out)
            )
        state = found.status.state.value
        if not found.status.state.is_over:
            screen.note(f"{found.run_id} is {state}: these are not its last results; pull again later")
        received = megabytes(transfer.received_bytes)
        screen.note(f"{found.run_id} {state}: {received} brought to {short(results.home)}/")
        results.check()
