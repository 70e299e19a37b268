"""The scheduler and its accounting answer."""

from __future__ import annotations

import shlex

from slipway.doctor.check import Answer, Check, Facts, Place
from slipway.doctor.finding import Finding, failed, ok, warning
from slipway.scheduler.find import find_health, find_scheduler

_NOT_FOUND = 127


def command(facts: Facts, name: str) -> str:
    """One of the scheduler's questions, as a line of bash."""
    return shlex.join(find_health(facts.there.scheduler).commands(options(facts))[name])


def options(facts: Facts) -> list[str]:
    """The options of a job that the profile would submit.

    Raises:
        JobError: they contradict each other.
    """
    from pathlib import PurePosixPath

    return find_scheduler(facts.there.scheduler).directives(
        name="slipway-doctor",
        log=PurePosixPath("/dev/null"),
        resources=facts.wanted.resources,
        site=facts.there,
    )


def _look_at_scheduler(facts: Facts, answer: Answer) -> Finding:
    name = find_scheduler(facts.there.scheduler).title
    if answer.exit_code == 0:
        return ok(f"{name} answers")
    if answer.exit_code == _NOT_FOUND:
        return failed(
            f"{name} is not found there: {answer.words[:200]}",
            so="no job can be submitted from this host",
            fix=f"set login.host in {facts.file} to a login node, or put it on PATH in ~/.bash_profile",
        )
    return failed(
        f"{name} does not answer: {answer.words[:200]}",
        so="no job can be submitted; `invoke status` shows UNKNOWN",
        fix="it is the cluster's own: wait, look at the site's status page, or tell its support",
    )


def _look_at_history(facts: Facts, answer: Answer) -> Finding:
    if answer.exit_code == 0:
        return ok("answers")
    return warning(
        f"it does not answer: {answer.words[:200]}",
        so="of a run that is over only its own result.json is known; `invoke report` has nothing",
        fix="it is the cluster's own: wait, or ask the site whether there is accounting",
    )


CHECKS = (
    Check(
        name="scheduler",
        title="scheduler",
        place=Place.THERE,
        about="The scheduler is there and answers.",
        predicts="No job can be submitted; `status` shows UNKNOWN.",
        look=_look_at_scheduler,
        ask=lambda facts: command(facts, "queue"),
    ),
    Check(
        name="accounting",
        title="accounting",
        place=Place.THERE,
        about="The scheduler's record of jobs that are over answers.",
        predicts="`status` knows less of them, and `report` nothing.",
        look=_look_at_history,
        ask=lambda facts: command(facts, "history"),
    ),
)
