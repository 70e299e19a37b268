"""The login, and the clock of the cluster."""

from __future__ import annotations

import re

from slipway.doctor.check import Answer, Check, Facts, Place
from slipway.doctor.finding import Finding, failed, ok, refused, skipped, warning
from slipway.errors import TransferOnlyError

# A code that an app shows is good for half a minute.
_CODE_S = 30
_DAY_S = 86400


def _look_at_login(facts: Facts, _: Answer) -> Finding:
    if facts.login_error is not None:
        lost = not isinstance(facts.login_error, TransferOnlyError)
        so = f"no command reaches {facts.there.name}" if lost else "no job can be submitted from this host"
        return refused(facts.login_error, so=so, fix=f"look at login in {facts.file}")
    return ok(facts.target)


def _look_at_clock(facts: Facts, answer: Answer) -> Finding:
    # A login shell may print something before.
    numbers = [line for line in answer.text.splitlines() if re.fullmatch("[0-9]{1,12}", line)]
    if not numbers:
        return skipped("the cluster does not tell its time")
    return judge_clock(int(numbers[-1]), *facts.asked_s)


def judge_clock(there_s: int, before_s: float, after_s: float) -> Finding:
    """How far the clock here is from that of the cluster, which told its time between two moments."""
    ahead = max(before_s - there_s - 1, 0) or min(after_s - there_s, 0)
    apart = abs(ahead)
    if apart < _CODE_S:
        return ok("like the cluster's")
    way = "ahead of" if ahead > 0 else "behind"
    seen = f"the clock here is {_words(apart)} {way} the cluster's"
    fix = "set it: `sudo timedatectl set-ntp true`, on a Mac `sudo sntp -sS time.apple.com`"
    if apart > _DAY_S:
        so = "`invoke status` would look for runs of other days, and lose those that are over"
        return failed(seen, so=so, fix=fix)
    return warning(seen, so="codes of a second factor may be refused, and ages are shown wrong", fix=fix)


def _words(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 600 else f"{seconds / 60:.0f} minutes"


CHECKS = (
    Check(
        name="login",
        title="login",
        place=Place.THERE,
        about="The host is found, its key is known, and it lets this user in.",
        predicts="No command reaches the cluster.",
        look=_look_at_login,
    ),
    Check(
        name="clock",
        title="clock",
        place=Place.THERE,
        about="The clock here beside the cluster's.",
        predicts="Codes of a second factor are refused; more than a day apart, `status` loses runs.",
        look=_look_at_clock,
        ask=lambda _: "date +%s",
    ),
)
