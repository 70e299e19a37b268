"""The same with an image of the size that CUDA and PyTorch have."""

from __future__ import annotations

from bench.suite.figure import Figure, Goal, Result, find
from bench.suite.place import IMAGE, Place
from bench.suite.row import Row, Way, take_turns
from bench.suite.rows.push import goals
from bench.suite.transport import Images
from slipway.image.build import build_image
from slipway.image.recipe import Recipe
from slipway.progress import NullProgress

BASE, NAME = f"{IMAGE}-large-base", f"{IMAGE}-large"
_LAYERS = 11
_FILES = 3_600
# Of a layer: few large files, as CUDA's libraries are, and many small ones, as those of Python packages.
_LARGE = 4
_SMALL_BYTES = 20_000
# Half of each file does not shrink, the other half is hexadecimal digits.
_MAKE = r"""
use strict; my ($layer, $files, $small, $large, $size) = @ARGV;
open my $r, '<', '/dev/urandom'; read $r, my $noise, 16_000_000;
my $text = unpack('H*', substr $noise, 0, 8_000_000);
sub put { my ($path, $left) = @_; open my $f, '>', $path or die; my $n = 0;
  while ($left > 0) { my $part = $left < 131072 ? $left : 131072; my $from = $n++ % 2 ? \$text : \$noise;
    print $f substr $$from, int(rand(length($$from) - $part)), $part; $left -= $part } close $f or die }
for my $i (1 .. $files) { my $d = "/opt/data/$layer/" . $i % 60; system 'mkdir', '-p', $d if $i <= 60;
  put("$d/$i", 1 + int rand 2 * $small) }
put("/opt/data/$layer/library-$_", $size) for 1 .. $large;
"""


def measure(place: Place) -> Result:
    """Make the large image, send it by each way, then change it and send it again."""
    options = place.options
    size = 60e6 if options.short else options.large_gb * 1e9
    images, usual = Images(place, NAME), Images(place)
    # What the small image needs, to compare memory with.
    place.change_image()
    with place.slow(25):
        small = take_turns(place, [_watched(place, usual.slipway())], case="the usual image, first", times=1)
        make(place, size)
        place.change_image(NAME, BASE)
        first = [_watched(place, images.slipway()), images.orbit()]
        figures = small + take_turns(place, first, case="first", times=1)
        # One time of Orbit's takes as long as all of Slipway's.
        again = [_watched(place, images.slipway()), images.orbit(times=1)]
        figures += take_turns(
            place, again, case="300 kB changed", each_turn=lambda: place.change_image(NAME, BASE)
        )
    image_bytes = place.image_bytes(NAME)
    return Result(
        name=ROW.name,
        title=ROW.title,
        how=f"A stand-in of {image_bytes / 1e9:.2f} GB in {_LAYERS} layers and {_LAYERS * _files(place):,} "
        f"files, half of it random bytes, half hexadecimal digits; {options.rate_mbit:g} Mbit/s, 25 ms. "
        "Orbit's recipe is measured once a case, for it takes that long. Memory is that of `invoke` and of "
        "the container that it starts, together; disk is what Slipway's state folder has grown by, with the "
        "`.sif` that is kept.",
        figures=tuple(figures),
        goals=(
            *goals([one for one in figures if one.case == "300 kB changed"], 30),
            *_flat(figures, image_bytes),
        ),
    )


def make(place: Place, size_bytes: float) -> None:
    """Build the stand-in."""
    files = _files(place)
    large = max(1, int(size_bytes / _LAYERS - files * _SMALL_BYTES)) // _LARGE
    context = place.folder / "context" / BASE
    context.mkdir(parents=True, exist_ok=True)
    (context / "make.pl").write_text(_MAKE)
    steps = [f"RUN perl /make.pl {layer} {files} {_SMALL_BYTES} {_LARGE} {large}" for layer in range(_LAYERS)]
    base = place.session.profile("cpu").base_image
    (context / "Dockerfile").write_text("\n".join([f"FROM {base}", "COPY make.pl /make.pl", *steps]) + "\n")
    recipe = Recipe(name=BASE, dockerfile=context / "Dockerfile", platform="", build_args={})
    build_image(place.client, recipe, NullProgress())


def _files(place: Place) -> int:
    """How many small files a layer has."""
    return place.options.small(_FILES, 100)


def _watched(place: Place, way: Way) -> Way:
    return Way(name=way.name, act=place.watched(way.act, place.state), check=way.check)


def _flat(figures: list[Figure], image_bytes: int) -> tuple[Goal, ...]:
    small = find(figures, "the usual image, first", "Slipway")
    ours = [one for one in figures if one.way == "Slipway" and one is not small]
    memory = max((one.most("memory_bytes") or 0 for one in ours), default=0)
    disk = max((one.most("disk_bytes") or 0 for one in ours), default=0)
    least = (small.most("memory_bytes") if small else None) or 0
    return (
        Goal(
            what="memory, beside that of the usual image",
            value=memory / least if least else None,
            limit=1.5,
            unit="times",
        ),
        Goal(what="disk, beside the image's size", value=disk / image_bytes, limit=1.5, unit="times"),
    )


ROW = Row(name="push-large", title="Push, 300 kB changed in 5.5 GB", measure=measure, is_long=True)
