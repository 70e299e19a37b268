"""The tour of docs/tour.md and the day of docs/runs.md, done as they say, on a box of their own."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytest

from slipway.box.spec import Box
from slipway.image.engine import engine
from tests.documents import ROOT, Reader, make_reader, read_blocks
from tests.integration.inside import end_inside
from tests.waiting import PATIENCE_S, wait_until

# Long enough for the box's image to be made.
TIMEOUT_S = 3 * PATIENCE_S


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


@pytest.mark.long
def test_the_tour_goes_as_it_says(reader: Reader) -> None:
    for block in read_blocks(ROOT / "docs" / "tour.md"):
        reader.do(block)
    assert len(list((reader.folder / "results").iterdir())) == 1


@pytest.mark.long
def test_the_day_goes_as_it_says(reader: Reader) -> None:
    """And the line to the cluster is cut while somebody watches."""
    for block in read_blocks(ROOT / "docs" / "runs.md"):
        watches = "--watch" in block.text and block.language == "console"
        with cut(reader.folder) if watches else nullcontext():
            reader.do(block)
    assert len(list((reader.folder / "results").glob("*/run.json"))) == 4


@contextmanager
def cut(project: Path) -> Iterator[None]:
    """End the first login at the box that there is meanwhile, as a line does that is cut."""
    container = engine().containers.get(Box(state=project / ".slipway").name)
    over = threading.Event()

    def is_cut() -> bool:
        return over.is_set() or end_inside(container, "pkill", "-f", "^sshd.*researcher@") == 0

    thread = threading.Thread(target=wait_until, args=[is_cut, "a login"])
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
