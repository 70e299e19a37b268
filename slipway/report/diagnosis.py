"""What `doctor` has found, as values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from slipway.doctor.check import Place
from slipway.doctor.examine import Examined
from slipway.doctor.finding import Verdict

# In the order in which they are shown.
PLACES = tuple(Place)


def diagnosis(found: Sequence[Examined], *, site: str | None, profile: str) -> dict[str, Any]:
    """All checks and how many failed, as JSON has it.

    Args:
        found: the checks.
        site: whose; ``None`` where only this machine was looked at.
        profile: for which.
    """
    counts = {verdict.value: 0 for verdict in Verdict}
    for one in found:
        counts[one.finding.verdict.value] += 1
    return {"site": site, "profile": profile, **counts, "checks": [_values(one) for one in found]}


def _values(one: Examined) -> dict[str, Any]:
    finding = one.finding
    return {
        "name": one.check.name,
        "title": one.check.title,
        "where": one.check.place.value,
        "verdict": finding.verdict.value,
        "seen": finding.seen,
        "consequence": finding.consequence or None,
        "fix": finding.fix or None,
    }


def summary(told: dict[str, Any]) -> str:
    """How many checks failed, in words."""
    failed, warnings = told[Verdict.FAILED.value], told[Verdict.WARNING.value]
    parts = [f"{failed} check{'s' * (failed != 1)} failed" if failed else "nothing would fail"]
    if warnings:
        parts.append(f"{warnings} warning{'s' * (warnings != 1)}")
    if told[Verdict.SKIPPED.value]:
        parts.append(f"{told[Verdict.SKIPPED.value]} skipped")
    return ", ".join(parts)
