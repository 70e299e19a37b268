"""The tour of docs/tour.md, done as it says, on a box of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from slipway.image.engine import engine
from tests.documents import ROOT, Reader, make_reader, read_blocks

# Long enough for the box's image to be made.
TIMEOUT_S = 900


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    made = make_reader(tmp_path)
    made.timeout_s = TIMEOUT_S
    _forget(made.folder.name)
    try:
        yield made
    finally:
        made.run("slipway box.down")
        _forget(made.folder.name)


def _forget(image: str) -> None:
    """Have the engine not know the image; what another run has left of it would be taken as it is."""
    if engine().images.list(image):
        engine().images.remove(f"{image}:latest", force=True)


def test_the_tour_goes_as_it_says(reader: Reader) -> None:
    for block in read_blocks(ROOT / "docs" / "tour.md"):
        reader.do(block)
    assert len(list((reader.folder / "results").iterdir())) == 1
