"""How 10,000 runs stand."""

from __future__ import annotations

from bench.many import LOOKS, Many, simulated
from bench.suite.figure import Figure, Goal, Result, Taken, figure_of, ratio
from bench.suite.place import Place
from bench.suite.process import run
from bench.suite.row import Row, Way, take_turns
from slipway.host.host import Host

RUNS = 10_000
_NEXT = LOOKS[1]


def measure(place: Place) -> Result:
    """Look at a sweep, beside the two programs of SLURM that know of it."""
    runs = place.options.small(RUNS, 200)
    place.start_box()
    with place.session.connect(place.session.site("box")) as host, simulated(host):
        many = Many(place.folder / "many", host, place.scratch, runs)
        figures = _measure(place, many)
        _restore(host)
    case = figures[0].case
    ours, raw = figure_of(figures, case, "Slipway"), figure_of(figures, case, "`ssh HOST squeue; sacct`")
    return Result(
        name=ROW.name,
        title=ROW.title,
        how=f"`invoke status --sweep --json` of {runs:,} runs in arrays of 1,000, of which 61 % are over, 4 "
        "% run and the others wait; "
        "it was asked before. **The scheduler is simulated**: programs in the place of `squeue` and `sacct` "
        "print at once what "
        "SLURM would, so that the raw calls take less than on a real cluster, and the ratio is larger. The "
        "raw calls are both, "
        f"by one login of OpenSSH; {place.options.rate_mbit:g} Mbit/s.",
        figures=tuple(figures),
        goals=(
            Goal(
                what=f"our time at {case}, beside the raw calls",
                value=ratio(ours, raw),
                limit=2,
                unit="times",
            ),
        ),
    )


def _measure(place: Place, many: Many) -> list[Figure]:
    many.prepare(LOOKS[0], place.ssh_config)
    many.look(LOOKS[0])

    def act() -> Taken:
        return Taken(seconds=many.look(_NEXT)[0])

    def raw() -> None:
        said = run([*place.ssh, "box", "bash -lc 'squeue; sacct'"])
        if said.count("\n") < len(many.runs):
            raise SystemExit(f"squeue and sacct have not answered: {said}")

    ways = [
        Way(name="Slipway", before=lambda: many.prepare(_NEXT, place.ssh_config), act=act),
        Way(name="`ssh HOST squeue; sacct`", act=raw),
    ]
    figures: list[Figure] = []
    for delay_ms in place.delays(ROW.delays_ms):
        with place.slow(delay_ms):
            figures += take_turns(place, ways, case=f"{delay_ms} ms")
    return figures


def _restore(host: Host) -> None:
    host.check(["sh", "-c", "rm -rf ~/sim ~/.bash_profile"])


ROW = Row(name="status", title="Status of 10,000 runs", measure=measure, delays_ms=(25, 100))
