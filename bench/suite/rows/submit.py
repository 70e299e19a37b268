"""A job after one of 1,000 files of code was edited."""

from __future__ import annotations

from bench.suite.figure import Figure, Goal, Result, find, ratio
from bench.suite.logins import kept_logins
from bench.suite.others import Others
from bench.suite.place import ROOT, Place
from bench.suite.row import Row, take_turns
from bench.suite.submission import Code, push_small

FILES = 1000
_LIMITS = {0: 1 / 3, 100: 1 / 6}


def measure(place: Place) -> Result:
    """Edit and submit, by each way in turn."""
    push_small(place)
    code = Code(place, place.options.small(FILES, 50))
    figures: list[Figure] = []
    with kept_logins(place) as (logins, master):
        ways = [
            code.slipway(),
            code.slipway("Slipway, its login kept", logins),
            code.orbit(),
            code.orbit("Orbit's recipe, a login of OpenSSH kept", master),
        ]
        others = Others(ROOT / ".slipway" / "bench-others")
        if others.has():
            ways.append(code.lxm3(others))
        for delay_ms in place.delays(ROW.delays_ms):
            with place.slow(delay_ms):
                figures += take_turns(place, ways, case=f"{delay_ms} ms", warm=not figures)
    return Result(
        name=ROW.name,
        title=ROW.title,
        how=f"One of {code.files:,} files of 4 kB in a git checkout is edited, and a job that does nothing "
        f"is submitted; {place.options.rate_mbit:g} Mbit/s. `invoke job` is measured from the start of "
        "Python to its end. What was edited is read on the box after each time. The image is there for all "
        "of them. A login that is kept was made before, by `invoke login` or by `ssh -M`.",
        figures=tuple(figures),
        goals=tuple(
            _goal(figures, delay_ms, limit, which)
            for which in ("", ", its login kept")
            for delay_ms, limit in _LIMITS.items()
        ),
        notes=(round_trips(figures),),
    )


def round_trips(figures: list[Figure]) -> str:
    """What the delay has cost each way, in round trips."""
    cases = {int(one.case.split()[0]): one.case for one in figures}
    least, most = min(cases), max(cases)
    if most == least:
        return ""
    said = []
    for way in dict.fromkeys(one.way for one in figures):
        near, far = find(figures, cases[least], way), find(figures, cases[most], way)
        if near and far:
            said.append(f"{way} {(far.median_s - near.median_s) / (most - least) * 1000:.0f}")
    words = "; a login is in each where none is kept."
    return f"Round trips, by what the longest delay has added: {', '.join(said)}{words}"


def _goal(figures: list[Figure], delay_ms: int, limit: float, which: str) -> Goal:
    ours, orbit = (find(figures, f"{delay_ms} ms", way) for way in (f"Slipway{which}", "Orbit's recipe"))
    return Goal(
        what=f"our time at {delay_ms} ms{which}, beside Orbit's",
        value=ratio(ours, orbit) if ours and orbit else None,
        limit=limit,
        unit="times",
    )


ROW = Row(name="submit", title="Submit, one of 1,000 files changed", measure=measure, delays_ms=(0, 25, 100))
