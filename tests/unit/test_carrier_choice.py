import subprocess

import pytest

from slipway.transfer.choice import parse_version
from tests.waiting import PATIENCE_S

# As they were seen: Debian 12, a build from git, Homebrew, macOS 14, CentOS 7, macOS 15.
PRINTED = {
    "rsync  version 3.2.7  protocol version 31\nCopyright (C) 1996-2022 by Andrew Tridgell": (3, 2),
    "rsync  version v3.2.3  protocol version 31": (3, 2),
    "rsync  version 3.4.1  protocol version 32\nCopyright (C) 1996-2025 by Andrew Tridgell": (3, 4),
    "rsync  version 2.6.9  protocol version 29\nCopyright (C) 1996-2006 by Andrew Tridgell": (2, 6),
    "rsync  version 3.1.2  protocol version 31": (3, 1),
    "openrsync: protocol version 29\nrsync version 2.6.9 compatible": None,
    "": None,
}


@pytest.mark.parametrize(("printed", "version"), PRINTED.items())
def test_versions_of_rsync(printed: str, version: tuple[int, int] | None) -> None:
    assert parse_version(printed) == version


def test_the_one_that_is_here() -> None:
    done = subprocess.run(
        ["rsync", "--version"], capture_output=True, text=True, check=True, timeout=PATIENCE_S
    )
    assert (parse_version(done.stdout) or (0, 0)) >= (3, 1)
