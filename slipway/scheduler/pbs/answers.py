"""Asking PBS over a connection, and what it answered."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from slipway.errors import ParseError
from slipway.host.host import Host
from slipway.scheduler.pbs.attributes import Attributes, parse_jobs
from slipway.shell import Result

# A program is given at most 128 kB as one argument, and a server that is asked for thousands is slow.
AT_ONCE = 500
# What is said of a job that PBS does not know (any more): that is an answer.
_NOT_KNOWN = re.compile(
    r"unknown job|unknown array|job has finished|has moved to server|slipway: no history", re.IGNORECASE
)
_NO_HISTORY = "slipway: no history"


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What PBS knows of jobs.

    Attributes:
        jobs: their attributes by their ids.
        problem: why it could not be asked, or its answer could not be read.
        keeps_history: whether it tells of jobs that are over, as far as that is known.
    """

    jobs: Mapping[str, Attributes]
    problem: str | None = None
    keeps_history: bool = True


def ask(host: Host, words: Sequence[str], command: Callable[[Sequence[str]], list[str]]) -> Answer:
    """Ask for jobs by ids or names.

    Args:
        host: the connection.
        words: the ids or names.
        command: makes the argv for some of them.
    """
    jobs: dict[str, Attributes] = {}
    history = True
    for some in parts(words):
        answer = _read(host.run_in_login_shell(command(some)))
        if answer.problem is not None:
            return Answer(jobs=jobs, problem=answer.problem, keeps_history=history)
        jobs |= answer.jobs
        history = history and answer.keeps_history
    return Answer(jobs=jobs, keeps_history=history)


def _read(result: Result) -> Answer:
    lines = [line.strip() for line in result.stderr.splitlines() if line.strip()]
    history = _NO_HISTORY not in lines
    problems = [line for line in lines if not _NOT_KNOWN.search(line)]
    if not result.ok and (problems or not lines):
        words = " ".join(problems) or f"it ended with exit code {result.exit_code}"
        return Answer(jobs={}, problem=f"qstat could not be asked: {words[:400]}", keeps_history=history)
    try:
        return Answer(jobs=parse_jobs(result.stdout), keeps_history=history)
    except ParseError as error:
        return Answer(jobs={}, problem=str(error), keeps_history=history)


def parts(items: Sequence[str]) -> Iterator[Sequence[str]]:
    """Names or ids in parts, of which each fits into one command."""
    return (items[start : start + AT_ONCE] for start in range(0, len(items), AT_ONCE))
