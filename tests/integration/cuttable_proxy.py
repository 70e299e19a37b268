"""A line that can be cut: a TCP proxy between Slipway and the box's sshd."""

import socket
import struct
import threading
from contextlib import suppress

_RESET = struct.pack("ii", 1, 0)  # to linger for no time: what closes the socket is a reset


class CuttableProxy:
    """Listens on a port of this machine, and leads to another one as long as the line is whole."""

    def __init__(self, port: int) -> None:
        self._to = ("127.0.0.1", port)
        self._sockets: list[socket.socket] = []
        self._whole = True
        self._flows = _flowing()
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        self.connections = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self, *, mend: bool = True) -> None:
        """End all connections, as a firewall does it that forgets them; new ones only work with ``mend``."""
        self._whole = mend
        sockets, self._sockets = self._sockets, []
        for one in sockets:
            with suppress(OSError):
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def mend(self) -> None:
        """Let new connections through again."""
        self._whole = True

    def freeze(self) -> None:
        """Let nothing more through on the connections that there are, and say nothing; new ones work."""
        self._flows.clear()
        self._flows = _flowing()

    def close(self) -> None:
        """End everything."""
        self.cut(mend=False)
        self._server.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                here, _ = self._server.accept()
                if not self._whole:
                    here.close()
                    continue
                self.connections += 1
                there = socket.create_connection(self._to)
                self._sockets += [here, there]
                for pair in ((here, there), (there, here)):
                    threading.Thread(target=_carry, args=(*pair, self._flows), daemon=True).start()


def _flowing() -> threading.Event:
    event = threading.Event()
    event.set()
    return event


def _carry(source: socket.socket, target: socket.socket, flows: threading.Event) -> None:
    with suppress(OSError):
        while content := source.recv(1 << 16):
            flows.wait()
            target.sendall(content)
        target.shutdown(socket.SHUT_WR)
