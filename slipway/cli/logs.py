"""The task that shows what runs print, and a run that is followed to its end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import task

from slipway.cli.common import FAILED, RUNS, SWEEP, only_failed, open_session, with_sweep

if TYPE_CHECKING:
    from slipway.host.host import Host
    from slipway.job.run import Run
    from slipway.job.tail import LogPart
    from slipway.site import Site
    from slipway.steps.logs import LogQuery
    from slipway.steps.session import Session
    from slipway.terminal.terminal import Terminal


@task(
    help={
        **SWEEP,
        **RUNS,
        **FAILED,
        "follow": "Go on until the run is over, and exit as its job did.",
        "tail": "Only so many lines from the end, of the newest attempt. Its beginning is not transferred.",
        "grep": "Only lines that match an extended regular expression; grep -E runs on the cluster.",
        "task": "Only these tasks of an array: 3, or 0-9,12.",
        "attempt": "Only this attempt: a number, or last. Default: all, one after the other.",
        "slurm": "What SLURM itself had to say, in the program's place.",
        "raw": "The program's bytes as they are, also on a terminal: it obeys what is in them.",
    },
    iterable=["run"],
    auto_shortflags=False,
)
def logs(
    context: Context,
    run: list[str] | None = None,
    sweep: str | None = None,
    failed: bool = False,
    follow: bool = False,
    tail: str | None = None,
    grep: str | None = None,
    task: str | None = None,
    attempt: str | None = None,
    slurm: bool = False,
    raw: bool = False,
) -> None:
    """Show what runs have printed: invoke logs RUN, or invoke logs RUN --tail 50 --follow."""
    with open_session(context) as (session, screen):
        from slipway.errors import UsageError
        from slipway.steps.find import find_runs
        from slipway.steps.logs import print_logs

        query = _query(tail, grep, task, attempt, slurm=slurm)
        if failed:
            if follow:
                raise UsageError("--failed is of what is over, and --follow waits; leave one of them out")
            _show_failed(session, screen, only_failed(session, screen, run, sweep, task), query, raw=raw)
            return
        run = with_sweep(session, run, sweep)
        if follow:
            _check_follow(query, run or ())
        if here := _find_local(session, run or ()):
            _show_local(session, screen, here, query, follow=follow, raw=raw)
            return
        found = find_runs(session, run or ())
        if not follow:
            if error := print_logs(session, found, query, screen.raw if raw else screen.log):
                raise error
            return
        one, site = found[0]
        with session.connect(site) as host:
            exit_as(follow_run(session, screen, host, one, site, raw=raw, part=query.part))


def _show_failed(
    session: Session, screen: Terminal, tasks: Mapping[str, frozenset[int]], query: LogQuery, *, raw: bool
) -> None:
    """Show the logs of what failed."""
    from slipway.steps.find import find_runs
    from slipway.steps.logs import print_logs

    if not tasks:
        return
    found = find_runs(session, list(tasks))
    if error := print_logs(session, found, query, screen.raw if raw else screen.log, tasks):
        raise error


def _find_local(session: Session, prefixes: Sequence[str]) -> Run | None:
    """The run of this machine that is meant, where it is one."""
    from slipway.job.run import LOCAL
    from slipway.steps.find import find_record

    if len(prefixes) > 1:
        return None
    one = find_record(session, prefixes[0] if prefixes else None)
    return one if one.site == LOCAL else None


def _show_local(
    session: Session, screen: Terminal, run: Run, query: LogQuery, *, follow: bool, raw: bool
) -> None:
    from slipway.steps.local_logs import follow_here, print_here

    on_text = screen.raw if raw else screen.log
    if not follow:
        print_here(run, query, on_text)
        return
    ended = follow_here(session, run, query, on_text)
    _tell_end(screen, ended)
    exit_as(ended)


def _query(
    tail: str | None, grep: str | None, task: str | None, attempt: str | None, *, slurm: bool
) -> LogQuery:
    from slipway.errors import UsageError
    from slipway.job.tail import LogPart
    from slipway.job.wanted import parse_attempt, parse_tasks
    from slipway.steps.logs import LogQuery

    if tail is not None and not (tail.isdecimal() and len(tail) < 10):
        raise UsageError(f"--tail {tail}: write how many lines as a number")
    if slurm and (task or attempt):
        raise UsageError("--slurm is one log for all tasks and attempts; leave --task and --attempt out")
    part = LogPart(
        tasks=parse_tasks(task),
        attempt=parse_attempt(attempt),
        last_lines=None if tail is None else int(tail),
    )
    return LogQuery(part=part, pattern=grep, slurm=slurm)


def _check_follow(query: LogQuery, runs: Sequence[str]) -> None:
    """Refuse what does not go with --follow."""
    from slipway.errors import UsageError

    if len(runs) > 1:
        raise UsageError("--follow shows one run; name one")
    if query.pattern is not None:
        raise UsageError(
            "--grep looks at what is there, and --follow waits for more; leave one of them out, or pipe it: "
            "`invoke logs RUN --tail 0 --follow | grep -E REGEX`"
        )
    if query.slurm:
        raise UsageError("--slurm shows what is there, and --follow waits for more; leave one of them out")
    if isinstance(query.part.attempt, int):
        raise UsageError(
            f"--follow is for the newest attempt, and --attempt {query.part.attempt} is one of them; write "
            "--attempt last, or leave one of them out"
        )


def follow_run(
    session: Session,
    screen: Terminal,
    host: Host,
    run: Run,
    site: Site,
    *,
    raw: bool,
    part: LogPart | None = None,
) -> Run:
    """Show a run's log to its end, and how it ended; returns the run as it ended."""
    from slipway.job.wanted import check_tasks
    from slipway.steps.follow import follow
    from slipway.steps.tell import tell_endings

    check_tasks(run, part.tasks if part else ())
    run = follow(session, host, run, site, screen.raw if raw else screen.log, part)
    _tell_end(screen, run)
    tell_endings(session)
    return run


def _tell_end(screen: Terminal, run: Run) -> None:
    status = run.status
    code = "no exit code" if status.exit_code is None else f"exit code {status.exit_code}"
    screen.say(f"run {run.shown}  {status.state.value}  {status.reason}  {code}")
    if status.note:
        screen.note(status.note)


def exit_as(run: Run) -> None:
    """End as a run's job did, if that was not well."""
    if run.status.wait_code:
        raise Exit(code=run.status.wait_code)
