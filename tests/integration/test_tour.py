"""The tour of docs/tour.md and the day of docs/runs.md, done as they say, on a box of their own."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from slipway.box.spec import Box
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


def test_the_day_goes_as_it_says(reader: Reader) -> None:
    """And the line to the cluster is cut while somebody watches."""
    for block in read_blocks(ROOT / "docs" / "runs.md"):
        if "--watch" in block.text and block.language == "console":
            threading.Timer(3, _cut, [reader.folder]).start()
        reader.do(block)
    assert len(list((reader.folder / "results").glob("*/run.json"))) == 4


def _cut(project: Path) -> None:
    """End every login at the box, as a line does that is cut."""
    container = engine().containers.get(Box(state=project / ".slipway").name)
    container.exec_run(["pkill", "-f", "sshd.*researcher"])
