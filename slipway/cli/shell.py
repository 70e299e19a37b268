"""The task that opens a shell on a node."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import task as invoke_task

from slipway.cli.common import PROFILE, RUN, SITE, open_session, program_arguments
from slipway.cli.job import RESOURCES
from slipway.cli.read import read_push

if TYPE_CHECKING:
    from slipway.host.host import Host
    from slipway.interactive.terminal import LocalTerminal
    from slipway.job.run import Run
    from slipway.steps.shell import Attach, Joining
    from slipway.terminal.terminal import Terminal


@invoke_task(
    help={
        **PROFILE,
        **SITE,
        "run": f"Join this job, which runs: in its container, beside its program. {RUN['run']}",
        "task": "With --run: which task of an array.",
        "node": "With --run: which of the job's nodes. Default: its first.",
        "keep": "The job outlives the shell, and a line that is cut: `invoke shell --run RUN` comes back.",
        "name": "A short label; `invoke status` shows it, and other tasks find the run by it.",
        "push": "Build, convert and send the image first, where the site does not have it.",
        "no_push": "Use the site's image, and ask nothing.",
        "dry_run": "Print the job script; send and submit nothing.",
        **RESOURCES,
    },
    iterable=["set_", "sbatch"],
    optional=["run"],
    auto_shortflags=False,
)
def shell(
    context: Context,
    profile: str = "base",
    site: str | None = None,
    set_: list[str] | None = None,
    run: str | bool | None = None,
    task: str | None = None,
    node: str | None = None,
    keep: bool = False,
    name: str | None = None,
    push: bool = False,
    no_push: bool = False,
    dry_run: bool = False,
    time: str | None = None,
    cpus: str | None = None,
    mem: str | None = None,
    gpus: str | None = None,
    partition: str | None = None,
    account: str | None = None,
    qos: str | None = None,
    exclusive: bool = False,
    constraint: str | None = None,
    sbatch: list[str] | None = None,
) -> None:
    """Open a shell in the container on a node: invoke shell --gpus 1, or invoke shell --run RUN.

    It has what a job has: /code, /data, /weights, /out and the profile's environment. Behind -- stands a
    command that takes the shell's place; without a terminal here its output comes as it is. The job ends
    with the shell.
    """
    with open_session(context) as (session, screen):
        from slipway.errors import UsageError
        from slipway.scheduler.choose import parse_resources
        from slipway.steps.shell import join_shell, make_shell_request, open_shell
        from slipway.steps.submit import preview

        words = program_arguments()
        wanted = {"time": time, "cpus": cpus, "mem": mem, "gpus": gpus, "partition": partition}
        wanted |= {"account": account, "qos": qos, "constraint": constraint}
        wanted |= {"exclusive": "true" if exclusive else None}
        resources = parse_resources(wanted, sbatch or ())
        if run is not None:
            others = [profile != "base", site, set_, keep, name, push, no_push, dry_run]
            _check_run(any(others) or any(wanted.values()) or bool(sbatch))
            with _joining(screen, words, task, node) as joining:
                # Invoke gives True for an option without its value.
                code = join_shell(session, None if run is True else str(run), joining)
        else:
            if task or node:
                raise UsageError("--task and --node say which part of a job is joined; name it with --run")
            choice = session.choose(profile, site, set_ or ())
            request = make_shell_request(choice, words, resources, stays=keep, name=name)
            if dry_run:
                screen.log(preview(session, request))
                return
            with _joining(screen, words) as joining:
                code, ended = open_shell(session, request, read_push(push, no_push), joining)
            _tell(screen, ended)
    if code:
        raise Exit(code=code)


def _check_run(has_others: bool) -> None:
    from slipway.errors import UsageError

    if has_others:
        raise UsageError(
            "--run joins a job as it is; leave out what a new job would be asked for (--task, --node and a "
            "command behind `--` go with it)"
        )


@contextmanager
def _joining(
    screen: Terminal, words: tuple[str, ...], task: str | None = None, node: str | None = None
) -> Iterator[Joining]:
    """What joins a job: this terminal, or a command without one.

    Raises:
        UsageError: there is neither.
    """
    from slipway.errors import UsageError
    from slipway.steps.shell import Joining

    if task is not None and not (task.isdecimal() and len(task) < 10):
        raise UsageError(f"--task {task}: write the number of one task")
    number = None if task is None else int(task)
    if sys.stdin.isatty() and sys.stdout.isatty():
        from slipway.interactive.terminal import open_terminal

        with open_terminal() as local:
            yield Joining(
                words=words, attach=_at_terminal(screen, local), terminal=True, task=number, node=node
            )
        return
    if not words:
        raise UsageError(
            "a shell needs a terminal, and input or output is none here; name a command: "
            "`invoke shell … -- CMD`"
        )
    yield Joining(words=words, attach=_streams(screen), terminal=False, task=number, node=node)


def _at_terminal(screen: Terminal, local: LocalTerminal) -> Attach:
    from slipway.interactive.attach import attach_terminal

    def attach(host: Host, argv: Sequence[str]) -> int:
        screen.done()
        return attach_terminal(host, argv, local)

    return attach


def _streams(screen: Terminal) -> Attach:
    from slipway.interactive.attach import attach_streams
    from slipway.job.join import MARK

    def attach(host: Host, argv: Sequence[str]) -> int:
        screen.done()
        return attach_streams(host, argv, MARK.encode())

    return attach


def _tell(screen: Terminal, run: Run) -> None:
    status = run.status
    if not status.state.is_over:
        screen.note(
            f"{run.shown} goes on until its time limit: `invoke shell --run {run.run_id}` comes back, "
            f"`invoke cancel {run.run_id}` ends it"
        )
    else:
        note = f": {status.note}" if status.note else ""
        screen.note(
            f"{run.shown} {status.state.value}{note}; `invoke pull {run.run_id}` brings its /out home"
        )
