"""The task that looks for what would fail."""

from __future__ import annotations

from invoke.context import Context
from invoke.tasks import task

from slipway.cli.common import PROFILE, SITE, open_session


@task(
    help={
        **SITE,
        **PROFILE,
        "job": "Submit a short test job, too, and look at the node that it gets; Ctrl-C cancels it.",
        "json": "As JSON.",
    },
    iterable=["set_"],
    auto_shortflags=False,
)
def doctor(
    context: Context,
    site: str | None = None,
    profile: str = "base",
    set_: list[str] | None = None,
    job: bool = False,
    json: bool = False,
) -> None:
    """Look for what would fail, here and on a cluster, and say what to do: invoke doctor SITE --job."""
    with open_session(context) as (session, screen):
        from slipway.errors import DoctorError, UsageError
        from slipway.report.diagnosis import diagnosis, summary
        from slipway.scheduler.choose import parse_resources
        from slipway.steps.doctor import diagnose
        from slipway.terminal.doctor_view import show_diagnosis
        from slipway.terminal.terminal import print_json

        chosen = session.profile(profile, set_ or [])
        name = site or chosen.site
        if job and name is None:
            raise UsageError("--job looks at a node of a cluster: name the site, `invoke doctor SITE --job`")
        there = session.site(name) if name is not None else None
        found = diagnose(session, chosen, there, parse_resources({}), with_job=job)
        told = diagnosis(found, site=name, profile=profile)
        if json:
            screen.done()
            print_json(told)
        else:
            show_diagnosis(screen, told)
        if told["failed"]:
            raise DoctorError(summary(told))
