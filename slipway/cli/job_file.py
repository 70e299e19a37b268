"""The short forms of `job --config`, for the tasks of the program that comes with Slipway."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from invoke.context import Context
from invoke.tasks import Task, task

from slipway.cli.job import ITERABLE, OPTIONAL, job
from slipway.cli.submission import JobOptions, submit

# What a job's file does not go with.
_LEFT_OUT = ("replay", "local", "each", "throttle", "pack_minutes", "per_node", "again")


def _short_form(name: str, explained: str) -> Task[Callable[..., None]]:
    """A task with the options of `job`, for a file that says what it is about."""

    def body(context: Context, config: str | None = None, **options: Any) -> None:
        submit(context, JobOptions(config=config, task=name, **options))

    whole = inspect.signature(job.body)
    kept = [one for one in whole.parameters.values() if one.name not in _LEFT_OUT]
    body.__signature__ = whole.replace(parameters=kept)  # type: ignore[attr-defined]
    body.__name__ = name
    body.__doc__ = explained
    helps = {option: text for option, text in job.help.items() if option not in _LEFT_OUT}
    iterable = [option for option in ITERABLE if option not in _LEFT_OUT]
    made: Task[Callable[..., None]] = task(
        help=helps, iterable=iterable, optional=OPTIONAL, auto_shortflags=False
    )(body)
    return made


infer = _short_form(
    "infer",
    "Submit a job that infers, from a file: invoke infer --config run.yaml.\n\n"
    "It is `invoke job --config` with `task: infer` in the file. What stands behind -- is added to the "
    "file's args.",
)
train = _short_form(
    "train",
    "Submit a job that trains, from a file: invoke train --config run.yaml.\n\n"
    "It is `invoke job --config` with `task: train` in the file. What stands behind -- is added to the "
    "file's args.",
)
