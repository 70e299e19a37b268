"""What rsync takes for ssh: hands rsync's bytes to the connection that Slipway already has.

Run as ``python rsh.py SOCKET HOST COMMAND…`` by rsync's ``-e``. It is a program of its own, with nothing but
the standard library, so that it starts quickly.
"""

import os
import socket
import sys
import threading
from contextlib import suppress


def main() -> None:
    """Send the command line to the socket, then everything between rsync and the socket, both ways."""
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(sys.argv[1])
    # Like ssh, which joins its words with spaces; rsync has quoted them for the remote shell.
    connection.sendall(" ".join(sys.argv[3:]).encode(errors="surrogateescape") + b"\0")
    # rsync may hand over pipes that do not block, and waits for them itself.
    os.set_blocking(0, True)
    os.set_blocking(1, True)
    threading.Thread(target=_upwards, args=(connection,), daemon=True).start()
    while chunk := connection.recv(1 << 16):
        view = memoryview(chunk)
        while view:
            view = view[os.write(1, view) :]


def _upwards(connection: socket.socket) -> None:
    with suppress(ConnectionError):
        while chunk := os.read(0, 1 << 16):
            connection.sendall(chunk)
        connection.shutdown(socket.SHUT_WR)


if __name__ == "__main__":
    # Ctrl-C reaches all programs of a terminal. Slipway tells of it, and of a program there that ended early.
    with suppress(KeyboardInterrupt, ConnectionError):
        main()
