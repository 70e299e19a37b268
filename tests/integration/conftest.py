"""The whole line, once for all integration tests: the demo, in a state folder of its own."""

from collections.abc import Iterator

import pytest

from tests.integration.line import Line
from tests.integration.small import small

__all__ = ["line", "small"]


@pytest.fixture(scope="session")
def line(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    """The demo has run; its box is up until the last test is over."""
    folder = tmp_path_factory.mktemp("line")
    made = Line(state=folder / "state", results=folder / "results")
    try:
        done = made.invoke("demo", timeout_s=1800)
        (folder / "demo.out").write_text(done.stdout + done.stderr)
        yield made
    finally:
        made.invoke("box.down")
