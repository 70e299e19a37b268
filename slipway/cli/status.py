"""The task that shows how runs stand."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from invoke.context import Context
from invoke.tasks import task

from slipway.cli.common import FILTERS, SWEEP, open_session, with_sweep

if TYPE_CHECKING:
    from collections.abc import Callable

    from slipway.errors import SlipwayError
    from slipway.job.run import Run
    from slipway.steps.kept_hosts import KeptHostsSession
    from slipway.steps.session import Session
    from slipway.steps.watch import Picture
    from slipway.terminal.terminal import Terminal


@task(
    help={
        "run": "A run's id or name, or the beginning of it; may be repeated. Default: all.",
        **SWEEP,
        **FILTERS,
        "json": "As JSON.",
        "wide": "All columns, however narrow the terminal is.",
        "count": "How many runs, the newest first.",
        "watch": "Go on, drawn in place, until you press q; with runs named, until they are over.",
        "interval": "With --watch: seconds between questions. Default: 5, up to 30 while nothing changes.",
    },
    iterable=["run", "state"],
    auto_shortflags=False,
)
def status(
    context: Context,
    run: list[str] | None = None,
    sweep: str | None = None,
    site: str | None = None,
    profile: str | None = None,
    state: list[str] | None = None,
    since: str | None = None,
    name: str | None = None,
    json: bool = False,
    wide: bool = False,
    count: str = "20",
    watch: bool = False,
    interval: str | None = None,
) -> None:
    """Show how runs stand: invoke status --since 3d."""
    with open_session(context) as (session, screen):
        from slipway.errors import UsageError
        from slipway.job.home import is_marked_home
        from slipway.job.selection import ALL
        from slipway.steps.mentioned import find_logins, find_warnings
        from slipway.steps.select import select_runs
        from slipway.steps.status import list_runs
        from slipway.steps.tell import tell_endings
        from slipway.terminal.terminal import print_json

        if not (count.isdecimal() and len(count) < 10):
            raise UsageError(f"--count {count}: write how many runs as a number")
        interval_s = _interval(interval, watch=watch, json=json)
        if watch and wide:
            raise UsageError("--watch and --wide contradict each other: a view has to fit the terminal")
        if sweep is not None and not watch:
            _show_sweep(session, screen, sweep, json=json)
            return
        run = with_sweep(session, run, sweep)
        selection = select_runs(
            session, run=run, site=site, profile=profile, state=state, since=since, name=name
        )
        if watch:
            listed = partial(list_runs, selection=selection, count=int(count))
            _watch(session, screen, listed, interval_s, to_end=bool(run))
            return
        runs, error = list_runs(session, selection, int(count))
        home = {one.run_id for one in runs if is_marked_home(session.project.results, one)}
        if json:
            from slipway.report.values import run_values

            print_json([run_values(one, home=one.run_id in home) for one in runs])
        elif runs:
            from slipway.terminal.view import show_runs

            show_runs(screen, runs, home, wide=wide)
        elif selection == ALL:
            screen.say("There are no runs yet; `invoke job -- …` starts one.")
        else:
            screen.say("No run is like that; `invoke status` shows the newest of all.")
        tell_endings(session)
        logins = () if json else find_logins(session)
        if logins:
            from slipway.report.login_table import login_notes
        for line in [*find_warnings(session), *(login_notes(logins) if logins else ())]:
            screen.note(line)
        if error:
            raise error


def _show_sweep(session: Session, screen: Terminal, word: str, *, json: bool) -> None:
    """How a sweep stands, element by element."""
    from slipway.report.sweep_table import element_states, sweep_lines, sweep_values
    from slipway.steps.find import find_sweep
    from slipway.steps.kept_hosts import KeptHostsSession
    from slipway.steps.monitor_note import followed
    from slipway.steps.select import select_runs
    from slipway.steps.status import list_runs
    from slipway.steps.tell import tell_endings
    from slipway.terminal.terminal import print_json

    kept = KeptHostsSession(project=session.project, progress=session.progress, prompt=session.prompt)
    try:
        sweep = followed(kept, find_sweep(session, word))
        ids = sweep.run_ids
        found, error = list_runs(kept, select_runs(kept, run=ids), len(ids)) if ids else ([], None)
    finally:
        kept.hosts.close()
    states = element_states(sweep, {run.run_id: run for run in found})
    if json:
        print_json(sweep_values(sweep, states))
    else:
        for line in sweep_lines(sweep, states):
            screen.say(line)
    tell_endings(session)
    if error:
        raise error


def _interval(interval: str | None, *, watch: bool, json: bool) -> float | None:
    from slipway.errors import UsageError

    if watch and json:
        raise UsageError("--watch and --json contradict each other; a script asks again itself")
    if interval is None:
        return None
    if not watch:
        raise UsageError("--interval is of --watch; add that")
    return read_interval(interval)


def read_interval(interval: str | None) -> float | None:
    """Seconds between two questions.

    Raises:
        UsageError: it is no number from 1 on.
    """
    from slipway.errors import UsageError

    if interval is None:
        return None
    if not (interval.isdecimal() and len(interval) < 10) or not 1 <= int(interval) <= 86400:
        raise UsageError(f"--interval {interval[:100]}: write seconds as a whole number, from 1 on")
    return float(interval)


def _watch(
    session: Session,
    screen: Terminal,
    list_now: Callable[[KeptHostsSession], tuple[list[Run], SlipwayError | None]],
    interval_s: float | None,
    *,
    to_end: bool,
) -> None:
    from slipway.steps.kept_hosts import KeptHostsSession
    from slipway.steps.tell import Teller
    from slipway.steps.watch import Watch
    from slipway.terminal.view import show_runs
    from slipway.terminal.watch_view import ViewPrompt, watch_runs

    prompt = ViewPrompt(screen)
    kept = KeptHostsSession(project=session.project, prompt=prompt)
    watch, teller = Watch(kept, list_now, interval_s), Teller(kept)

    def ask() -> Picture:
        picture = watch.ask()
        teller.go_on()
        return picture

    try:
        seen = watch_runs(screen, prompt, ask, to_end=to_end)
    finally:
        kept.hosts.close()
        teller.finish()
    if screen.width is not None and seen.runs:
        show_runs(screen, seen.runs)
        if seen.trouble:
            screen.note(seen.trouble)
    for note in teller.notes:
        screen.note(note)
