"""For all tests: their figures at the end of the run, whichever process they ran in, and signals as ever."""

import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests import campaign

# Machines are busy: how long an example takes says nothing.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")

TOLD = "told"
Tell = Callable[[str], None]

# A shell starts what it puts into the background with these ignored, and so would be all that tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
# Under `nohup` these go on, and what they start has no handler.
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, lambda number, frame: None)
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What is marked as long is left to the long form, and says so."""
    if not campaign.LONG:
        for item in items:
            if item.get_closest_marker("long"):
                item.add_marker(campaign.LEFT_OUT)


@pytest.fixture(scope="session", autouse=True)
def _own_logins() -> Iterator[None]:
    """Tests see no login that somebody keeps on this machine, and what they leave ends with them."""
    with (
        tempfile.TemporaryDirectory(prefix="slipway-", dir="/tmp") as name,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("XDG_RUNTIME_DIR", name)
        yield
        if Path(name, "slipway").exists():
            from slipway.multiplex.kept import end_kept, list_kept

            for kept in list_kept():
                end_kept(kept.path)


@pytest.fixture
def tell(record_property: Callable[[str, object], None]) -> Tell:
    """Have some lines printed at the end of the run."""
    return lambda text: record_property(TOLD, text)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that other users of this machine may enter; pytest's own are closed to them."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        try:
            yield folder
        finally:
            for path in (folder, *folder.rglob("*")):
                if path.is_dir() and not path.is_symlink():
                    path.chmod(0o755)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = [
        report
        for of_one_outcome in terminalreporter.stats.values()
        for report in of_one_outcome
        if isinstance(report, pytest.TestReport) and report.when == "call"
    ]
    told = [
        (report.nodeid, text) for report in reports for name, text in report.user_properties if name == TOLD
    ]
    if told:
        terminalreporter.section("figures")
    for test, text in told:
        terminalreporter.write_line(f"{test}\n{text}\n")
