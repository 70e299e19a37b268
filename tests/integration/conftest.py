"""What integration tests share: the demo, which has run once; a line to the box that can be cut."""

import os
import re
from collections.abc import Callable, Iterator

import pytest

from tests import campaign
from tests.faults import Made, counting, name_rows, write_rows
from tests.integration.cuttable_proxy import CuttableProxy
from tests.integration.small_image import SmallImageBox, small, small_box
from tests.integration.task_runner import TaskRunner

__all__ = ["line", "small", "small_box"]

# The words of Docker's own builder are in docs/errors.md; test_engines.py has the others.
os.environ.setdefault("DOCKER_BUILDKIT", "0")


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


@pytest.fixture
def proxy(small: SmallImageBox) -> Iterator[CuttableProxy]:
    """All connections to the box go through it, as long as the test lasts."""
    config = small.session.project.state / "box" / "ssh_config"
    text = config.read_text()
    port = re.search(r"Port (\d+)", text)
    assert port is not None
    proxy = CuttableProxy(int(port[1]))
    config.write_text(text.replace(f"Port {port[1]}", f"Port {proxy.port}"))
    yield proxy
    config.write_text(text)
    proxy.close()


# Few tests, but minutes each: begun last they would run alone.
LONG = (
    "test_scenarios.py",
    "test_ngc.py",
    "test_dask.py",
    "test_dask_queue.py",
    "test_examples.py",
    "test_wheel.py",
    "test_release.py",
    "test_init.py",
)


@pytest.fixture
def made(record_property: Callable[[str, object], None]) -> Made:
    """Counts the faults that a test makes, by how each is made."""
    return counting(record_property)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = [report for some in terminalreporter.stats.values() for report in some]
    write_rows([report for report in reports if isinstance(report, pytest.TestReport)])


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    name_rows(items)
    if not campaign.LONG:
        long = [item for item in items if item.get_closest_marker("long")]
        items[:] = [item for item in items if item not in long]
        config.hook.pytest_deselected(items=long)
    items.sort(key=lambda item: item.path.name not in LONG)
