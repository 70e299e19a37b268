"""A Docker image to a ``.sif``, for the first time."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from bench.suite.figure import Goal, Result, figure_of, ratio
from bench.suite.place import IMAGE, Place, expect
from bench.suite.row import Row, Way, take_turns
from bench.suite.transport import BUILD

MKSQUASHFS = """cd /bench
mksquashfs tree alone.sqfs -noappend -no-progress -quiet -comp zstd -Xcompression-level 3"""


def measure(place: Place) -> Result:
    """Convert one image again and again, with nothing kept."""
    place.start_box()
    place.change_image()
    unpack(place)
    state = place.folder / "convert-state"
    words = ("sif", "--profile", "cpu", "--set", f"IMAGE={IMAGE}")

    def slipway_file() -> Path:
        return next((state / "sif").glob("*.sif"))

    ways = [
        Way(
            name="Slipway",
            before=lambda: shutil.rmtree(state, ignore_errors=True),
            act=lambda: place.slipway(*words, state=state),
            check=lambda: check(place, slipway_file()),
        ),
        Way(
            name="`apptainer build`",
            before=lambda: place.remove("cache", "plain.sif"),
            act=lambda: place.in_tools(BUILD, IMAGE, "plain.sif"),
            check=lambda: check(place, place.folder / "plain.sif"),
        ),
        Way(
            name="`mksquashfs` alone",
            before=lambda: place.remove("alone.sqfs"),
            act=lambda: place.in_tools(MKSQUASHFS),
            check=lambda: place.in_tools(
                'unsquashfs -cat /bench/alone.sqfs opt/changed | cmp - "$1"', _in_bench(place)
            ),
        ),
    ]
    figures = take_turns(place, ways, over_line=False)
    ours, plain, alone = (figure_of(figures, "", way.name) for way in ways)
    return Result(
        name=ROW.name,
        title=ROW.title,
        how=f"`{place.options.base}` and one more file, {place.image_bytes() / 1e6:.0f} MB in the engine; "
        "nothing is kept from one "
        "time to the next. All three run in the same container. `mksquashfs` gets the files of the image "
        "unpacked, and has the "
        "compression that Slipway's has. A program in each `.sif` reads a file of it afterwards.",
        figures=tuple(figures),
        goals=(
            Goal(
                what="time of `apptainer build`",
                value=ratio(plain, ours),
                limit=6,
                at_least=True,
                unit="times ours",
            ),
            Goal(what="our time, beside `mksquashfs` alone", value=ratio(ours, alone), limit=2, unit="times"),
        ),
    )


def unpack(place: Place) -> None:
    """The files of the image, in a folder that only the container's root can read."""
    made = place.client.containers.create(f"{IMAGE}:latest", entrypoint=["true"])
    try:
        with (place.folder / "tree.tar").open("wb") as file:
            chunks: Iterable[bytes] = made.export()  # type: ignore[assignment]
            file.writelines(chunks)
    finally:
        made.remove()
    place.in_tools(
        "rm -rf /bench/tree; mkdir /bench/tree; tar -xf /bench/tree.tar -C /bench/tree; rm /bench/tree.tar"
    )


def check(place: Place, file: Path) -> None:
    """A program in the image reads the file that is in its last layer, on the box."""
    box = place.box_container
    subprocess.run(
        ["docker", "cp", "-q", str(file), f"{box}:/tmp/check.sif"], check=True, capture_output=True
    )
    said = place.there("apptainer -q exec /tmp/check.sif sha256sum /opt/changed </dev/null")
    wanted = hashlib.sha256(place.changed().read_bytes()).hexdigest()
    expect(wanted in said, f"{file.name} is not of the image: {said}")


def _in_bench(place: Place) -> str:
    return f"/bench/{place.changed().relative_to(place.folder)}"


ROW = Row(name="convert", title="Image to .sif, the first time", measure=measure)
