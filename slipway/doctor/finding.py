"""What a check has found."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from slipway.errors import SlipwayError


class Verdict(str, Enum):
    """How it is: only ``failed`` says that something would fail."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    # Its condition is not met. It is neither good nor bad.
    SKIPPED = "skipped"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What one check has found.

    Attributes:
        verdict: how it is.
        seen: what was seen, in a line; of a check that was skipped, why.
        consequence: what would fail, or be worse, by it.
        fix: what to do about it.
    """

    verdict: Verdict
    seen: str
    consequence: str = ""
    fix: str = ""

    @property
    def is_usable(self) -> bool:
        """True where what it looks at can be worked with."""
        return self.verdict in (Verdict.OK, Verdict.WARNING)


def ok(seen: str) -> Finding:
    """All is well."""
    return Finding(verdict=Verdict.OK, seen=seen)


def warning(seen: str, *, so: str, fix: str) -> Finding:
    """It works, and not as well as it could."""
    return Finding(verdict=Verdict.WARNING, seen=seen, consequence=so, fix=fix)


def failed(seen: str, *, so: str, fix: str) -> Finding:
    """Something would fail."""
    return Finding(verdict=Verdict.FAILED, seen=seen, consequence=so, fix=fix)


def skipped(why: str) -> Finding:
    """It was not looked at."""
    return Finding(verdict=Verdict.SKIPPED, seen=why)


def refused(error: SlipwayError, *, so: str, fix: str) -> Finding:
    """An error that tells what would fail; ``fix`` is for one that does not say what to do."""
    seen, _, remedy = str(error).partition("; ")
    return failed(seen, so=so, fix=remedy or fix)
