"""What runs print."""

from __future__ import annotations

from collections.abc import Callable

from slipway.errors import SshError
from slipway.host.host import Host
from slipway.job import watch
from slipway.job.run import Run
from slipway.job.tail import LogPart
from slipway.site import Site
from slipway.steps.refresh import refresh
from slipway.steps.session import Session


def follow(
    session: Session,
    host: Host,
    run: Run,
    site: Site,
    on_text: Callable[[str], None],
    part: LogPart | None = None,
) -> Run:
    """Hand over what a run prints until it is over, also over a connection that is lost and made again.

    Args:
        session: its progress is told of new states and of the connection.
        host: the connection to the run's site.
        run: the run.
        site: its site.
        on_text: is given each new piece of the log.
        part: where to begin in it.

    Returns:
        The run as it ended, written down.
    """
    note = session.progress.note
    come_back = (
        f"The job goes on. `invoke logs {run.run_id} --follow` comes back to it, "
        f"`invoke cancel {run.run_id}` ends it."
    )
    try:
        return watch.follow(
            host,
            run,
            on_text,
            lambda new: note(f"{new.run_id} is {new.status.state.value}"),
            look=lambda host, run: refresh(session, host, [run])[0],
            reconnect=lambda: session.log_in(site),
            on_trouble=note,
            part=part,
        )
    except KeyboardInterrupt as error:
        raise KeyboardInterrupt(come_back) from error
    except SshError as error:
        raise type(error)(f"{error}\n{come_back}") from error
