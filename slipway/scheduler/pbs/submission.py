"""What came of a submission, by what qsub answered. Pure."""

from __future__ import annotations

import re

from slipway.scheduler.base import Submission
from slipway.scheduler.pbs.name import parse_id

# Exit codes of a program that was ended by timeout or a signal, or could not be started.
_KILLED = range(124, 256)
_OF_SERVER = re.compile(r"^qsub: (?:submit error \((.*)\)$)?")
_ERROR = "qsub: "
_LONGEST = 600


def parse_submission(exit_code: int, stdout: str, stderr: str) -> Submission:
    """The job's id, which is the last line that is one, or why it was refused.

    PBS's own codes for a refusal are those of its errors, modulo 256; so only where nothing is said of one
    may it be that qsub was killed.
    """
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith(_ERROR)]
    if exit_code == 0:
        found = [line for line in map(str.strip, stdout.splitlines()) if parse_id(line)]
        if found:
            return Submission(job_id=found[-1])
        if not errors:
            # A wrapper may end with 0 all the same.
            return Submission()
    if exit_code in _KILLED and not errors:
        return Submission()
    words = "; ".join(filter(None, (_plain(line) for line in errors or lines)))
    return Submission(refusal=words[:_LONGEST] or "it gave no reason")


def _plain(line: str) -> str:
    """The words of ``qsub: submit error (…)``, or those behind ``qsub:``."""
    match = _OF_SERVER.match(line)
    return line if match is None else match[1] or line.removeprefix(_ERROR)
