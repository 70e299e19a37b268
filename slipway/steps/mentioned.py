"""What an answer mentions at its end besides. Where there is nothing of it, nothing is loaded for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from slipway.errors import HostError
from slipway.multiplex.folder import find_folder, is_possible
from slipway.steps.session import Session

if TYPE_CHECKING:
    from slipway.multiplex.kept import Kept


def find_warnings(session: Session) -> list[str]:
    """What is about to be purged; see :func:`slipway.steps.purge.purge_warnings`."""
    if not any((session.project.state / "purge").glob("*.json")):
        return []
    from slipway.steps.purge import purge_warnings

    return purge_warnings(session)


def find_logins(session: Session) -> Sequence[Kept]:
    """The logins that are kept; where nobody may look, that is told."""
    try:
        folder = find_folder() if is_possible() else None
        if folder is None or not any(one.is_socket() for one in folder.iterdir()):
            return ()
        from slipway.multiplex.kept import list_kept

        return list_kept()
    except HostError as error:
        session.progress.note(str(error))
        return ()
