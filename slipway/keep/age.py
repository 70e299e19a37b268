"""Ages as a user writes and reads them."""

from __future__ import annotations

import re

from slipway.errors import UsageError

DAY_S = 24 * 3600
_UNITS = {"h": 3600, "d": DAY_S, "w": 7 * DAY_S}
_AGE = re.compile(r"(\d{1,6})\s*([hdw])")
# The columns in which costs are shown: what is younger than so many days.
EDGES_D = (7, 30, 90)


def parse_age(text: str, option: str) -> int:
    """Seconds of an age such as ``30d``, ``12h`` or ``2w``.

    Raises:
        UsageError: it is something else.
    """
    found = _AGE.fullmatch(text.strip().lower())
    if not found:
        raise UsageError(f"{option} {text:.99}: write hours, days or weeks, such as 12h, 30d or 2w")
    return int(found[1]) * _UNITS[found[2]]


def age_words(seconds: float) -> str:
    """An age as a person says it: ``5h``, ``12d``."""
    return f"{max(0, int(seconds // 3600))}h" if seconds < 2 * DAY_S else f"{int(seconds // DAY_S)}d"


def age_column(seconds: float) -> int:
    """The place in :data:`EDGES_D` of an age; their number for what is older than all."""
    return next((place for place, days in enumerate(EDGES_D) if seconds < days * DAY_S), len(EDGES_D))
