"""The whole line, once for all integration tests: the demo, in a state folder of its own."""

from collections.abc import Iterator

import pytest

from tests.integration.small_image import small
from tests.integration.task_runner import TaskRunner

__all__ = ["line", "small"]


@pytest.fixture(scope="session")
def line(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TaskRunner]:
    """The demo has run; its box is up until the last test is over."""
    folder = tmp_path_factory.mktemp("line")
    made = TaskRunner(state=folder / "state", results=folder / "results")
    try:
        done = made.invoke("demo", timeout_s=1800)
        (folder / "demo.out").write_text(done.stdout + done.stderr)
        yield made
    finally:
        made.invoke("box.down")


# Few tests, but minutes each: begun last they would run alone.
LONG = ("test_examples.py", "test_wheel.py", "test_release.py", "test_init.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.name not in LONG)
