"""The step that looks for what would fail."""

from __future__ import annotations

import secrets
import shlex
import time
from collections.abc import Iterable
from dataclasses import replace

from slipway.doctor.catalog import checks_of
from slipway.doctor.check import Answer, Check, Facts, JobEnding, Place
from slipway.doctor.examine import Examined, examine
from slipway.doctor.finding import Verdict
from slipway.doctor.node.job import run_job, with_answers
from slipway.doctor.program import compose, parse_answers
from slipway.errors import SlipwayError
from slipway.host.host import Host
from slipway.host.scratch import open_scratch
from slipway.job.request import resource_request
from slipway.profile import Profile
from slipway.resources import Resources
from slipway.sif.kept import find_sif
from slipway.site import Site
from slipway.steps.session import Session
from slipway.steps.submit import look_here

# For each script there; the whole program may take longer, because login shells do.
_ASKED_S = 45
_WHOLE_S = 180


def diagnose(
    session: Session, profile: Profile, site: Site | None, resources: Resources, *, with_job: bool = False
) -> list[Examined]:
    """Make all checks, with one login.

    Args:
        session: the checkout's.
        profile: what is to be built and run.
        site: the cluster; ``None`` for this machine alone.
        resources: what a job would ask for beside profile and site.
        with_job: submit a short test job, and look at its node. Whatever stops the wait cancels it.

    Returns:
        All checks in their order, also those that were skipped.
    """
    session.progress.step("Looking at this machine")
    facts = _facts(session, profile, site, resources, with_job=with_job)
    found = examine(checks_of(Place.HERE), facts)
    if site is None:
        return [*found, *examine([*checks_of(Place.THERE), *checks_of(Place.NODE)], facts, found)]
    session.progress.step(f"Logging in to {site.name}")
    try:
        host = session.log_in(site)
    except SlipwayError as error:
        lost = replace(facts, login_error=error)
        return [*found, *examine([*checks_of(Place.THERE), *checks_of(Place.NODE)], lost, found)]
    with host:
        return [*found, *_diagnose_there(session, host, replace(facts, target=str(host.target)), found)]


def _facts(
    session: Session, profile: Profile, site: Site | None, resources: Resources, *, with_job: bool
) -> Facts:
    image = look_here(session, profile, site.container.compression if site else "zstd")()
    sif = find_sif(session.project, image, site.container.compression) if image and site else None
    return Facts(
        project=session.project,
        profile=profile,
        site=site,
        request=resource_request(profile, site, resources) if site else None,
        image=image,
        sif=sif,
        has_job=with_job,
    )


def _diagnose_there(session: Session, host: Host, facts: Facts, found: list[Examined]) -> list[Examined]:
    site = facts.there
    session.progress.step(f"Asking {site.name}")
    try:
        facts = _ask(host, facts)
    except SlipwayError as error:
        facts = replace(facts, login_error=error)
    there = examine(checks_of(Place.THERE), facts, found)
    blocked = _blocked(there)
    if facts.has_job and facts.login_error is None:
        if blocked is None:
            facts = _look_at_node(session, host, facts)
        else:
            facts = replace(facts, ending=JobEnding(why_not=f"it was not submitted: {blocked}"))
    return [*there, *examine(checks_of(Place.NODE), facts, [*found, *there])]


def _blocked(there: Iterable[Examined]) -> str | None:
    """Why no test job can be submitted; ``None`` where one can."""
    findings = {one.check.name: one for one in there}
    for name in ("scratch", "scheduler", "request"):
        one = findings[name]
        # Not each scheduler can be asked about a job that is not submitted.
        untold = name == "request" and one.finding.verdict is Verdict.SKIPPED
        if not one.finding.is_usable and not untold:
            return f"“{one.check.title}” is not well"
    return None


def _ask(host: Host, facts: Facts) -> Facts:
    """Ask all that is asked on the login node, nearly all of it in one round trip.

    Raises:
        SlipwayError: the program did not come to its end, or could not be run.
    """
    mark, scripts = secrets.token_hex(16), _scripts(Place.THERE, facts)
    plain = {one.name: scripts.pop(one.name) for one in checks_of(Place.THERE) if one.is_plain}
    text = compose(scripts, facts.there, mark, _ASKED_S)
    before_s = time.time()
    done = host.run_in_login_shell(["bash", "-lc", text], timeout_s=_WHOLE_S)
    answers = parse_answers(done.stdout, mark)
    if answers is None:
        raise SlipwayError(f"{host.target}: the checks were not made there: {done.explain()[:400]}")
    asked_s = before_s, time.time()
    for name, script in plain.items():
        said = host.run(["sh", "-c", script])
        answers[name] = Answer(exit_code=said.exit_code, text=said.stdout + said.stderr)
    return replace(facts, answers=answers, asked_s=asked_s)


def _scripts(place: Place, facts: Facts) -> dict[str, str]:
    """The scripts of all checks that have one; where one cannot be made, the check is told so."""
    scripts = {}
    for check in checks_of(place):
        if check.ask is not None:
            scripts[check.name] = _script(check, facts)
    return scripts


def _script(check: Check, facts: Facts) -> str:
    assert check.ask is not None  # noqa: S101 - the caller has looked
    try:
        return check.ask(facts)
    except SlipwayError as error:
        return f"printf '%s\\n' {shlex.quote(str(error))}; exit 64"


def _look_at_node(session: Session, host: Host, facts: Facts) -> Facts:
    try:
        scratch = open_scratch(host, facts.there)
        ending = run_job(host, scratch, facts, _scripts(Place.NODE, facts), session.progress)
    except SlipwayError as error:
        ending = JobEnding(problem=error)
    return with_answers(facts, ending)
