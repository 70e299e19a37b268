"""Joins its standard streams to a port of this machine: an SSH client's ProxyCommand."""

import os
import socket
import sys
import threading

line = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def up() -> None:
    """What is read here goes there."""
    while chunk := os.read(0, 1 << 16):
        line.sendall(chunk)
    line.shutdown(socket.SHUT_WR)


threading.Thread(target=up, daemon=True).start()
while received := line.recv(1 << 16):
    os.write(1, received)
