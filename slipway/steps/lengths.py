"""How long the sequences of a dataset are, as the program counts that knows all layouts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from slipway.dataset.length import add_lengths, parse_lengths
from slipway.errors import JobError
from slipway.job.attempts import newest_output
from slipway.job.request import Request
from slipway.job.run import Run
from slipway.job.wanted import LAST, Wanted
from slipway.jsontext import load_json
from slipway.profile import Profile
from slipway.resources import Resources
from slipway.steps.datasets import run_program
from slipway.steps.pull import Order, pull
from slipway.steps.session import Choice, Session
from slipway.steps.submit import make_request
from slipway.whole_file import write_whole

_PROGRAM = ("python3", "-m", "slam")
_FILE = "lengths.json"


def measure_here(
    profile: Profile, path: Path, sequences: Sequence[str], on_text: Callable[[str], None]
) -> tuple[dict[str, Any], int]:
    """The lengths of a dataset on this machine, and the program's exit code: not 0 where some are missing.

    Raises:
        ImageError: there is no such image, or that program is not in it.
        EngineError: there is no engine.
        ParseError: the program has measured nothing.
    """
    said: list[str] = []

    def listen(text: str) -> None:
        said.append(text)
        on_text(text)

    code = run_program(profile, path, (*_PROGRAM, *_arguments(path.name, sequences)), listen)
    return parse_lengths("".join(said)), code


def lengths_request(choice: Choice, name: str, sequences: Sequence[str], resources: Resources) -> Request:
    """A job that measures a staged dataset."""
    profile = choice.profile.model_copy(update={"program": _PROGRAM})
    chosen = Choice(profile=profile, site=choice.site)
    return make_request(chosen, _arguments(name, sequences), resources, name=f"lengths-{name}")


def bring_lengths(session: Session, run: Run) -> dict[str, Any]:
    """What such a job has measured.

    Raises:
        JobError: it has left no lengths.
    """
    pull(session, run.run_id, Order(wanted=Wanted(only=(_FILE,), attempt=LAST)))
    out = newest_output(session.project.results / run.run_id)
    try:
        content = load_json((out / _FILE).read_bytes()) if out else None
    except (OSError, ValueError):
        content = None
    if not isinstance(content, dict):
        raise JobError(
            f"{run.run_id} has left no {_FILE} that can be read; `invoke logs {run.run_id}` says why"
        )
    return content


def keep_lengths(file: Path, lengths: Mapping[str, Any]) -> None:
    """Write lengths to a file, in which those of other sequences stay.

    Raises:
        ConfigError: there is a file that holds something else.
        HostError: it cannot be written.
    """
    write_whole(file, add_lengths(file, lengths))


def _arguments(name: str, sequences: Sequence[str]) -> tuple[str, ...]:
    options = [word for one in sequences for word in ("--sequence", one)]
    return ("--task", "lengths", "--dataset", name, *options)
