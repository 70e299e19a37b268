"""Logins to the box that are kept for commands which follow."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.suite.place import Place, expect


@contextmanager
def kept_logins(place: Place) -> Iterator[tuple[Path, Path]]:
    """A folder in which Slipway keeps a login, and the socket of one that OpenSSH keeps."""
    logins, master = place.folder / "logins", place.folder / "master"
    logins.mkdir(mode=0o700, exist_ok=True)
    place.slipway("login", "--site", "box", logins=logins)
    # What it may say would be read to its end, which does not come.
    argv = [*place.ssh, "-M", "-S", str(master), "-N", "box"]
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as keeper:
        try:
            while not master.exists():
                expect(keeper.poll() is None, "ssh -M has ended")
                time.sleep(0.1)
            yield logins, master
        finally:
            keeper.terminate()
            place.slipway("logout", "--site", "box", logins=logins)
