"""The task that submits a job."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from invoke.context import Context
from invoke.tasks import task

from slipway.cli.common import PROFILE, SITE, open_session, program_arguments
from slipway.cli.logs import exit_as, follow_run
from slipway.cli.pull import bring_home
from slipway.cli.sweep import read_throttle
from slipway.cli.sweep import submit as submit_sweep

if TYPE_CHECKING:
    from slipway.job.replay import Replay
    from slipway.notify.target import Target
    from slipway.resources import Resources
    from slipway.steps.session import Session
    from slipway.steps.submit import Push
    from slipway.sweep.spec import SweepSpec
    from slipway.terminal.terminal import Terminal

# What a job asks for, and so does that of a shell.
RESOURCES = {
    "time": "Wall time: minutes, H:MM:SS or D-HH:MM:SS. A handler for SIGUSR1 is called before its end.",
    "cpus": "Processor cores.",
    "mem": "Memory a node, such as 16G.",
    "gpus": "GPUs: a number, or a type and a number such as a100:2.",
    "partition": "SLURM partition; auto: of those that can take the job, where it begins first.",
    "account": "SLURM account.",
    "qos": "SLURM quality of service.",
    "exclusive": "Whole nodes, shared with nobody.",
    "constraint": "Features that the nodes must have.",
    "sbatch": "Any other option of sbatch, such as --sbatch=--comment=mine; may be repeated.",
}


@task(
    help={
        **PROFILE,
        **SITE,
        "name": "A short label; `invoke status` shows it, and other tasks find the run by it.",
        "wait": "Follow the log, and exit with the job's own exit code.",
        "pull": "With --wait: bring the results home at the end, however it ends.",
        "raw": "With --wait: the program's bytes as they are, also on a terminal.",
        "push": "Build, convert and send the image first, where the site does not have it.",
        "no_push": "Use the site's image, and ask nothing.",
        "notify": "Who is told of its end: mail, mail:ADDRESS, desktop or a webhook's address; repeatable.",
        "replay": "An earlier run, once more: its image, code, arguments and resources, but for what is "
        "given here as well.",
        "local": "Run the program here, in a container of the image here, to its end; no cluster is asked.",
        "dry_run": "Print the job script; send and submit nothing.",
        **RESOURCES,
        "prefer": "With --partition auto: start (the earliest), or cost (the lowest, by the site's file).",
        "nodes": "Nodes; the program starts once on each.",
        "each": "NAME=VALUE,VALUE or NAME=FIRST..LAST: a sweep, with {NAME} in the arguments; repeatable.",
        "throttle": "With --each: so many elements run at once, at most.",
        "again": "With --each: also run what is done or on its way with the same image, code and arguments.",
        "array": "Tasks of one run: 0-9, 1,3,5 or 0-99%4; $SLURM_ARRAY_TASK_ID is the program's own.",
        "dependency": "What must be over before, with SLURM's job ids: afterok:123.",
        "continue_after_limit": "Begin again after the time limit, with /out as /previous: 10 times, or N.",
    },
    iterable=["set_", "sbatch", "notify", "each"],
    optional=["continue_after_limit"],
    auto_shortflags=False,
)
def job(
    context: Context,
    profile: str = "base",
    site: str | None = None,
    set_: list[str] | None = None,
    name: str | None = None,
    wait: bool = False,
    pull: bool = False,
    raw: bool = False,
    local: bool = False,
    dry_run: bool = False,
    push: bool = False,
    no_push: bool = False,
    replay: str | None = None,
    notify: list[str] | None = None,
    time: str | None = None,
    cpus: str | None = None,
    mem: str | None = None,
    gpus: str | None = None,
    partition: str | None = None,
    prefer: str | None = None,
    account: str | None = None,
    qos: str | None = None,
    nodes: str | None = None,
    exclusive: bool = False,
    constraint: str | None = None,
    each: list[str] | None = None,
    throttle: str | None = None,
    again: bool = False,
    array: str | None = None,
    dependency: str | None = None,
    continue_after_limit: str | bool | None = None,
    sbatch: list[str] | None = None,
) -> None:
    """Submit a job: invoke job --push --wait -- python3 train.py.

    Everything behind -- reaches the program exactly as typed. It runs in /code, which is read-only, and
    writes to the folder $SLIPWAY_OUT (/out), which `invoke pull` brings home.
    """
    with open_session(context) as (session, screen):
        from slipway.resources import LINKS
        from slipway.scheduler.choose import parse_resources
        from slipway.steps.replay import preview_replay, replayed
        from slipway.steps.submit import make_request, preview, submitted

        check_wait(wait=wait, pull=pull)
        others: dict[str, object]
        wanted: dict[str, str | None] = {"time": time, "cpus": cpus, "mem": mem, "gpus": gpus}
        wanted |= {"partition": partition, "account": account, "qos": qos, "nodes": nodes}
        wanted |= {"exclusive": "true" if exclusive else None, "constraint": constraint}
        wanted |= {"array": array, "dependency": dependency}
        # Invoke gives True for an option without its value.
        times = str(LINKS) if isinstance(continue_after_limit, bool) else continue_after_limit
        wanted["continue_after_limit"] = times
        resources = parse_resources(wanted, sbatch or ())
        if each or throttle or again:
            others = {"local": local, "replay": replay, "prefer": prefer}
            spec = _read_sweep(each or (), throttle, others)
            spec = spec.model_copy(update={"name": name, "profile": profile, "site": site})
            targets = _targets(notify or ())
            pushing = read_push(push, no_push)
            submit_sweep(
                session,
                screen,
                spec,
                resources,
                set_ or (),
                targets,
                pushing,
                again=again,
                dry_run=dry_run,
                wait=wait,
                pull=pull,
                raw=raw,
            )
            return
        if local:
            others = {key: wanted[key] for key in wanted if key not in ("time", "cpus", "mem", "gpus")}
            others |= {"site": site, "wait": wait, "pull": pull, "push": push, "no_push": no_push}
            others |= {"replay": replay, "notify": notify, "dry_run": dry_run, "sbatch": sbatch}
            others |= {"prefer": prefer}
            run_local(session, screen, profile, set_ or (), resources, name, others, raw=raw)
            return
        targets = _targets(notify or ())
        if replay is None:
            choice = session.choose(profile, site, set_ or ())
            request = make_request(
                choice, program_arguments(), resources, name=name, notify=targets, prefer=prefer
            )
            look, start = partial(preview, session, request), partial(submitted, session, request)
            at = choice.site
        else:
            repeated = _replay(session, replay, profile, site, set_ or (), resources, name, targets, prefer)
            look, start = partial(preview_replay, session, repeated), partial(replayed, session, repeated)
            at = repeated.site
        if dry_run:
            screen.log(look())
            return
        with start(read_push(push, no_push)) as done:
            run = done.run
            log = f"{run.site}:{run.run_dir}/{'task-*/' if resources.array else ''}attempt-1/log"
            screen.say(f"run {run.shown}  job {run.job_id}  log {log}")
            if limit := run.resources.get("time"):
                screen.note(f"Time limit {limit}; a program with a handler for SIGUSR1 is warned before")
            if wait:
                ended = follow_run(session, screen, done.host, run, at, raw=raw)
                if pull:
                    bring_home(session, screen, done.host, ended, at)
                exit_as(ended)


def run_local(
    session: Session,
    screen: Terminal,
    profile: str,
    overrides: Sequence[str],
    resources: Resources,
    name: str | None,
    others: Mapping[str, object],
    *,
    raw: bool,
) -> None:
    """Run a job's program on this machine, and exit as it did."""
    from slipway.steps.local_job import make_local_request, refuse_others, run_here
    from slipway.text.wording import short

    refuse_others(others)
    request = make_local_request(session.profile(profile, overrides), program_arguments(), resources, name)
    ended = run_here(session, request, screen.raw if raw else screen.log)
    status = ended.status
    screen.say(f"run {ended.shown}  {status.state.value}  {status.reason}  exit code {status.exit_code}")
    screen.note(f"What it wrote is in {short(Path(ended.run_dir))}/attempt-1/out")
    exit_as(ended)


