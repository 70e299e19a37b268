"""What integration tests share: the demo, which has run once; a line to the box that can be cut."""

import os
import re
from collections.abc import Callable, Iterator

import pytest

from slam.demo.scene import make_scene
from tests.campaign import LONG
from tests.faults import Made, counting, name_rows, write_rows
from tests.integration.cuttable_proxy import CuttableProxy
from tests.integration.small_image import SmallImageBox, small, small_box
from tests.integration.task_runner import FRAMES, SHARED_TASKS, TaskRunner

__all__ = ["line", "small", "small_box"]

# The words of Docker's own builder are in docs/errors.md; test_engines.py has the others.
os.environ.setdefault("DOCKER_BUILDKIT", "0")


@pytest.fixture(scope="session", autouse=True)
def _door() -> Iterator[None]:
    """Ends what commands are forked from."""
    yield
    SHARED_TASKS.close()


@pytest.fixture(scope="session")
def line(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TaskRunner]:
    """The demo has run; its box is up until the last test is over."""
    folder = tmp_path_factory.mktemp("line")
    made = TaskRunner(state=folder / "state", results=folder / "results")
    try:
        if not LONG:
            make_scene(made.state / "demo" / "room", frames=FRAMES, width=320)
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


# Minutes each: begun last they would run alone.
FIRST = (
    "test_scenarios.py",
    "test_line.py",
    "test_sif.py",
    "test_ngc.py",
    "test_examples.py",
    "test_wheel.py",
    "test_dask.py",
    "test_dask_queue.py",
    "test_release.py",
    "test_init.py",
    "test_tour.py",
    "test_stage.py",
)


@pytest.fixture
def made(record_property: Callable[[str, object], None]) -> Made:
    """Counts the faults that a test makes, by how each is made."""
    return counting(record_property)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = [report for some in terminalreporter.stats.values() for report in some]
    write_rows([report for report in reports if isinstance(report, pytest.TestReport)])


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    name_rows(items)
    items.sort(key=lambda item: FIRST.index(name) if (name := item.path.name) in FIRST else len(FIRST))
