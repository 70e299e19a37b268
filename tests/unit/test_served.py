"""A kept connection's channel, at the keeper's end."""

import socket
import threading
import time
from typing import Any

from slipway.multiplex.channel import KeptChannel
from slipway.multiplex.frame import Decoder
from slipway.multiplex.served import ServedChannel


class Hasty:
    """A channel whose program is over before its start is told, which a real one is now and then."""

    closed = False

    def __init__(self) -> None:
        self._over = threading.Event()

    def exec_command(self, command: bytes) -> None:
        self._over.set()
        time.sleep(0.5)

    def recv(self, nbytes: int) -> bytes:
        self._over.wait()
        return b""

    recv_stderr = recv

    def recv_exit_status(self) -> int:
        self._over.wait()
        return 127

    def close(self) -> None:
        self.closed = True


def test_a_program_that_is_over_at_once() -> None:
    ours, theirs = socket.socketpair()
    ours.settimeout(1)
    channel: Any = Hasty()
    served = ServedChannel(theirs, Decoder(), channel)
    serving = threading.Thread(target=served.serve)
    serving.start()
    client = KeptChannel(ours, Decoder())
    client.exec_command("none")
    assert client.recv_exit_status() == 127
    client.close()
    serving.join()
    theirs.close()
