"""A push where nothing has changed."""

from __future__ import annotations

from dataclasses import replace

from bench.suite.figure import Figure, Goal, Result, figure_of
from bench.suite.logins import kept_logins
from bench.suite.place import IMAGE, Place
from bench.suite.process import run
from bench.suite.row import Row, Way, take_turns
from bench.suite.transport import Images


def measure(place: Place) -> Result:
    """Push what is there."""
    place.change_image()
    images = Images(place)
    slipway = replace(images.slipway(), act=lambda: place.slipway_says(*images.push)[0])
    slipway.act()
    # A push does without the whole file, and rsync does not.
    place.slipway("sif", *images.push[1:])
    with kept_logins(place) as (logins, _):
        kept = Way(
            name="Slipway, its login kept", act=lambda: place.slipway_says(*images.push, logins=logins)[0]
        )
        return _measured(place, images, [slipway, kept])


def _measured(place: Place, images: Images, ours: list[Way]) -> Result:
    (sif,) = (place.state / "sif").glob(f"{IMAGE}*.sif")
    file = str(sif.relative_to(place.folder))
    place.there("mkdir -p $SCRATCH/bench")
    images.rsync(file)
    ways = [*ours, Way(name="rsync of the `.sif` alone", act=lambda: images.rsync(file)), _login(place)]
    figures: list[Figure] = []
    for delay_ms in place.delays(ROW.delays_ms):
        with place.slow(delay_ms):
            figures += take_turns(place, ways, case=f"{delay_ms} ms")
    most = figures[-1].case
    own, kept = (figure_of(figures, most, way.name) for way in ours)
    sif_bytes = sif.stat().st_size
    return Result(
        name=ROW.name,
        title=ROW.title,
        how=f"The image is on the box ({sif_bytes / 1e6:.0f} MB as a `.sif`). `invoke push`, from the start "
        "of Python to its end, "
        "asks the engine and the cluster. rsync, over OpenSSH, does not ask whether the Docker image has "
        "changed. Orbit's recipe "
        "and `apptainer build` have no such case: they make and send all of it, as in the first row. "
        "A login that is kept was made before, by `invoke login`.",
        figures=tuple(figures),
        goals=(
            Goal(what=f"time at {most}", value=own.median_s, limit=1, unit="s"),
            Goal(what=f"time at {most}, its login kept", value=kept.median_s, limit=1, unit="s"),
            Goal(what="bytes sent", value=own.median("sent_bytes"), limit=100e3, unit="bytes"),
            Goal(
                what="read here, beside the image: it is not hashed",
                value=100 * (own.median("read_bytes") or 0) / sif_bytes if own.median("read_bytes") else None,
                limit=50,
                unit="%",
            ),
        ),
    )


def _login(place: Place) -> Way:
    return Way(name="`ssh HOST true`", act=lambda: _nothing(run([*place.ssh, "box", "true"])))


def _nothing(_: str) -> None:
    return None


ROW = Row(name="push-unchanged", title="Push, nothing changed", measure=measure, delays_ms=(0, 25, 100))
