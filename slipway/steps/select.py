"""Runs selected by what a user says of them."""

from __future__ import annotations

from collections.abc import Sequence, Set
from datetime import datetime, timezone

from slipway.errors import UsageError
from slipway.job.selection import Selection, parse_since, parse_states
from slipway.steps.session import Session
from slipway.text.nearest import nearest


def select_runs(
    session: Session,
    *,
    run: Sequence[str] | None = None,
    site: str | None = None,
    profile: str | None = None,
    state: Sequence[str] | None = None,
    since: str | None = None,
    name: str | None = None,
    over: bool | None = None,
) -> Selection:
    """The runs for which all of this holds, as a value.

    Args:
        session: knows the sites, profiles and runs of the project.
        run: ids or names of runs, or the beginning of either; each stands for one run.
        site: the name of a site.
        profile: the name of a profile.
        state: states, in any case, several with commas between them.
        since: see :func:`slipway.job.selection.parse_since`.
        name: what runs are called.
        over: whether they are over.

    Raises:
        UsageError: one of these is not known, or cannot be read.
    """
    project = session.project
    entries = [*session.store.entries()] if site or profile or name else []
    if site:
        from slipway.site_file import list_sites

        sites = {*list_sites(project.sites), *(one.site for one in entries)}
        _check(site, sites, f"--site {site}: there is no such site", "; sites: ")
    if profile:
        from slipway.profile import list_profiles

        own = list_profiles(project.profiles, share=project.share / "env")
        profiles = {*own, *(one.profile for one in entries)}
        _check(profile, profiles, f"--profile {profile}: there is no such profile", "; profiles: ")
    if name:
        _check(name, {one.name for one in entries if one.name}, f"--name {name}: no run has this name")
    prefixes: tuple[str, ...] = ()
    if run:
        from slipway.steps.find import find_record

        prefixes = tuple(find_record(session, word).run_id for word in run)
    return Selection(
        prefixes=prefixes,
        site=site,
        profile=profile,
        states=parse_states(state or ()),
        since=parse_since(since, datetime.now(timezone.utc)) if since else None,
        name=name,
        over=over,
    )


def _check(word: str, known: Set[str], problem: str, listed: str | None = None) -> None:
    if word not in known:
        names = f"{listed}{', '.join(sorted(known))}" if listed else ""
        raise UsageError(f"{problem}{nearest(word, known)}{names}")
