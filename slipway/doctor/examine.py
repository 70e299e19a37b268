"""Making checks: each by itself, so that one that breaks takes no other with it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from slipway.doctor.check import NO_ANSWER, Answer, Check, Facts, Place
from slipway.doctor.finding import Finding, Verdict, failed, skipped, warning
from slipway.errors import SlipwayError

_NO_SITE = "no site is named: `invoke doctor SITE`, or SITE=NAME in env/.env.local"
_LOGIN = "login"
_JOB = "job"


@dataclass(frozen=True, kw_only=True)
class Examined:
    """A check, and what it has found."""

    check: Check
    finding: Finding


def examine(checks: Iterable[Check], facts: Facts, before: Iterable[Examined] = ()) -> list[Examined]:
    """Make checks, in their order.

    Args:
        checks: the checks; those that others need stand before them.
        facts: what is known, with the answers to their scripts.
        before: checks that were made already.

    Returns:
        Those that were made now.
    """
    known = {one.check.name: one for one in before}
    made = []
    for check in checks:
        made.append(Examined(check=check, finding=_examine(check, facts, known)))
        known[check.name] = made[-1]
    return made


def _examine(check: Check, facts: Facts, known: Mapping[str, Examined]) -> Finding:
    if why := _why_not(check, facts, known):
        return skipped(why)
    answer = NO_ANSWER if check.ask is None else facts.answer(check.name)
    if answer.exit_code is None:
        return _silent(answer)
    try:
        return check.look(facts, answer)
    except SlipwayError as error:  # what it needs is not there, which the check of that tells
        return skipped(str(error))
    except Exception as error:  # whatever breaks in one check is no reason not to make the others
        return warning(
            f"the check itself broke: {type(error).__name__}: {error}",
            so="nothing is known of it",
            fix="look at it by hand, and report this as a bug of Slipway's",
        )


def _why_not(check: Check, facts: Facts, known: Mapping[str, Examined]) -> str | None:
    """Why a check cannot be made; ``None`` where it can."""
    if check.place is not Place.HERE and facts.site is None:
        return _NO_SITE
    if check.place is Place.NODE and not facts.has_job:
        return f"only a job sees a node: `invoke doctor {facts.there.name} --job` submits a short one"
    first = {Place.HERE: (), Place.THERE: (_LOGIN,), Place.NODE: (_LOGIN, _JOB)}[check.place]
    for name in (*first, *check.needs):
        if name in known and name != check.name and not known[name].finding.is_usable:
            what = "was skipped" if known[name].finding.verdict is Verdict.SKIPPED else "is not well"
            return f"it needs “{known[name].check.title}”, which {what}"
    return None


def _silent(answer: Answer) -> Finding:
    """A script that did not come to its end."""
    said = f" (it said: {answer.words[:200]})" if answer.words else ""
    return failed(
        f"there was no answer in time{said}",
        so="what a job does there would hang, too",
        fix="try again later; if it stays so, ask the site",
    )
