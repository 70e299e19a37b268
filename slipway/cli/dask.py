"""Tasks of a Dask cluster on the hosts of a site."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from invoke.context import Context
from invoke.tasks import task

from slipway.cli.common import PROFILE, open_session

if TYPE_CHECKING:
    from slipway.dask.options import DaskOptions
    from slipway.site import Site

SITE = {"site": "Where: a file cluster/<site>.yaml."}


@task(
    name="up",
    positional=["site"],
    help={
        **SITE,
        **PROFILE,
        "workers": "Workers on each host, or, with SLURM, jobs. Default: dask.workers of the site's file.",
        "threads": "Threads of each worker. Default: the host's cores, shared among its workers.",
        "memory": "Memory of each worker, such as 32G. Default: the host's, shared among its workers.",
        "time": "With SLURM: the wall time of each worker's job.",
        "partition": "With SLURM: its partition.",
        "account": "With SLURM: its account.",
        "copy": "Have the first host copy to the others what they lack, and ask nobody.",
        "weights": "Have the weights of networks on each host, too.",
        "push": "Build, convert and send the image before, where the first host does not have it.",
        "no_push": "Use the image there, and ask nothing.",
    },
    iterable=["set_"],
    auto_shortflags=False,
)
def up(
    context: Context,
    site: str,
    profile: str = "base",
    set_: list[str] | None = None,
    workers: str | None = None,
    threads: str | None = None,
    memory: str | None = None,
    time: str | None = None,
    partition: str | None = None,
    account: str | None = None,
    copy: bool = False,
    weights: bool = False,
    push: bool = False,
    no_push: bool = False,
) -> None:
    """Start a Dask cluster on a site's hosts, in the profile's image: invoke dask.up SITE --profile NAME.

    The first host is the scheduler, and holds the data. What each host needs is looked at before: that the
    first one gets on it by ssh, the image, its versions. On a site with SLURM each worker is a job.
    """
    with open_session(context) as (session, screen):
        from slipway.cli.read import read_push
        from slipway.scheduler.choose import parse_resources
        from slipway.steps.dask import is_queued
        from slipway.steps.dask_queue import QueueUp
        from slipway.steps.dask_start import UpRequest
        from slipway.steps.dask_up import Up
        from slipway.terminal.dask_view import show_started

        choice = session.choose(profile, site, set_ or ())
        request = UpRequest(
            options=_options(choice.site, workers, threads, memory),
            copy=copy,
            weights=weights,
            push=read_push(push, no_push),
        )
        words = {"time": time, "partition": partition, "account": account}
        resources = parse_resources(words)
        if is_queued(choice.site):
            queued = QueueUp(session=session, choice=choice, request=request, resources=resources)
            started = queued.run()
        else:
            _refuse(choice.site, words)
            started = Up(session=session, choice=choice, request=request).run()
        show_started(screen, started)
        error = started.error
        if error is not None:
            raise error


def _refuse(site: Site, words: Mapping[str, str | None]) -> None:
    from slipway.errors import UsageError

    if given := [f"--{name}" for name, word in words.items() if word is not None]:
        raise UsageError(
            f"{', '.join(given)} asks SLURM, and {site.name} has hosts that Dask logs in to; leave it out"
        )


def _options(site: Site, workers: str | None, threads: str | None, memory: str | None) -> DaskOptions:
    """What the site's file says of its cluster, with what the command line says.

    Raises:
        UsageError: a value is of the wrong kind.
    """
    from slipway.dask.options import DaskOptions
    from slipway.errors import UsageError
    from slipway.model import WrongValueError, read_values
    from slipway.validation import explain

    given = {"workers": workers, "threads": threads, "memory": memory}
    words = {name: word for name, word in given.items() if word is not None}
    try:
        own = read_values(DaskOptions, words)
    except WrongValueError as error:
        problem = error.problem
        raise UsageError(f"--{problem['loc'][0]} {problem['input']}: {explain(problem)}") from error
    return site.dask.model_copy(update={name: getattr(own, name) for name in words})


@task(
    name="status",
    positional=["site"],
    help={**SITE, "json": "As JSON."},
    auto_shortflags=False,
)
def status(context: Context, site: str, json: bool = False) -> None:
    """Show the workers of a site's Dask cluster, and what they do: invoke dask.status SITE."""
    with open_session(context) as (session, screen):
        from slipway.report.dask import standing_values
        from slipway.steps.dask import look
        from slipway.terminal.dask_view import show_standing
        from slipway.terminal.terminal import print_json

        standing = look(session, session.site(site))
        if json:
            print_json(standing_values(standing))
        else:
            show_standing(screen, site, standing)


@task(name="down", positional=["site"], help=SITE, auto_shortflags=False)
def down(context: Context, site: str) -> None:
    """End a site's Dask cluster, and what is left of it on its hosts: invoke dask.down SITE."""
    with open_session(context) as (session, screen):
        from slipway.steps.dask import end
        from slipway.text.wording import counted

        ended = end(session, session.site(site))
        screen.say(
            f"Dask's cluster at {site} is gone." if ended.was_there else f"{site} had no Dask cluster."
        )
        for host, count in ended.killed.items():
            screen.note(f"{host}: {counted(count, 'program')} had to be ended besides")
        for host, why in ended.unreached.items():
            screen.note(f"{host} was not reached, and may have processes left; they end by themselves: {why}")
