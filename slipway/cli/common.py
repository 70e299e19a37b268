"""What the tasks share: help of common options, and a terminal with the session of this project."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from invoke.context import Context

if TYPE_CHECKING:
    from slipway.notify.target import Target
    from slipway.steps.session import Session
    from slipway.terminal.terminal import Terminal

# Heavy packages are imported by the task that needs them, so that `invoke --list` is quick.

PROFILE = {
    "profile": "What to build and run: a file env/.env.<profile>.",
    "set_": "KEY=VALUE over the profile.",
}
SITE = {"site": "The cluster: a file cluster/<site>.yaml. Default: the profile's SITE."}
# Of tasks whose work a job does where a site is named.
ON = {
    "time": "With --on: the job's wall time.",
    "partition": "With --on: SLURM partition.",
    "account": "With --on: SLURM account.",
    "push": "With --on: send the image first, where the site does not have it.",
    "no_push": "With --on: use the site's image, and ask nothing.",
}
FILTERS = {
    "site": "Only runs at this site.",
    "profile": "Only runs of this profile.",
    "state": "Only runs in this state, such as FAILED. Several with commas, or repeated.",
    "since": "Only runs submitted since then: 3d, 12h, 90m or 2w ago, 2026-11-01, 2026-11-01T14:30.",
    "name": "Only runs of this name.",
}
RUN = {
    "run": "A run's id or name, or its beginning. Default: the newest of this terminal window, else of all."
}
SWEEP = {"sweep": "All runs of a sweep: its id or name, or the beginning of either."}
FAILED = {"failed": "Only what failed, by how it stands now; what was cancelled is left out."}
RUNS = {"run": f"{RUN['run']} May be repeated."}


@contextmanager
def open_session(context: Context, *, anywhere: bool = False) -> Iterator[tuple[Session, Terminal]]:
    """The project's session, shown on a terminal that turns errors into messages and exit codes.

    Args:
        context: Invoke's.
        anywhere: for tasks that need no project: what they make and keep goes to the current folder.

    Raises:
        Exit: with an error's exit code, also where there is no project.
    """
    from slipway.terminal.terminal import terminal

    with terminal() as screen:
        from slipway.errors import UsageError
        from slipway.project import MARK, Project
        from slipway.steps.session import Session

        project = Project.find(Path(context.config.slipway.root))
        if not (anywhere or project.is_set_up):
            raise UsageError(
                f"neither {project.root} nor a folder above it is a project: there is no {MARK}. "
                "`invoke init` makes this folder one"
            )
        screen.keep_lines(project.state / "logs")
        yield Session(project=project, progress=screen, prompt=screen), screen


def program_arguments() -> tuple[str, ...]:
    """What stands behind the first ``--``, exactly as typed; Invoke joins its own remainder with spaces."""
    return tuple(sys.argv[sys.argv.index("--") + 1 :]) if "--" in sys.argv else ()


def with_sweep(session: Session, run: list[str] | None, word: str | None) -> list[str]:
    """The runs that are named, and those of the sweep that is.

    Raises:
        UsageError: there is no such sweep, or none of its elements was submitted.
    """
    if word is None:
        return run or []
    from slipway.errors import UsageError
    from slipway.steps.find import find_sweep

    sweep = find_sweep(session, word)
    if not sweep.run_ids:
        raise UsageError(f"no element of the sweep {sweep.shown} was submitted")
    return [*(run or ()), *sweep.run_ids]


def only_failed(
    session: Session, screen: Terminal, run: Sequence[str] | None, sweep: str | None, task: str | None
) -> dict[str, frozenset[int]]:
    """The runs of which something failed, and which of their tasks did; none where all of it did.

    Where nothing failed, that is said.

    Raises:
        UsageError: tasks are named besides; or there is no such run or sweep.
    """
    from slipway.errors import UsageError
    from slipway.steps.failed import find_failed

    if task is not None:
        raise UsageError("--failed says which tasks, and so does --task; leave one of them out")
    found = find_failed(session, run or (), sweep)
    screen.done()
    if not found:
        screen.say("Nothing has failed there.")
    return {one.run.run_id: one.tasks for one in found}


def refuse_job_options(wanted: Mapping[str, str | None], *, push: bool, no_push: bool) -> None:
    """Refuse options of a job where there is none, since no ``--on`` asks for one.

    Raises:
        UsageError: there is such an option.
    """
    from slipway.errors import UsageError

    given = [f"--{key}" for key, value in wanted.items() if value]
    given += ["--push"] * push + ["--no-push"] * no_push
    if given:
        are, them = ("is", "it") if len(given) == 1 else ("are", "them")
        raise UsageError(f"{', '.join(given)} {are} for a job; add --on SITE, or leave {them} out")


def read_targets(words: Sequence[str]) -> tuple[Target, ...]:
    """Who is to be told of an end, by the words of ``--notify``.

    Raises:
        UsageError: one is none.
    """
    from slipway.errors import UsageError
    from slipway.notify.target import parse_targets

    try:
        return parse_targets(words)
    except ValueError as error:
        raise UsageError(f"--notify: {error}") from error


def read_task(word: str | None) -> int | None:
    """The task of an array that ``--task`` names.

    Raises:
        UsageError: it is no number.
    """
    from slipway.errors import UsageError

    if word is not None and not (word.isdecimal() and len(word) < 10):
        raise UsageError(f"--task {word}: write the number of one task")
    return None if word is None else int(word)
