"""The task that measures how long sequences are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import task

from slipway.cli.common import ON, PROFILE, open_session, refuse_job_options
from slipway.tilde import expand

if TYPE_CHECKING:
    from slipway.job.request import Request
    from slipway.job.run import Run
    from slipway.steps.session import Session
    from slipway.steps.submit import Push
    from slipway.terminal.terminal import Terminal


@task(
    help={
        **PROFILE,
        "name": "A dataset here by its name, or a path; with --on, one that is staged.",
        "sequence": "Only this sequence; may be repeated.",
        "file": "The file that they are written to; those of other sequences stay. Default: lengths.json.",
        "on": "The site where a job measures it. Default: a container on this machine does.",
        **ON,
    },
    iterable=["set_", "sequence"],
    auto_shortflags=False,
)
def lengths(
    context: Context,
    name: str,
    sequence: list[str] | None = None,
    file: str = "lengths.json",
    on: str | None = None,
    profile: str = "base",
    set_: list[str] | None = None,
    time: str | None = None,
    partition: str | None = None,
    account: str | None = None,
    push: bool = False,
    no_push: bool = False,
) -> None:
    """Count the images and seconds of a dataset's sequences, for a sweep's times: invoke data.lengths tum."""
    with open_session(context) as (session, screen):
        from slipway.cli.read import read_push
        from slipway.scheduler.choose import parse_resources
        from slipway.steps import datasets
        from slipway.steps.lengths import keep_lengths, lengths_request, measure_here
        from slipway.text.wording import counted, short

        wanted = {"time": time, "partition": partition, "account": account}
        target = expand(file)
        if on is not None:
            choice = session.choose(profile, on, set_ or ())
            request = lengths_request(choice, name, sequence or (), parse_resources(wanted, ()))
            ended, found = _measure_at(session, screen, request, read_push(push, no_push))
            code = ended.status.wait_code
        else:
            refuse_job_options(wanted, push=push, no_push=no_push)
            chosen = session.profile(profile, set_ or ())
            path = datasets.find_data(datasets.data_root(session, chosen), name)
            session.progress.step(f"Measuring {path}")
            found, code = measure_here(chosen, path, sequence or (), screen.log)
        if found:
            keep_lengths(target, found)
        screen.say(f"{counted(len(found), 'sequence')} in {short(target)}")
    if code:
        raise Exit(code=code)


def _measure_at(
    session: Session, screen: Terminal, request: Request, push: Push
) -> tuple[Run, dict[str, Any]]:
    from slipway.cli.logs import follow_run
    from slipway.steps.lengths import bring_lengths
    from slipway.steps.submit import submitted

    with submitted(session, request, push) as done:
        screen.say(f"run {done.run.shown}  job {done.run.job_id}")
        ended = follow_run(session, screen, done.host, done.run, request.site, raw=False)
    return ended, bring_lengths(session, ended)
