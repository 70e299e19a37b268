"""What a site's accounting has of a span of time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from slipway.errors import UsageError
from slipway.job.selection import Entry, parse_since
from slipway.scheduler.accounts import Accounted, AccountQuery
from slipway.scheduler.find import find_scheduler
from slipway.site import Site
from slipway.steps.session import Session

_DEFAULT_SPAN = timedelta(days=30)
# Names of users and accounts become words of SLURM's commands, with commas between.
_SIGNS = frozenset("._-@+")


@dataclass(frozen=True, kw_only=True)
class SiteUse:
    """What a site's accounting has, and the runs of this project there."""

    site: Site
    accounted: Accounted
    runs: Sequence[Entry]
    start: datetime
    end: datetime


def ask_accounts(
    session: Session,
    site: Site,
    *,
    start: datetime,
    end: datetime,
    accounts: Sequence[str],
    users: Sequence[str],
) -> SiteUse:
    """Ask a site's accounting for all jobs of a span.

    Args:
        session: the checkout's.
        site: the site.
        start: the beginning of the span.
        end: its end.
        accounts: of these accounts; none and no users is all that the user is in.
        users: of these users.

    Raises:
        RemoteError: the site keeps no accounts.
    """
    query = AccountQuery(
        start_s=int(start.timestamp()),
        end_s=int(end.timestamp()),
        accounts=parse_names("--account", accounts),
        users=parse_names("--user", users),
    )
    session.progress.step(f"Asking the accounting of {site.name}")
    with session.connect(site) as host:
        accounted = find_scheduler(site.scheduler).accounted(host, query)
    runs = [run for run in session.store.entries() if run.site == site.name]
    return SiteUse(site=site, accounted=accounted, runs=runs, start=start, end=end)


def parse_span(first: str | None, last: str | None, now: datetime) -> tuple[datetime, datetime]:
    """The span that ``--from`` and ``--to`` mean: by default the last 30 days. The day of ``--to`` is in it.

    Args:
        first: a date, a time, or how long ago, such as ``2026-11-01`` or ``7d``.
        last: likewise.
        now: the time, with its zone.

    Raises:
        UsageError: one of them cannot be read, or the span ends before it begins.
    """
    end = now if last is None else _parse("--to", last, now)
    if last is not None and len(last) == len("2026-01-31") and last.count("-") == 2:
        end += timedelta(days=1)
    end = min(end, now)
    start = end - _DEFAULT_SPAN if first is None else _parse("--from", first, now)
    if start >= end:
        raise UsageError(
            f"--from {first or start.date()} is not before --to {last or 'now'}: nothing lies between them"
        )
    return start, end


def _parse(option: str, word: str, now: datetime) -> datetime:
    try:
        return parse_since(word, now)
    except UsageError as error:
        raise UsageError(str(error).replace("--since", option)) from error


def parse_names(option: str, words: Sequence[str]) -> tuple[str, ...]:
    """Names of users or accounts, several with commas between.

    Raises:
        UsageError: one is none.
    """
    names = tuple(name for word in words for name in word.split(","))
    for name in names:
        if not name or name.startswith("-") or not all(one.isalnum() or one in _SIGNS for one in name):
            raise UsageError(f"{option} {name!r:.99}: write a name of letters, digits and . _ - @ +")
    return names
