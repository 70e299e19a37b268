"""The door for rsync, and the end of a connection, as far as they need no server."""

import socket
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from slipway.host.connection import Connection
from slipway.host.host import Host
from slipway.transfer.rsync_tunnel import open_rsync_tunnel
from tests.waiting import PATIENCE_S


class Endless:
    """A program from which bytes come for ever."""

    has_begun = True

    def wait_for_begin(self) -> bool:
        return True

    def recv(self, size_bytes: int) -> bytes:
        return bytes(size_bytes)

    def errors(self) -> bytes:
        return b""

    def send(self, content: bytes) -> None:
        """Take it."""

    def end_input(self) -> None:
        """Nothing more is sent."""


class EndlessLink:
    """A connection with nothing else behind it."""

    is_open = True

    @contextmanager
    def start(self, argv: Sequence[str]) -> Iterator[Endless]:
        yield Endless()


def test_an_rsync_that_ends_is_no_lost_connection() -> None:
    with open_rsync_tunnel(cast(Host, EndlessLink())) as tunnel, socket.socket(socket.AF_UNIX) as rsync:
        rsync.connect(str(tunnel.path))
        rsync.sendall(b"rsync --server\0")
        # Gone in the middle of what comes, with some of it taken.
        deadline = time.monotonic() + PATIENCE_S
        while not tunnel.received_bytes and time.monotonic() < deadline:
            rsync.recv(1 << 16)
    assert tunnel.received_bytes
    assert tunnel.lost is None


def test_a_long_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    long = tmp_path / ("long" * 25)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    with open_rsync_tunnel(cast(Host, EndlessLink())) as tunnel:
        assert tunnel.path.is_socket()
        assert tunnel.path.parent.stat().st_mode & 0o777 == 0o700
    assert not tunnel.path.parent.exists()


class Dying(threading.Thread):
    """What paramiko's thread does at its end: the channels end first, and then it says that it is lost."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.channel_has_ended = threading.Event()
        self._is_active = True

    def run(self) -> None:
        self.channel_has_ended.set()
        time.sleep(0.05)
        self._is_active = False

    def is_active(self) -> bool:
        return self._is_active


def test_a_channel_ends_before_its_connection_does() -> None:
    transport = Dying()
    connection = Connection(cast(Any, "me@host"), [cast(Any, transport)])
    transport.start()
    transport.channel_has_ended.wait()
    assert connection.is_open
    assert connection.is_lost
