"""Runs found by what a user calls them."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from slipway.errors import UsageError
from slipway.job.record_file import UnreadableRecordError
from slipway.job.run import LOCAL, Run
from slipway.site import Site
from slipway.steps.recover import recover
from slipway.steps.session import Session
from slipway.sweep.record import Sweep, SweepStore
from slipway.text.wording import one_line
from slipway.tty import terminal_session


def find_run(session: Session, prefix: str | None) -> tuple[Run, Site]:
    """A run by its id or name, or the beginning of either, and its site; see :meth:`RunStore.find`.

    Without a word it is the newest of this terminal window, else the newest of all, and is named.
    """
    run = find_record(session, prefix)
    if run.site == LOCAL and not run.state.is_over:
        raise UsageError(
            f"{run.shown} runs on this machine, and what it writes is in {run.run_dir}/attempt-1; "
            f"`invoke logs {run.run_id} --follow` shows what it prints, `invoke cancel {run.run_id}` ends it"
        )
    if run.site == LOCAL:
        raise UsageError(
            f"{run.shown} ran on this machine, and all of it is here: {run.run_dir}/attempt-1 has its log "
            f"and its out; `invoke show {run.run_id}` shows it"
        )
    if not prefix:
        session.progress.note(f"{run.shown}, {which_run(run)}: {describe_arguments(run)}")
    return run, find_site(session, run)


def find_site(session: Session, run: Run) -> Site:
    """The site of a run.

    Raises:
        UsageError: its file is gone.
    """
    try:
        return session.site(run.site)
    except UsageError as error:
        raise UsageError(f"{run.run_id} is a run at {run.site}, but {error}") from error


def find_runs(session: Session, prefixes: Sequence[str]) -> list[tuple[Run, Site]]:
    """Runs by their ids or names, in this order and each once, and their sites.

    Without any it is one: see :func:`find_run`.
    """
    found = [find_run(session, prefix) for prefix in prefixes or (None,)]
    return [*{run.run_id: (run, site) for run, site in found}.values()]


def describe_arguments(run: Run) -> str:
    """A run's arguments on one line, or that there are none."""
    return one_line(shlex.join(run.args), 200) or "no arguments"


def find_sweep(session: Session, word: str | None) -> Sweep:
    """A sweep by its id or name, or the beginning of either; without a word, the newest.

    Raises:
        UsageError: there is none, or it is not clear which.
    """
    return SweepStore(session.project.state / "sweeps", session.progress.note).find(word)


def known_sweep(session: Session, run: Run) -> Sweep | None:
    """The sweep that a run belongs to; ``None`` where it is of none, or of one that is not known here."""
    return SweepStore(session.project.state / "sweeps").get(run.sweep) if run.sweep else None


def which_run(run: Run) -> str:
    """What a run is that was taken without a name."""
    is_of_window = run.session is not None and run.session == terminal_session()
    return "the newest run of this terminal window" if is_of_window else "the newest run"


def find_record(session: Session, prefix: str | None, *, to_end: bool = False) -> Run:
    """As the store finds it; one whose record here is damaged is brought again from its cluster."""
    if prefix == "":  # A variable of a script that is not set must not stand for the newest run.
        raise UsageError("'' names no run; write its id or name, or the beginning of either")
    try:
        return session.store.find(prefix, to_end=to_end)
    except UnreadableRecordError as error:
        return recover(session, error.record)
