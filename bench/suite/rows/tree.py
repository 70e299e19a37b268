"""The same with 20,000 files of code."""

from __future__ import annotations

from bench.suite.figure import Figure, Goal, Result, figure_of, ratio
from bench.suite.place import Place
from bench.suite.row import Row, take_turns
from bench.suite.submission import Code, push_small

FEW, MANY = 1000, 20_000


def measure(place: Place) -> Result:
    """Edit one file of a small and of a large tree, and submit."""
    push_small(place)
    few, many = Code(place, place.options.small(FEW, 50)), Code(place, place.options.small(MANY, 400))
    small, large = f"Slipway, {few.files:,} files", f"Slipway, {many.files:,} files"
    ways = [few.slipway(small), many.slipway(large), many.orbit(f"Orbit's recipe, {many.files:,} files")]
    figures: list[Figure] = []
    for delay_ms in place.delays(ROW.delays_ms):
        with place.slow(delay_ms):
            figures += take_turns(place, ways, case=f"{delay_ms} ms", warm=not figures)
    case = figures[-1].case
    ours, least = figure_of(figures, case, large), figure_of(figures, case, small)
    return Result(
        name=ROW.name,
        title=ROW.title,
        how=f"As above, with {many.files:,} files ({many.files * 4000 / 1e6:.0f} MB); "
        f"{place.options.rate_mbit:g} Mbit/s.",
        figures=tuple(figures),
        ours=large,
        goals=(
            Goal(
                what=f"time, beside that of {few.files:,} files",
                value=ratio(ours, least),
                limit=1.5,
                unit="times",
            ),
            Goal(
                what=f"bytes sent, beside those of {few.files:,} files",
                value=(ours.median("sent_bytes") or 0) / (least.median("sent_bytes") or 1),
                limit=1.5,
                unit="times",
            ),
        ),
    )


ROW = Row(name="submit-20000", title="Submit, one of 20,000 files changed", measure=measure, delays_ms=(25,))
