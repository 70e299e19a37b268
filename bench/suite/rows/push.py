"""An image with 300 kB changed in its last layer, from the command to its use on the cluster."""

from __future__ import annotations

from bench.suite.figure import Figure, Goal, Result, find, ratio
from bench.suite.place import CHANGED_BYTES, Place
from bench.suite.row import Row, take_turns
from bench.suite.transport import Images


def measure(place: Place) -> Result:
    """Send the image by each way once; then change it, and send it by each way."""
    images = Images(place)
    ways = [images.slipway(), images.orbit(), images.apptainer()]
    place.change_image()
    for way in ways:
        way.act()
    figures: list[Figure] = []
    for delay_ms in place.delays(ROW.delays_ms):
        with place.slow(delay_ms):
            figures += take_turns(place, ways, case=f"{delay_ms} ms", each_turn=place.change_image)
    return Result(
        name=ROW.name,
        title=ROW.title,
        how=f"{CHANGED_BYTES // 1000} kB in the last layer of `{place.options.base}` "
        f"({place.image_bytes() / 1e6:.0f} MB) are changed, and the image is brought to the box: "
        f"{place.options.rate_mbit:g} Mbit/s, and the round trip of the case. Each way has sent the image "
        "before, and has "
        "kept what it keeps. A program in the image reads the changed file on the box after each time.",
        figures=tuple(figures),
        goals=goals(figures, 15),
    )


def goals(figures: list[Figure], times: float) -> tuple[Goal, ...]:
    """How many times as fast as Orbit, and how much of its bytes; the worst of all cases."""
    ratios, shares = [], []
    for case in dict.fromkeys(one.case for one in figures):
        ours, orbit = find(figures, case, "Slipway"), find(figures, case, "Orbit's recipe")
        if ours and orbit:
            ratios.append(ratio(orbit, ours))
            shares.append(100 * (ours.median("sent_bytes") or 0) / (orbit.median("sent_bytes") or 1))
    return (
        Goal(
            what="Orbit's time",
            value=min(ratios, default=None),
            limit=times,
            at_least=True,
            unit="times ours",
        ),
        Goal(what="of Orbit's bytes", value=max(shares, default=None), limit=1, unit="%"),
    )


ROW = Row(name="push", title="Push, 300 kB changed", measure=measure, delays_ms=(25,))
