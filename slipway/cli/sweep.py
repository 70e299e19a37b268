"""The task that submits many runs of one program."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from invoke.context import Context
from invoke.tasks import task

from slipway.cli.common import PROFILE, open_session, program_arguments
from slipway.tilde import expand

if TYPE_CHECKING:
    from slipway.notify.target import Target
    from slipway.resources import Resources
    from slipway.steps.session import Session
    from slipway.steps.submit import Push
    from slipway.sweep.spec import SweepSpec
    from slipway.terminal.terminal import Terminal


@task(
    positional=["file"],
    help={
        "file": "The sweep's file: parameters, their values, and the program's arguments.",
        "profile": f"{PROFILE['profile']} Default: the file's, else base.",
        "site": "The cluster. Default: the file's, else the profile's SITE.",
        "set_": PROFILE["set_"],
        "name": "A short label. Default: the file's.",
        "throttle": "So many elements run at once, at most. Default: the file's.",
        "pack_minutes": "Short elements share a job, one after the other, of at most so many minutes.",
        "per_node": "So many elements run side by side in one job, with a part of its GPUs and CPUs each.",
        "again": "Also run what is done or on its way with the same image, code and arguments.",
        "dry_run": "Print the elements and the job script of the first array; send and submit nothing.",
        "wait": "Follow the logs, and exit with the worst exit code.",
        "pull": "With --wait: bring the results home at the end, however it ends.",
        "raw": "With --wait: the programs' bytes as they are, also on a terminal.",
        "push": "Build, convert and send the image first, where the site does not have it.",
        "no_push": "Use the site's image, and ask nothing.",
    },
    iterable=["set_"],
    auto_shortflags=False,
)
def sweep(
    context: Context,
    file: str,
    profile: str | None = None,
    site: str | None = None,
    set_: list[str] | None = None,
    name: str | None = None,
    throttle: str | None = None,
    pack_minutes: str | None = None,
    per_node: str | None = None,
    again: bool = False,
    dry_run: bool = False,
    wait: bool = False,
    pull: bool = False,
    raw: bool = False,
    push: bool = False,
    no_push: bool = False,
) -> None:
    """Submit a program once for each set of arguments: invoke sweep sweep.yaml.

    Words behind -- take the place of the file's args.
    """
    with open_session(context) as (session, screen):
        from slipway.cli.read import check_wait, read_lanes, read_minutes, read_push, read_throttle
        from slipway.scheduler.choose import parse_resources
        from slipway.sweep.spec import load_spec

        check_wait(wait=wait, pull=pull)
        spec = load_spec(expand(file))
        args = program_arguments()
        changed: dict[str, object] = {
            "name": name,
            "profile": profile,
            "site": site,
            "throttle": read_throttle(throttle),
            "pack_minutes": read_minutes(pack_minutes),
            "per_node": read_lanes(per_node),
        }
        changed |= {"args": args or None}
        spec = spec.model_copy(update={key: value for key, value in changed.items() if value is not None})
        submit(
            session,
            screen,
            spec,
            parse_resources({}, ()),
            set_ or (),
            (),
            read_push(push, no_push),
            again=again,
            dry_run=dry_run,
            wait=wait,
            pull=pull,
            raw=raw,
        )


def submit(
    session: Session,
    screen: Terminal,
    spec: SweepSpec,
    resources: Resources,
    overrides: Sequence[str],
    notify: Sequence[Target],
    push: Push,
    *,
    again: bool,
    dry_run: bool,
    wait: bool,
    pull: bool,
    raw: bool,
) -> None:
    """Submit a sweep, and say what became of it; with ``wait``, follow it, and exit as its worst run did."""
    from slipway.cli.logs import exit_as, follow_run
    from slipway.cli.pull import bring_home
    from slipway.steps.sweep import describe_elements, preview_sweep, sweep_submitted
    from slipway.steps.sweep_arrays import SweepRequest, describe_jobs
    from slipway.text.wording import counted

    request = SweepRequest(
        choice=session.choose(spec.profile or "base", spec.site, overrides),
        spec=spec,
        resources=resources,
        notify=tuple(notify),
        again=again,
    )
    if dry_run:
        for line in [*describe_elements(spec), *describe_jobs(request)]:
            screen.say(line)
        screen.log(preview_sweep(session, request))
        return
    with sweep_submitted(session, request, push) as done:
        older = sum(one.is_older for one in done.sweep.elements)
        count = len(done.sweep.elements) - older
        screen.say(f"sweep {done.sweep.shown}  {counted(count, 'element')} submitted")
        for run in done.runs:
            shared = f" in {counted(len(run.bundles), 'job')}" if run.bundles else ""
            screen.say(f"run {run.shown}  job {run.job_id}  {counted(len(run.tasks), 'element')}{shared}")
        if older:
            screen.note(
                f"{older} elements are done or on their way, with the same image, code and arguments, and "
                "were not submitted again; --again runs them once more"
            )
        if not wait:
            screen.note(f"`invoke status --sweep {done.sweep.sweep_id}` shows how they stand")
            return
        ended = []
        for run in done.runs:
            ended.append(follow_run(session, screen, done.host, run, request.choice.site, raw=raw))
            if pull:
                bring_home(session, screen, done.host, ended[-1], request.choice.site)
        for one in sorted(ended, key=lambda run: -run.status.wait_code)[:1]:
            exit_as(one)
