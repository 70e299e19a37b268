"""What a site is about to remove from scratch: asked once a day, and never waited for.

The program that looks through scratch may take minutes there. So it is started in the background, and whoever
asks a day later, or a minute, reads what it has left.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from pathlib import PurePosixPath

from slipway.host.host import Host
from slipway.host.scratch import Scratch
from slipway.keep.age import DAY_S
from slipway.keep.survey import Item, Survey, parse_survey, survey_command

# What is removed within so many days is named.
NOTICE_D = 7
_FILE = ".survey"
_NAMED = 3
# One that was cut is begun anew after a day, as one that has come to its end.
_ASK = r"""
cd -- "$1" 2>/dev/null || exit 0
file=$2
shift 2
[ ! -f "$file" ] || cat -- "$file"
[ -z "$(find "$file" "$file.part" -mmin -1440 2>/dev/null)" ] || exit 0
umask 077
(nice setsid "$@" >"$file.part" && mv -f -- "$file.part" "$file") </dev/null >/dev/null 2>&1 &
"""


def ask_survey(host: Host, scratch: Scratch, kept: PurePosixPath) -> Survey | None:
    """What the last program that looked through scratch has said; one is started once a day.

    Returns:
        ``None`` where there is nothing yet.

    Raises:
        ParseError: what it has left is not of the form.
    """
    survey = survey_command(secrets.token_hex(8), scratch, kept)
    said = host.run(["sh", "-c", _ASK, "slipway", str(scratch.root), _FILE, *survey]).stdout
    token = said.partition(" ")[0]
    return parse_survey(said.splitlines(), token) if said.endswith(f"{token} end\n") else None


def forget_survey(host: Host, scratch: Scratch) -> None:
    """Have the next one who asks start anew, since something was changed."""
    host.run(["rm", "-f", "--", str(scratch.root / _FILE)])


def find_due(survey: Survey, days: int, now_s: float) -> list[Item]:
    """Runs, datasets, newest packed data and images that lose their first file soon; the next first.

    What is kept is not among them.

    Args:
        survey: what lies in scratch.
        days: after so many without being read or written a file is removed.
        now_s: seconds since 1970.
    """
    due = [
        item
        for item in survey.scratch
        if days_left(item, days, now_s) < NOTICE_D
        and (item.kind in ("runs", "data") or item.name in survey.uses.newest)
        and not item.name.startswith(".")
        and f"{item.kind}-{item.name}" not in survey.kept
    ]
    return sorted(due, key=lambda item: item.unused_s or 0)


def days_left(item: Item, days: int, now_s: float) -> float:
    """The days until the first file of it is removed; without files it stays."""
    return float("inf") if item.unused_s is None else days - (now_s - item.unused_s) / DAY_S


def describe_purge(due: Sequence[Item], site: str, days: int, now_s: float) -> list[str]:
    """What is about to be removed, and what to do about it; a line for each kind.

    Args:
        due: what that is, the next first.
        site: the site's name.
        days: as for :func:`find_due`.
        now_s: seconds since 1970.
    """
    remedies = {
        "runs": ("run", "runs", "`invoke pull RUN` brings one home, `invoke keep RUN` keeps it there"),
        "data": ("dataset", "datasets", f"`invoke keep --data NAME --site {site}` keeps one"),
        "packed": ("packed dataset", "packed datasets", f"`invoke keep --data NAME --site {site}` keeps one"),
        "images": ("image", "images", f"`invoke keep --image NAME --site {site}` keeps one"),
    }
    lines = []
    for kind, (one, many, remedy) in remedies.items():
        items = [item for item in due if item.kind == kind]
        named = ", ".join(f"{item.name} ({_when(days_left(item, days, now_s))})" for item in items[:_NAMED])
        more = f" and {len(items) - _NAMED:,} more" if len(items) > _NAMED else ""
        count = f"1 {one} is" if len(items) == 1 else f"{len(items):,} {many} are"
        lines += [f"{count} about to be purged at {site}: {named}{more}; {remedy}"] if items else []
    return lines


def _when(left_d: float) -> str:
    return "any day" if left_d < 1 else f"in {int(left_d)} d"
