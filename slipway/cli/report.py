"""The task that shows what was used at a site."""

from __future__ import annotations

from invoke.context import Context
from invoke.tasks import task

from slipway.cli.common import SITE, open_session


@task(
    help={
        **SITE,
        "from_": "The beginning: 2026-11-01, 2026-11-01T14:30, or 7d ago. Default: 30 days before the end.",
        "to": "The end, likewise; a day counts whole. Default: now.",
        "account": "Only this account. Several with commas, or repeated. Default: those that you are in.",
        "user": "Only this user's jobs. Several with commas, or repeated.",
        "by": "Only one table: user, run or partition.",
        "csv": "One table as CSV; of runs, unless --by names another.",
        "json": "As JSON.",
    },
    iterable=["account", "user"],
    auto_shortflags=False,
)
def report(
    context: Context,
    site: str | None = None,
    from_: str | None = None,
    to: str | None = None,
    account: list[str] | None = None,
    user: list[str] | None = None,
    by: str | None = None,
    csv: bool = False,
    json: bool = False,
) -> None:
    """Show what was used at a site, by user, run and partition: invoke report --site SITE --from 7d."""
    with open_session(context) as (session, screen):
        from datetime import datetime, timezone

        from slipway.errors import UsageError
        from slipway.report.report_table import report_csv
        from slipway.report.site_report import TABLES, site_report
        from slipway.steps.report import ask_accounts, parse_span
        from slipway.terminal.report_view import show_report
        from slipway.terminal.terminal import print_json

        if by is not None and by not in TABLES:
            raise UsageError(f"--by {by}: write one of {', '.join(TABLES)}")
        if csv and json:
            raise UsageError("--csv and --json contradict each other; leave one of them out")
        start, end = parse_span(from_, to, datetime.now(timezone.utc))
        chosen = session.choose("base", site).site
        use = ask_accounts(session, chosen, start=start, end=end, accounts=account or (), users=user or ())
        told = site_report(chosen, use.accounted, use.runs, start, end)
        if json:
            print_json(told)
        elif csv:
            screen.log(report_csv(told, by or "run"))
        else:
            show_report(screen, told, [by] if by else TABLES)
