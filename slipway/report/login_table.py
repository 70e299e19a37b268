"""Logins that are kept, as a table and as values."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from slipway.text.wording import duration, moment

if TYPE_CHECKING:
    from slipway.multiplex.kept import Kept

TITLES = ("SITE", "LOGIN", "SINCE", "USE")
_SHORT_S = 60


def login_rows(logins: Iterable[Kept], now: datetime) -> list[tuple[str, ...]]:
    """A row for each login; times are those of ``now``'s zone."""
    return [
        (", ".join(one.names) or "-", one.target, moment(int(one.since), now), idle_words(one, now))
        for one in logins
    ]


def idle_words(login: Kept, now: datetime | None = None) -> str:
    """Whether somebody uses it, and else when it ends."""
    if login.until is None:
        return f"used by {login.users} command{'' if login.users == 1 else 's'}"
    end = moment(int(login.until), now or datetime.now().astimezone())
    since = f" for {duration(login.idle_s)}" if login.idle_s >= _SHORT_S else ""
    return f"idle{since}, ends at {end}"


def login_notes(logins: Iterable[Kept]) -> list[str]:
    """Who is logged in where, a line each, for the end of another answer."""
    return [f"logged in to {', '.join(one.names)} ({one.target}), {idle_words(one)}" for one in logins]


def keep_words(login: Kept) -> str:
    """For how long it is kept: ``8 h``, ``90 s``."""
    for unit, seconds in (("h", 3600), ("min", 60)):
        if login.keep_s % seconds == 0:
            return f"{login.keep_s // seconds:g} {unit}"
    return f"{login.keep_s:g} s"


def login_values(login: Kept) -> dict[str, Any]:
    """What is told of a login, by the keys of ``login --json``; times are seconds since 1970."""
    return {
        "sites": list(login.names),
        "login": login.target,
        "since": login.since,
        "until": login.until,
        "idle_s": login.idle_s,
        "keep_s": login.keep_s,
        "users": login.users,
    }
