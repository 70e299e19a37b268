"""From the options of a task that submits a job to the run, and what is said of it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from invoke.context import Context

from slipway.cli.common import open_session, program_arguments, read_targets
from slipway.cli.logs import exit_as, follow_run
from slipway.cli.pull import bring_home
from slipway.cli.read import check_wait, read_lanes, read_minutes, read_push, read_throttle
from slipway.cli.sweep import submit as submit_sweep
from slipway.tilde import expand

if TYPE_CHECKING:
    from slipway.job.replay import Replay
    from slipway.resources import Resources
    from slipway.site import Site
    from slipway.steps.session import Session
    from slipway.steps.submit import Push, Submitted
    from slipway.sweep.spec import SweepSpec
    from slipway.terminal.terminal import Terminal

# The profile that is meant where none is named.
BASE = "base"
# What a job's file does not go with.
_OF_SWEEPS = ("throttle", "pack_minutes", "per_node", "again")
_NOT_FROM_FILE = ("replay", "local", "each", *_OF_SWEEPS)


@dataclass(frozen=True, kw_only=True)
class JobOptions:
    """The options of `invoke job`, as Invoke gives them; its help explains them."""

    profile: str | None = None
    site: str | None = None
    set_: Sequence[str] | None = None
    name: str | None = None
    wait: bool = False
    pull: bool = False
    raw: bool = False
    local: bool = False
    dry_run: bool = False
    push: bool = False
    no_push: bool = False
    replay: str | None = None
    engine: str | None = None
    notify: Sequence[str] | None = None
    time: str | None = None
    cpus: str | None = None
    mem: str | None = None
    gpus: str | None = None
    partition: str | None = None
    prefer: str | None = None
    account: str | None = None
    qos: str | None = None
    nodes: str | None = None
    exclusive: bool = False
    constraint: str | None = None
    each: Sequence[str] | None = None
    throttle: str | None = None
    pack_minutes: str | None = None
    per_node: str | None = None
    again: bool = False
    array: str | None = None
    dependency: str | None = None
    continue_after_limit: str | bool | None = None
    sbatch: Sequence[str] | None = None
    config: str | None = None
    # That of a short form, such as `invoke infer`.
    task: str | None = None

    @property
    def words(self) -> dict[str, str | None]:
        """What is asked of the scheduler, by the names of resources."""
        from slipway.resources import LINKS

        wanted: dict[str, str | None] = {"time": self.time, "cpus": self.cpus, "mem": self.mem}
        wanted |= {"gpus": self.gpus, "partition": self.partition, "account": self.account, "qos": self.qos}
        wanted |= {"nodes": self.nodes, "exclusive": "true" if self.exclusive else None}
        wanted |= {"constraint": self.constraint, "array": self.array, "dependency": self.dependency}
        # Invoke gives True for an option without its value.
        links = self.continue_after_limit
        wanted["continue_after_limit"] = str(LINKS) if isinstance(links, bool) else links
        return wanted


def submit(context: Context, options: JobOptions) -> None:
    """Submit a job, or print what would be submitted."""
    with open_session(context) as (session, screen):
        from slipway.scheduler.choose import parse_resources

        check_wait(wait=options.wait, pull=options.pull)
        _require_config(options)
        _check_engine(options)
        resources = parse_resources(options.words, options.sbatch or ())
        if options.config is not None:
            _from_file(session, screen, options, options.config, resources)
        elif options.each or any(getattr(options, name) for name in _OF_SWEEPS):
            _sweep(session, screen, options, resources)
        elif options.local:
            _local(session, screen, options, resources)
        elif options.replay is None:
            _one(session, screen, options, resources)
        else:
            _again(session, screen, options, options.replay, resources)


def _require_config(options: JobOptions) -> None:
    from slipway.errors import UsageError

    if options.task and options.config is None:
        raise UsageError(
            f"{options.task} reads a file that describes the job: `invoke {options.task} --config run.yaml`; "
            "docs/howto/from-a-file.md shows one. Without a file it is "
            f"`invoke job -- --task {options.task} --dataset NAME`"
        )


def _check_engine(options: JobOptions) -> None:
    from slipway.errors import UsageError

    if options.engine not in (None, "dask"):
        raise UsageError(f"--engine {options.engine}: there is one, dask")
    others = [name for name in ("local", "replay", "each", "dry_run") if getattr(options, name)]
    if options.engine and others:
        raise UsageError(
            f"--{others[0].replace('_', '-')} does not go with --engine, which asks for the address of the "
            "site's cluster when the job is submitted; leave one of them out"
        )


def _one(session: Session, screen: Terminal, options: JobOptions, resources: Resources) -> None:
    from slipway.steps.submit import make_request, preview, submitted

    targets = read_targets(options.notify or ())
    choice = session.choose(options.profile or BASE, options.site, options.set_ or ())
    request = make_request(
        choice, program_arguments(), resources, name=options.name, notify=targets, prefer=options.prefer
    )
    if options.dry_run:
        screen.log(preview(session, request))
        return
    _start(
        session,
        screen,
        options,
        resources,
        choice.site,
        partial(submitted, session, request, engine=options.engine),
    )


def _from_file(
    session: Session, screen: Terminal, options: JobOptions, config: str, resources: Resources
) -> None:
    from slipway.errors import UsageError
    from slipway.job_file.spec import load_job_file
    from slipway.steps.job_file import look_at_inputs, stage_inputs
    from slipway.steps.submit import make_request, preview, submitted
    from slipway.text.wording import megabytes, short

    if given := [name for name in _NOT_FROM_FILE if getattr(options, name)]:
        raise UsageError(f"--{given[0].replace('_', '-')} does not go with --config; leave one of them out")
    spec = load_job_file(expand(config))
    spec = spec.with_task(options.task) if options.task else spec
    targets = read_targets(options.notify or ())
    choice = session.choose(
        options.profile or spec.profile or BASE, options.site or spec.site, options.set_ or ()
    )
    inputs = look_at_inputs(session, spec)
    request = make_request(
        choice,
        (*spec.arguments(inputs.paths, inputs.dataset), *program_arguments()),
        resources.over(spec.wanted),
        name=options.name or spec.name,
        notify=targets,
        prefer=options.prefer,
        origins=spec.origins(resources),
    )
    if options.dry_run:
        for one in inputs.uploads:
            screen.note(f"{short(one.source)}, {megabytes(one.size_bytes)}, would be /data/{one.name}")
        screen.log(preview(session, request))
        return
    before = partial(stage_inputs, session, choice, inputs)
    start = partial(submitted, session, request, before=before, engine=options.engine)
    _start(session, screen, options, request.resources, choice.site, start)


def _again(
    session: Session, screen: Terminal, options: JobOptions, prefix: str, resources: Resources
) -> None:
    from slipway.steps.replay import preview_replay, replayed

    repeated = _replay(session, options, prefix, resources)
    if options.dry_run:
        screen.log(preview_replay(session, repeated))
        return
    _start(session, screen, options, resources, repeated.site, partial(replayed, session, repeated))


def _start(
    session: Session,
    screen: Terminal,
    options: JobOptions,
    resources: Resources,
    at: Site,
    start: Callable[[Push], AbstractContextManager[Submitted]],
) -> None:
    """Submit, and say what became of it; with ``wait``, follow it, and exit as it did."""
    with start(read_push(options.push, options.no_push)) as done:
        run = done.run
        log = f"{run.site}:{run.run_dir}/{'task-*/' if resources.array else ''}attempt-1/log"
        screen.say(f"run {run.shown}  job {run.job_id}  log {log}")
        if limit := run.resources.get("time"):
            screen.note(f"Time limit {limit}; a program with a handler for SIGUSR1 is warned before")
        if options.wait:
            ended = follow_run(session, screen, done.host, run, at, raw=options.raw)
            if options.pull:
                bring_home(session, screen, done.host, ended, at)
            exit_as(ended)


def _sweep(session: Session, screen: Terminal, options: JobOptions, resources: Resources) -> None:
    others = {"local": options.local, "replay": options.replay, "prefer": options.prefer}
    spec = _read_sweep(options, others)
    changed = {"name": options.name, "profile": options.profile or BASE, "site": options.site}
    submit_sweep(
        session,
        screen,
        spec.model_copy(update=changed),
        resources,
        options.set_ or (),
        read_targets(options.notify or ()),
        read_push(options.push, options.no_push),
        again=options.again,
        dry_run=options.dry_run,
        wait=options.wait,
        pull=options.pull,
        raw=options.raw,
    )


def _local(session: Session, screen: Terminal, options: JobOptions, resources: Resources) -> None:
    words = options.words
    others: dict[str, object] = {
        key: words[key] for key in words if key not in ("time", "cpus", "mem", "gpus")
    }
    for key in ("site", "wait", "pull", "push", "no_push", "replay", "notify", "dry_run", "sbatch", "prefer"):
        others[key] = getattr(options, key)
    profile, overrides = options.profile or BASE, options.set_ or ()
    run_local(session, screen, profile, overrides, resources, options.name, others, raw=options.raw)


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


def _read_sweep(options: JobOptions, others: Mapping[str, object]) -> SweepSpec:
    """The sweep that --each asks for.

    Raises:
        UsageError: there is no --each, or an option does not go with it.
    """
    from slipway.errors import UsageError
    from slipway.sweep.parameter import parse_each
    from slipway.sweep.spec import SweepSpec

    if not options.each:
        name = next(name for name in _OF_SWEEPS if getattr(options, name))
        raise UsageError(f"--{name.replace('_', '-')} is of a sweep; add --each NAME=VALUE,VALUE")
    if given := [name for name, value in others.items() if value]:
        raise UsageError(f"--{given[0]} does not go with --each; leave one of them out")
    return SweepSpec(
        args=program_arguments(),
        each=parse_each(options.each),
        throttle=read_throttle(options.throttle),
        pack_minutes=read_minutes(options.pack_minutes),
        per_node=read_lanes(options.per_node),
    )


def _replay(session: Session, options: JobOptions, prefix: str, resources: Resources) -> Replay:
    from slipway.errors import UsageError
    from slipway.steps.replay import make_replay

    # Words behind `--`, even none, take the place of the run's own.
    args = program_arguments() if "--" in sys.argv else None
    again = make_replay(
        session,
        prefix,
        site=options.site,
        overrides=options.set_ or (),
        args=args,
        resources=resources,
        name=options.name,
        notify=read_targets(options.notify or ()),
        prefer=options.prefer,
    )
    if options.profile not in (None, BASE, again.run.profile):
        raise UsageError(
            f"--profile {options.profile} and --replay contradict each other: {again.run.run_id} is a run of "
            f"profile {again.run.profile}; leave one of them out"
        )
    return again
