"""Elements of a sweep that need not be run, since earlier sweeps have run them, or are about to."""

from __future__ import annotations

from dataclasses import replace

from slipway.host.host import Host
from slipway.host.scratch import Scratch
from slipway.job.selection import Selection
from slipway.site import Site
from slipway.steps.monitored import Target, Watched
from slipway.steps.newest_tries import NewestTries
from slipway.steps.session import Session
from slipway.sweep.identity import earlier_places, still_counts
from slipway.sweep.record import Place, Sweep, SweepElement, SweepStore


def with_older(session: Session, host: Host, scratch: Scratch, site: Site, sweep: Sweep) -> Sweep:
    """A new sweep, with the places of elements that need not be run again.

    These are done, or on their way: also where a monitor has submitted one again that had failed, from
    wherever, or is about to.

    Raises:
        SlipwayError: the site could not be asked.
    """
    store = SweepStore(session.project.state / "sweeps", session.progress.note)
    older = [one for one in store.all() if one.site == sweep.site]
    places = earlier_places(older)
    wanted = [places.get(one.identity, []) for one in sweep.elements]
    known = _known(session, site, {place.run_id for some in wanted for place in some})
    watched = {
        place: Watched(label=place.run_id, number=None, tries=((place.run_id, place.task),))
        for some in wanted
        for place in some
        if place.run_id in known
    }
    newest = NewestTries(session=session, target=Target(site=site, elements=tuple(watched.values())))
    newest.follow(host, scratch)
    now = dict(zip(watched, newest.elements, strict=True))

    def found(element: SweepElement) -> SweepElement:
        for place in places.get(element.identity, ()):
            one = now.get(place)
            if one is not None and _counts(newest, one):
                tries = [Place(run_id=run_id, task=task or 0) for run_id, task in one.tries]
                return replace(element, place=tries[-1], tries=tuple(tries[:-1]), is_older=True)
        return element

    return replace(sweep, elements=tuple(map(found, sweep.elements)))


def _known(session: Session, site: Site, run_ids: set[str]) -> set[str]:
    """Those of some runs that have a record here."""
    if not run_ids:
        return set()
    runs = session.store.select(Selection(prefixes=tuple(sorted(run_ids)), site=site.name))
    return {run.run_id for run in runs}


def _counts(newest: NewestTries, one: Watched) -> bool:
    status = newest.status(one.place)
    return newest.is_claimed(one.place) or (status is not None and still_counts(status))