def _read_sweep(each: Sequence[str], throttle: str | None, others: Mapping[str, object]) -> SweepSpec:
    """The sweep that --each asks for.

    Raises:
        UsageError: there is no --each, or an option does not go with it.
    """
    from slipway.errors import UsageError
    from slipway.sweep.parameter import parse_each
    from slipway.sweep.spec import SweepSpec

    if not each:
        raise UsageError("--throttle and --again are of a sweep; add --each NAME=VALUE,VALUE")
    if given := [name for name, value in others.items() if value]:
        raise UsageError(f"--{given[0]} does not go with --each; leave one of them out")
    return SweepSpec(args=program_arguments(), each=parse_each(each), throttle=read_throttle(throttle))


def _targets(words: Sequence[str]) -> tuple[Target, ...]:
    from slipway.errors import UsageError
    from slipway.notify.target import parse_targets

    try:
        return parse_targets(words)
    except ValueError as error:
        raise UsageError(f"--notify: {error}") from error


def _replay(
    session: Session,
    prefix: str,
    profile: str,
    site: str | None,
    overrides: Sequence[str],
    resources: Resources,
    name: str | None,
    notify: Sequence[Target],
    prefer: str | None,
) -> Replay:
    from slipway.errors import UsageError
    from slipway.steps.replay import make_replay

    # Words behind `--`, even none, take the place of the run's own.
    args = program_arguments() if "--" in sys.argv else None
    again = make_replay(
        session,
        prefix,
        site=site,
        overrides=overrides,
        args=args,
        resources=resources,
        name=name,
        notify=notify,
        prefer=prefer,
    )
    if profile not in ("base", again.run.profile):
        raise UsageError(
            f"--profile {profile} and --replay contradict each other: {again.run.run_id} is a run of profile "
            f"{again.run.profile}; leave one of them out"
        )
    return again


def check_wait(*, wait: bool, pull: bool) -> None:
    """Refuse ``--pull`` without ``--wait``.

    Raises:
        UsageError: it is so.
    """
    from slipway.errors import UsageError

    if pull and not wait:
        raise UsageError("--pull brings results home at the end, which --wait waits for; add --wait")


def read_push(push: bool, no_push: bool) -> Push:
    """Whether the image is sent before a job is submitted.

    Raises:
        UsageError: both are asked for.
    """
    from slipway.errors import UsageError
    from slipway.steps.submit import Push

    if push and no_push:
        raise UsageError("--push and --no-push contradict each other; leave one of them out")
    return Push.ALWAYS if push else Push.NEVER if no_push else Push.ASK
