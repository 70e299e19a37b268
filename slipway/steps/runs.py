"""Steps on runs: found, refreshed, followed, pulled, cancelled."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from slipway.errors import JobError, SlipwayError, SshError, TransferOnlyError, UsageError
from slipway.host.host import Host
from slipway.job import results, watch
from slipway.job.poll import poll
from slipway.job.results import Results
from slipway.job.run import Run, Status
from slipway.job.store import UnreadableRecordError, describe_unreadable
from slipway.job.submit import settle
from slipway.job.tail import LogTail
from slipway.progress import explain_stop
from slipway.scheduler.base import State
from slipway.site import Site
from slipway.steps.recover import recover, recover_there
from slipway.steps.session import Session
from slipway.text.wording import one_line
from slipway.tty import terminal_session


@dataclass(frozen=True, kw_only=True)
class Pulled:
    """A run whose results were brought home, as it stands, and what was brought."""

    run: Run
    results: Results


def find_run(session: Session, prefix: str | None) -> tuple[Run, Site]:
    """A run by the beginning of its id, and its site.

    Without one it is the newest of this terminal window, else the newest of all, and is named.
    """
    run = _find(session, prefix)
    if not prefix:
        session.progress.note(f"{run.run_id}, {_which(run)}: {describe_arguments(run)}")
    try:
        return run, session.site(run.site)
    except UsageError as error:
        raise UsageError(f"{run.run_id} is a run at {run.site}, but {error}") from error


def describe_arguments(run: Run) -> str:
    """A run's arguments on one line, or that there are none."""
    return one_line(shlex.join(run.args), 200) or "no arguments"


def save(session: Session, run: Run) -> Run:
    """Write down how a run stands."""
    session.store.save(run)
    return run


def refresh(session: Session, host: Host, runs: Sequence[Run]) -> list[Run]:
    """Runs of one site as they stand now, written down; a submission that was cut off is decided."""
    store, refreshed = session.store, []
    for old, run in zip(runs, poll(host, runs), strict=True):
        left = old.job_id is None and not store.is_submitting(old)
        new = settle(host, run) if left and run.status.state is State.SUBMITTING else run
        # Where SLURM has refused it meanwhile, the command that was to submit it has removed it.
        refreshed.append(save(session, new) if store.has(new) else new)
    return refreshed


def current(session: Session, host: Host, run: Run) -> Run:
    """How a run stands; as it was last known, where the host only moves files."""
    try:
        return refresh(session, host, [run])[0]
    except TransferOnlyError:
        session.progress.note(f"how {run.run_id} stands is not known: this host runs no commands")
        return run


def list_runs(session: Session, prefix: str | None, count: int) -> tuple[list[Run], SlipwayError | None]:
    """Runs as they stand now, the newest first, and why some could not be asked for, if that is so.

    Args:
        session: the checkout's.
        prefix: the beginning of one run's id; ``None`` for all runs.
        count: how many runs at most.
    """
    runs, unreadable = ([_find(session, prefix)], ()) if prefix else session.store.read_all()
    runs = runs[:count]
    known = {run.run_id: run for run in runs}
    errors: dict[str, SlipwayError] = {}
    alive = sorted((run for run in runs if not run.status.state.is_over), key=lambda run: run.site)
    for name, group in groupby(alive, key=lambda run: run.site):
        some = list(group)
        try:
            site = session.site(name)
            with session.connect(site) as host:
                some += recover_there(session, host, site, unreadable)
                new = refresh(session, host, some)
        except SlipwayError as error:
            errors[name] = error
            unknown = Status(state=State.UNKNOWN, note=str(error))
            new = [replace(run, status=unknown) for run in some]
        known.update({run.run_id: run for run in new})
    if left := [record for record in unreadable if record.run_id not in known]:
        session.progress.note(describe_unreadable(left))
    listed = sorted(known.values(), key=lambda run: run.submitted, reverse=True)
    return listed[:count], _as_one(errors)


def follow(session: Session, host: Host, run: Run, site: Site, on_text: Callable[[str], None]) -> Run:
    """Hand over what a run prints until it is over, also over a connection that is lost and made again.

    Args:
        session: its progress is told of new states and of the connection.
        host: the connection to the run's site.
        run: the run.
        site: its site.
        on_text: is given each new piece of the log.

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
        )
    except KeyboardInterrupt as error:
        raise KeyboardInterrupt(come_back) from error
    except SshError as error:
        raise type(error)(f"{error}\n{come_back}") from error


def print_log(session: Session, prefix: str | None, on_text: Callable[[str], None]) -> Run:
    """Hand over what a run has printed until now; returns the run."""
    run, site = find_run(session, prefix)
    with session.connect(site) as host:
        tail = LogTail(run, on_text)
        tail.finish(host)
    if not tail.said:
        yet = "" if run.status.state.is_over else " yet"
        session.progress.note(f"{run.run_id} has printed nothing{yet}")
    return run


def pull(session: Session, prefix: str | None) -> Pulled:
    """Bring a run's results home; see :func:`slipway.job.results.pull`.

    Raises:
        JobError: the run was never submitted.
    """
    run, site = find_run(session, prefix)
    left = (
        f"what has arrived is in {session.project.results / run.run_id}; `invoke pull {run.run_id}` goes on"
    )
    with explain_stop(left), session.connect(site) as host:
        run = current(session, host, run)
        if run.job_id is None and run.status.state.is_over:
            raise JobError(f"{run.run_id} has no results: {run.status.note}")
        brought = results.pull(host, run, session.project.results, session.progress)
    return Pulled(run=run, results=brought)


def cancel(session: Session, prefix: str | None) -> tuple[Run, bool]:
    """Cancel a run's job; without a name the newest, if the person at the terminal says yes to it.

    Returns:
        The run as it stands then, and whether it was over before.

    Raises:
        UsageError: it was not named, and nobody said yes.
    """
    run, site = find_run(session, prefix or _confirm_newest(session).run_id)
    with session.connect(site) as host:
        before = refresh(session, host, [run])[0]
        return save(session, watch.cancel(host, before)), before.status.state.is_over


def _confirm_newest(session: Session) -> Run:
    run = session.store.find(None)
    if run.status.state.is_over:
        return run  # There is nothing to lose.
    newest = f"{run.run_id} ({describe_arguments(run)})"
    answer = session.prompt.ask(f"Cancel {newest}, {_which(run)}? Type yes to cancel it: ", echo=True)
    if answer is None or answer.strip().lower() not in ("y", "yes"):
        raise UsageError(f"nothing was cancelled; name the run: `invoke cancel RUN`. The newest is {newest}")
    return run


def _which(run: Run) -> str:
    """What a run is that was taken without a name."""
    is_of_window = run.session is not None and run.session == terminal_session()
    return "the newest run of this terminal window" if is_of_window else "the newest run"


def _find(session: Session, prefix: str | None) -> Run:
    """As the store finds it; one whose record here is damaged is brought again from its cluster."""
    try:
        return session.store.find(prefix)
    except UnreadableRecordError as error:
        return recover(session, error.record)


def _as_one(errors: Mapping[str, SlipwayError]) -> SlipwayError | None:
    """One error for all sites that could not be asked; where it is one site, it keeps its exit code."""
    said = "\n".join(f"{site}: {error}" for site, error in errors.items())
    if len(errors) == 1:
        (error,) = errors.values()
        return type(error)(said)
    return SshError(said) if errors else None
