"""Telling the ends of runs, once each, to those whom their users named."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from slipway.errors import UsageError
from slipway.job.run import Run
from slipway.notify.pending import Pending, PendingStore
from slipway.steps.session import Session
from slipway.text.wording import clock

if TYPE_CHECKING:
    from slipway.background import Background
    from slipway.notify.target import Target

# What tells them is loaded where there is something to tell, which is seldom.

# What fails is tried again after 1, 2, 4 … minutes, at most this many seconds, and so often in all.
_LONGEST_S, _TRIES = 3600.0, 30


def tell_endings(session: Session, note: Callable[[str], None] | None = None) -> None:
    """Tell all that is to be told by now; whoever cannot be told is tried again by a later command.

    Args:
        session: the checkout's.
        note: is told what has failed. Default: the session's own progress.
    """
    pending = PendingStore(session.project.state)
    for run_id in pending.run_ids():
        try:
            run = session.store.find(run_id)
        except UsageError:  # Its record is gone, or it is not there yet.
            if pending.is_orphan(run_id):
                pending.forget(run_id)
            continue
        if run.run_id == run_id and run.status.state.is_over:
            _tell_ending(pending, run, note or session.progress.note)


def ending(run: Run) -> str:
    """How a run ended, in one line. Its arguments are none of a chat's business."""
    status = run.status
    code = "" if status.exit_code in (None, 0) else f", exit code {status.exit_code}"
    took = f" after {clock(status.elapsed_s)}" if status.elapsed_s is not None else ""
    return f"{run.shown} at {run.site}: {status.state.value}, {status.reason}{code}{took}"


def _tell_ending(pending: PendingStore, run: Run, note: Callable[[str], None]) -> None:
    from slipway.notify.send import NotToldError, tell

    with pending.claimed(run.run_id) as claimed:
        if claimed is None:
            return
        left: list[Target] = []
        for target in claimed.targets:
            try:
                tell(target, ending(run))
            except NotToldError as error:
                again = not error.is_final and claimed.failures + 1 < _TRIES
                left += [target] if again else []
                later = "a later `invoke status` tries again" if again else "it is not tried again"
                note(f"the end of {run.shown} could not be told, {error}; {later}")
        if left:
            pending.keep(run.run_id, _later(claimed, left))
        else:
            pending.forget(run.run_id)


def _later(before: Pending, left: list[Target]) -> Pending:
    pause_s = min(60.0 * 2**before.failures, _LONGEST_S)
    return replace(
        before, targets=tuple(left), failures=before.failures + 1, again_at_s=time.time() + pause_s
    )


class Teller:
    """Tells endings beside other work, one round at a time: a webhook may take its time.

    Attributes:
        notes: what has failed.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._round: Background[None] | None = None
        self.notes: list[str] = []

    def go_on(self) -> None:
        """Begin another round, unless one is under way."""
        from slipway.background import Background

        if self._is_free(0):
            self._round = Background(lambda: tell_endings(self._session, self.notes.append))

    def finish(self, timeout_s: float = 15) -> None:
        """Wait for the end of the round that is under way; the rest is left to a later command."""
        self._is_free(timeout_s)

    def _is_free(self, timeout_s: float) -> bool:
        try:
            if self._round is not None:
                self._round.result(timeout_s)
        except TimeoutError:
            return False
        self._round = None
        return True
