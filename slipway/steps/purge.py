"""What sites are about to remove from scratch, as far as that was asked lately."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterator, Set
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slipway.errors import SlipwayError
from slipway.host.host import Host
from slipway.host.scratch import Scratch, kept_folder, open_scratch
from slipway.job.home import read_home
from slipway.job.selection import Entry, Selection
from slipway.jsontext import load_json
from slipway.keep.age import DAY_S
from slipway.site import Site
from slipway.steps.session import Session

# As long as there is no answer yet, it is asked for again after this time.
_AGAIN_S = 300
# What nobody has asked for so long is not told any more.
_STALE_S = 14 * DAY_S


def ask_purge(session: Session, host: Host, name: str) -> None:
    """Ask a site that is logged in to what it is about to remove, at most once a day; remembered here.

    The answer is not waited for, and nothing that goes wrong with it is an error.
    """
    with suppress(SlipwayError, OSError):
        site, file = session.site(name), _file(session, name)
        if site.scratch_purge_days is None:
            file.unlink(missing_ok=True)
            return
        before = _read(file)
        asked_s = file.stat().st_mtime if before else 0.0
        now_s = time.time()
        if now_s - asked_s < (DAY_S if before.get("due") is not None else _AGAIN_S):
            return
        from slipway.keep.purge import ask_survey, find_due

        survey = ask_survey(host, open_scratch(host, site, make=False), kept_folder(host, site))
        # Nobody may ask again for some time; what is due by then is remembered, too.
        due = None if survey is None else find_due(survey, site.scratch_purge_days, now_s + _STALE_S)
        rows = None if due is None else [[item.kind, item.name, item.unused_s] for item in due]
        file.parent.mkdir(parents=True, exist_ok=True)
        part = file.with_suffix(f".{secrets.token_hex(4)}.part")
        part.write_text(json.dumps({"days": site.scratch_purge_days, "due": rows}), encoding="utf-8")
        part.replace(file)


def forget_purge(session: Session, host: Host, scratch: Scratch, site: Site) -> None:
    """Forget what was asked, since something was copied or removed."""
    if site.scratch_purge_days is not None:
        from slipway.keep.purge import forget_survey

        with suppress(SlipwayError):
            forget_survey(host, scratch)
    _file(session, site.name).unlink(missing_ok=True)


def purge_warnings(session: Session) -> list[str]:
    """What is about to be removed at any site, by what was asked last. Nobody is asked now."""
    return [line for file in _files(session) for line in _warn(session, file)]


@dataclass(frozen=True, kw_only=True)
class _These(Selection):
    """The runs of these ids."""

    ids: Set[str]

    def matches(self, run: Entry) -> bool:
        """True where the run is meant."""
        return run.run_id in self.ids


def _warn(session: Session, file: Path) -> list[str]:
    from slipway.keep.purge import NOTICE_D, days_left, describe_purge
    from slipway.keep.survey import Item

    now_s = time.time()
    try:
        if now_s - file.stat().st_mtime > _STALE_S:
            return []
        known = _read(file)
        days = int(known["days"])
        rows = [Item(kind=kind, name=name, unused_s=int(unused)) for kind, name, unused in known["due"] or ()]
        due = [item for item in rows if days_left(item, days, now_s) < NOTICE_D]
    except (OSError, ValueError, ArithmeticError, TypeError, KeyError):
        return []  # It is not what was written.
    at_risk = _at_risk(session, {item.name for item in due if item.kind == "runs"})
    due = [item for item in due if item.kind != "runs" or item.name in at_risk]
    return describe_purge(due, file.stem, days, now_s)


def _at_risk(session: Session, ids: Set[str]) -> set[str]:
    """Those runs of this checkout that are neither home nor kept."""
    runs = session.store.select(_These(ids=ids)) if ids else ()
    homes = [(run, read_home(session.project.results, run)) for run in runs if not run.kept]
    return {run.run_id for run, home in homes if home is None or not home.is_complete}


def _file(session: Session, site: str) -> Path:
    return session.project.state / "purge" / f"{site}.json"


def _files(session: Session) -> Iterator[Path]:
    folder = session.project.state / "purge"
    return iter(sorted(folder.glob("*.json")))


def _read(file: Path) -> dict[str, Any]:
    try:
        known = load_json(file.read_bytes())
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}
