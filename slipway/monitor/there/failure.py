"""Why a try failed; the patterns are in the order, and slipway/monitor/failure.py has the reasons."""
# ruff: noqa: UP006, UP035, UP045 - Python 3.6 has no others

import re
from typing import List, Mapping, Optional

from .status import Status

END_BYTES = 16384
_BY_REASON = (
    "out-of-memory",
    "time-limit",
    "preempted",
    "node-failure",
    "launch-failure",
    "program-error",
    "cancelled",
)
_BY_WORDS = ("program-error", "launch-failure")
_LINES, _SHOWN = 60, 12
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def classify(status: Status, log_end: str, patterns: Mapping[str, str]) -> Optional[str]:
    """Why a try failed; ``None`` where it did not, or is not over.

    Args:
        status: how it ended.
        log_end: the last that it printed.
        patterns: of ``quota``, and of each failure that a log tells of.
    """
    if not status.is_over or status.reason == "ok":
        return None
    known = status.reason if status.reason in _BY_REASON else None
    if known not in _BY_WORDS:
        return known or "unknown"
    return _by_words("\n".join(_lines(log_end)[-_LINES:]), patterns) or known


def _by_words(end: str, patterns: Mapping[str, str]) -> Optional[str]:
    if re.search(patterns["quota"], end):
        return "program-error"
    last = {
        kind: max((hit.start() for hit in re.finditer(form, end)), default=-1)
        for kind, form in patterns.items()
        if kind != "quota"
    }
    kind = max(last, key=lambda one: last[one])
    return kind if last[kind] >= 0 else None


def shown_end(log_end: str) -> List[str]:
    """The last lines of a log, for a person."""
    lines = [line for line in _lines(log_end) if line.strip()]
    return [_CONTROLS.sub("?", line[:300]) for line in lines[-_SHOWN:]]


def _lines(log_end: str) -> List[str]:
    return log_end.replace("\r", "\n").splitlines()
