"""Tasks on datasets that are known by name: fetched, checked, listed, removed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import task

from slipway.cli.common import ON, PROFILE, open_session, refuse_job_options
from slipway.cli.logs import exit_as, follow_run
from slipway.cli.read import read_push
from slipway.tilde import expand

if TYPE_CHECKING:
    from slipway.dataset.fetch import Fetched
    from slipway.keep.decision import Decision
    from slipway.steps.session import Session
    from slipway.terminal.terminal import Terminal

_ON = {"on": "At this site: a file cluster/<site>.yaml. Default: on this machine."}


@task(
    help={
        **PROFILE,
        "name": "A dataset of cluster/datasets.yaml, such as tum; `invoke data.list` shows them.",
        "sequence": "Only this sequence, also by a part of its name; may be repeated. `all` for all.",
        "to": "A folder in the place of the profile's DATA_DIR, else data/; the dataset is a folder in it.",
        "on": "The site whose login node fetches it to its scratch. Default: this machine does.",
    },
    iterable=["set_", "sequence"],
    auto_shortflags=False,
)
def fetch(
    context: Context,
    name: str,
    sequence: list[str] | None = None,
    to: str | None = None,
    on: str | None = None,
    profile: str = "base",
    set_: list[str] | None = None,
) -> None:
    """Fetch a published dataset, here or by a cluster's login node: invoke data.fetch tum --sequence fr1/xyz.

    What is there as a whole is not fetched again, and what was cut goes on where it was.
    """
    with open_session(context) as (session, screen):
        from slipway.errors import UsageError
        from slipway.steps import datasets
        from slipway.text.wording import short

        if on is not None:
            if to is not None:
                raise UsageError("--to is a folder here, and --on fetches to a site's scratch; leave one out")
            dataset, done = datasets.fetch_at(session, session.site(on), name, sequence or ())
            _tell(screen, done, name, f"for jobs at {on}: /data/{name}")
        else:
            folder = expand(to) if to else None
            chosen = session.profile(profile, set_ or ())
            dataset, where, done = datasets.fetch_here(session, chosen, name, sequence or (), folder)
            _tell(screen, done, name, f"in {short(where)}", is_made=bool(dataset.program))
        if dataset.usual and not sequence:
            others = len(dataset.sequences) - len(dataset.usual)
            screen.note(f"{others} more are known; --sequence names them, or all")
        done.check(name)


def _tell(screen: Terminal, done: Fetched, name: str, where: str, *, is_made: bool = False) -> None:
    from slipway.skipped import some_of
    from slipway.text.wording import counted

    if done.unknown:
        screen.note(
            f"Not fetched, since their folders are there already: {some_of(done.unknown)}. `invoke "
            "data.check` looks at them; move them away to fetch them"
        )
    for sequence, _ in done.failed:
        screen.say(f"{name}: {sequence} failed")
    if is_made:
        screen.say(f"{name}  {'made' if done.new else 'there already'}  {where}")
    elif done.new or done.there or done.unknown:
        there = f", {len(done.there):,} there already" if done.there else ""
        screen.say(f"{name}  {counted(len(done.new), 'sequence')} fetched{there}  {where}")


@task(
    help={
        **PROFILE,
        "name": "A dataset here by its name, or a path; with --on, one that is staged.",
        "sequence": "Only this sequence; may be repeated.",
        "on": "The site where a job looks at it. Default: a container on this machine does.",
        **ON,
    },
    iterable=["set_", "sequence"],
    auto_shortflags=False,
)
def check(
    context: Context,
    name: str,
    sequence: list[str] | None = None,
    on: str | None = None,
    profile: str = "base",
    set_: list[str] | None = None,
    time: str | None = None,
    partition: str | None = None,
    account: str | None = None,
    push: bool = False,
    no_push: bool = False,
) -> None:
    """Look at every file of a dataset, and name what is wrong: invoke data.check tum.

    Every image opens, sizes agree, timestamps increase and match, the ground truth covers the images, the
    calibration is one. It ends with 4 where there is a fault.
    """
    with open_session(context) as (session, screen):
        from slipway.steps import datasets

        wanted = {"time": time, "partition": partition, "account": account}
        if on is not None:
            _check_at(session, screen, on, name, sequence or [], profile, set_ or [], wanted, (push, no_push))
            return
        refuse_job_options(wanted, push=push, no_push=no_push)
        chosen = session.profile(profile, set_ or ())
        path = datasets.find_data(datasets.data_root(session, chosen), name)
        session.progress.step(f"Looking at {path}")
        code = datasets.check_here(chosen, path, sequence or (), screen.log)
    if code:
        raise Exit(code=code)


def _check_at(
    session: Session,
    screen: Terminal,
    site: str,
    name: str,
    sequences: list[str],
    profile: str,
    overrides: list[str],
    wanted: dict[str, str | None],
    pushing: tuple[bool, bool],
) -> None:
    from slipway.scheduler.choose import parse_resources
    from slipway.steps.datasets import check_request
    from slipway.steps.submit import submitted

    choice = session.choose(profile, site, overrides)
    request = check_request(choice, name, sequences, parse_resources(wanted, ()))
    with submitted(session, request, read_push(*pushing)) as done:
        screen.say(f"run {done.run.shown}  job {done.run.job_id}")
        ended = follow_run(session, screen, done.host, done.run, choice.site, raw=False)
    exit_as(ended)


@task(
    name="list",
    help={
        **PROFILE,
        "on": "Also what lies in this site's scratch.",
        "name": "All that is known of this one.",
        "json": "As JSON.",
    },
    iterable=["set_"],
    auto_shortflags=False,
)
def list_(
    context: Context,
    on: str | None = None,
    name: str | None = None,
    profile: str = "base",
    set_: list[str] | None = None,
    json: bool = False,
) -> None:
    """Show which datasets are known, what of them is here, and what at a site: size, files, age."""
    with open_session(context) as (session, screen):
        from slipway.dataset.catalog import find_dataset
        from slipway.report.dataset_table import dataset_lines, dataset_values
        from slipway.steps import datasets
        from slipway.terminal.dataset_view import show_datasets
        from slipway.terminal.terminal import print_json

        chosen = session.profile(profile, set_ or ())
        root = datasets.data_root(session, chosen)
        site = session.site(on) if on is not None else None
        listing = datasets.list_data(session, root, site)
        values = dataset_values(listing, time.time(), only=name)
        if name is not None and not values:
            find_dataset(listing.known, name)
        if json:
            print_json(values)
            return
        if name is not None:
            for line in dataset_lines(values[0]):
                screen.say(line)
        show_datasets(screen, values, on)


@task(
    help={
        **PROFILE,
        "name": "The dataset.",
        **_ON,
        "yes": "Ask nothing.",
    },
    iterable=["set_"],
    auto_shortflags=False,
)
def remove(
    context: Context,
    name: str,
    on: str | None = None,
    profile: str = "base",
    set_: list[str] | None = None,
    yes: bool = False,
) -> None:
    """Remove a dataset here, or with --on from a site's scratch: invoke data.remove tum --on SITE.

    What a job that waits or runs needs stays.
    """
    with open_session(context) as (session, screen):
        from slipway.report.cost_table import total
        from slipway.steps import datasets
        from slipway.terminal.cost_view import confirm_removal

        def confirm(decision: Decision) -> bool:
            return confirm_removal(screen, decision, yes=yes, dry_run=False)

        if on is not None:
            gone = list(datasets.remove_at(session, session.site(on), name, confirm))
        else:
            chosen = session.profile(profile, set_ or ())
            item = datasets.remove_here(session, datasets.data_root(session, chosen), name, confirm)
            gone = [item] if item else []
        if gone:
            screen.say(f"removed {name}: {total(gone)}")
        else:
            screen.note("Nothing was removed")
