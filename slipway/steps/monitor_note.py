"""Notes of monitors at work on clusters: a sweep that has one is followed whenever it is looked at."""

from __future__ import annotations

from pathlib import Path

from slipway.errors import SlipwayError
from slipway.host.scratch import open_scratch
from slipway.steps.session import Session
from slipway.sweep.record import Sweep


def note_monitor(session: Session, name: str) -> None:
    """Note that a monitor of this name was at work on a cluster."""
    file = _file(session, name)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch()


def forget_monitor(session: Session, name: str) -> None:
    """Forget it: it has ended, and its runs are known here."""
    _file(session, name).unlink(missing_ok=True)


def followed(session: Session, sweep: Sweep) -> Sweep:
    """A sweep with the newest tries, where a monitor on the cluster may have submitted some; else as it is.

    Where the cluster cannot be asked, it is told, and what was known before counts.
    """
    if not _file(session, sweep.sweep_id).exists():
        return sweep
    from slipway.steps.monitored import find_targets
    from slipway.steps.newest_tries import NewestTries

    [target] = find_targets(session, sweep.sweep_id, ())
    newest = NewestTries(session=session, target=target)
    try:
        with session.connect(target.site) as host:
            host.require_commands()
            newest.follow(host, open_scratch(host, target.site, make=False))
    except SlipwayError as error:
        session.progress.note(
            f"What the monitor at {target.site.name} has submitted meanwhile is not known: {error}"
        )
        return sweep
    newest.keep_places()
    return newest.target.sweep or sweep


def _file(session: Session, name: str) -> Path:
    return session.project.state / "monitors" / name
