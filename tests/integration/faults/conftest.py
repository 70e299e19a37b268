"""For tests of faults: a laptop of their own, and random numbers by the campaign's seed."""

import random
from collections.abc import Iterator

import pytest

from tests import campaign
from tests.integration.faults.laptop import Laptop
from tests.integration.proxy import Proxy
from tests.integration.small_image import SmallImageBox


@pytest.fixture(scope="module")
def yard(small: SmallImageBox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laptop]:
    """A laptop that lasts as long as the module."""
    with_port = (small.session.project.state / "box" / "ssh_config").read_text()
    proxy = Proxy(int(with_port.split("Port ")[1].split()[0]))
    laptop = Laptop(small, tmp_path_factory.mktemp("laptop"), proxy)
    yield laptop
    laptop.end_keepers()
    proxy.close()


@pytest.fixture
def laptop(yard: Laptop) -> Laptop:
    """The same, with a line that is as good as new."""
    yard.proxy.count()
    yard.lead_through(yard.proxy.port)
    return yard


@pytest.fixture
def dice(request: pytest.FixtureRequest) -> random.Random:
    """Random numbers of the test's own."""
    return campaign.dice(request.node.nodeid.partition("::")[2])
