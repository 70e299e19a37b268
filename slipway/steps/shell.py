"""Shells on nodes: a job that is there for one, and joining a job that runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass

from slipway.errors import ConnectionLostError, JobError, SlipwayError, SshError
from slipway.host.host import Host
from slipway.interactive.terminal import LeftError
from slipway.job import watch
from slipway.job.join import check_joinable, join_command, read_script
from slipway.job.poll import LOOK_S
from slipway.job.request import Request
from slipway.job.run import Run, Shell, Status
from slipway.resources import Resources
from slipway.scheduler.base import State
from slipway.scheduler.choose import parse_resources
from slipway.site import Site
from slipway.steps.find import find_run
from slipway.steps.refresh import refresh, save
from slipway.steps.session import Choice, Session
from slipway.steps.submit import Push, submitted

# How long the job of a shell has to end by itself before it is cancelled.
_END_S = 15.0

# Runs a program of a host to its end, with whatever somebody types, and returns its exit code.
Attach = Callable[[Host, Sequence[str]], int]


@dataclass(frozen=True, kw_only=True)
class Joining:
    """What joins a job.

    Attributes:
        words: the command; none for a shell.
        attach: what hands it the terminal, or the outputs, of this process.
        terminal: whether it gets a terminal.
        task: which task of an array.
        node: which of several nodes. Default: the first.
    """

    words: tuple[str, ...]
    attach: Attach
    terminal: bool
    task: int | None = None
    node: str | None = None


def make_shell_request(
    choice: Choice, words: tuple[str, ...], resources: Resources, *, stays: bool, name: str | None = None
) -> Request:
    """What somebody asks for who wants a shell on a node; nobody is told of its end.

    Args:
        choice: the profile and the site.
        words: the command that takes the shell's place; none for a shell.
        resources: what the command line asks for.
        stays: whether the job outlives the shell.
        name: a short label for the run.
    """
    # The profile may ask for more, for its own program.
    own = parse_resources({"nodes": "1", "continue_after_limit": "0"})
    return Request(
        profile=choice.profile.model_copy(update={"program": ()}),
        site=choice.site,
        args=words or ("shell",),
        resources=own.over(resources),
        name=name,
        shell=Shell.STAYS if stays else Shell.ENDS,
    )


def open_shell(session: Session, request: Request, push: Push, joining: Joining) -> tuple[int, Run]:
    """Submit a job that is there for a shell, wait until it runs, and join it.

    Returns:
        The exit code of the shell, and the run as it stands then.

    Raises:
        JobError: the job was refused, or ended before anybody could join it.
        ConnectionLostError: the connection was lost. The job ends by itself, unless it was to stay.
    """
    with submitted(session, request, push) as done, ExitStack() as stack:
        run, site = done.run, request.site
        session.progress.step(f"Waiting for {run.shown}, job {run.job_id}")
        with _ending(session, done.host, run):
            host, run = wait_for_start(session, stack, done.host, run, site)
        with _explained(run):
            code = _join(session, host, run, site, joining)
        return code, _after(session, host, run)


def join_shell(session: Session, prefix: str | None, joining: Joining) -> int:
    """Join a run that is there; wait until it runs.

    Returns:
        The exit code of the command.

    Raises:
        JobError: it is over, or which of its tasks is meant is not known.
        ConnectionLostError: the connection was lost.
    """
    run, site = find_run(session, prefix)
    if run.status.state.is_over:
        # It stays so: nobody has to log in to be told.
        check_joinable(run, joining.task)
    with session.connect(site) as host, ExitStack() as stack:
        run = refresh(session, host, [run])[0]
        check_joinable(run, joining.task)
        if _status(run, joining.task).state is not State.RUNNING:
            session.progress.step(f"Waiting for {run.shown}")
            host, run = wait_for_start(session, stack, host, run, site, joining.task)
        with _explained(run):
            return _join(session, host, run, site, joining)


def wait_for_start(
    session: Session, stack: ExitStack, host: Host, run: Run, site: Site, task: int | None = None
) -> tuple[Host, Run]:
    """Wait until a run has begun, also over a connection that is lost and made again.

    Args:
        session: its progress is told why the run waits.
        stack: closes a connection that was made again.
        host: the connection to its site.
        run: the run.
        site: its site.
        task: which task of an array.

    Returns:
        The connection that there is then, and the run.

    Raises:
        JobError: it is over.
    """
    patience_s, told = LOOK_S, ""
    while _status(run, task).state is not State.RUNNING:
        check_joinable(run, task)
        words = _why_it_waits(_status(run, task))
        if words != told:
            session.progress.line(words)
            told = words
        time.sleep(patience_s)
        patience_s = min(patience_s * 1.5, watch.ASK_S)
        try:
            run = refresh(session, host, [run])[0]
        except SshError as error:
            host = watch.connect_again(lambda: session.log_in(site), error, session.progress.note)
            stack.callback(host.close)
    return host, run


def _status(run: Run, task: int | None) -> Status:
    return run.status if task is None else run.task_statuses.get(task, run.status)


def _why_it_waits(status: Status) -> str:
    reason = f" ({status.pending_reason})" if status.pending_reason else ""
    expected = ""
    if status.expected_s:
        expected = f", to begin at {time.strftime('%H:%M on %d %B', time.localtime(status.expected_s))}"
    return f"{status.state}{reason}{expected}"


def _join(session: Session, host: Host, run: Run, site: Site, joining: Joining) -> int:
    command = join_command(
        run,
        read_script(session.project.share / "cluster"),
        joining.words,
        task=joining.task,
        node=joining.node,
        terminal=joining.terminal,
    )
    where = run.status.node or site.name
    session.progress.step(f"Joining {run.run_id} on {where}")
    return joining.attach(host, command)


@contextmanager
def _ending(session: Session, host: Host, run: Run) -> Iterator[None]:
    """Cancel a run that nobody will join any more, unless it is to stay."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit) as error:
        if run.shell == Shell.STAYS:
            raise KeyboardInterrupt(_goes_on(run)) from error
        with suppress(SlipwayError):
            save(session, watch.cancel(host, run))
            raise KeyboardInterrupt(f"{run.run_id} was cancelled") from error
        raise KeyboardInterrupt(f"`invoke cancel {run.run_id}` cancels the job") from error


@contextmanager
def _explained(run: Run) -> Iterator[None]:
    """Say what becomes of the job where the person, or the connection, has gone."""
    try:
        yield
    except LeftError as error:
        raise KeyboardInterrupt(f"left the shell. {_goes_on(run)}") from error
    except KeyboardInterrupt as error:
        raise KeyboardInterrupt(_goes_on(run)) from error
    except ConnectionLostError as error:
        raise ConnectionLostError(f"{error}\n{_goes_on(run)}") from error


def _goes_on(run: Run) -> str:
    if run.shell == Shell.ENDS:
        return f"The job {run.run_id} ends by itself, now that nobody is in it"
    return (
        f"The job goes on: `invoke shell --run {run.run_id}` comes back to it, "
        f"`invoke cancel {run.run_id}` ends it"
    )


def _after(session: Session, host: Host, run: Run) -> Run:
    """The run after its shell has ended: over, unless it is to stay."""
    until = time.monotonic() + _END_S
    try:
        while not (run := refresh(session, host, [run])[0]).status.state.is_over:
            if run.shell == Shell.STAYS:
                return run
            if time.monotonic() > until:
                return save(session, watch.cancel(host, run))
            time.sleep(LOOK_S)
    except (SshError, JobError) as error:
        session.progress.note(f"{error}\n{_goes_on(run)}")
    return run
