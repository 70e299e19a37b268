"""Runs on the cluster, where sshd does not lead to a port: its standard streams carry connections to it.

``relay.py`` is the other end. Whichever Python is there runs it, from 3.6 on, with nothing but its library.
"""
# ruff: noqa: UP006, UP035, UP045 - Python 3.6 has no others

import os
import select
import socket
import struct
import sys
from typing import Dict, Optional

OPEN, OPENED, DATA, END, CLOSED, CREDIT = range(6)
HEAD = struct.Struct(">BII")
WINDOW_BYTES = 1 << 20
CHUNK_BYTES = 1 << 15


class Relayed:
    """One connection.

    Attributes:
        pending: what is still to be written to the socket.
        owed_bytes: what was sent to the other end, which has not used it yet.
        ends: nothing comes for the socket behind what is pending.
        reads: the socket has not ended.
    """

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.pending = b""
        self.owed_bytes = 0
        self.ends = False
        self.reads = True


class Relay:
    """All connections to one port."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.seen = b""
        self.all: Dict[int, Relayed] = {}

    def run(self) -> None:
        """Serve until the other end has gone."""
        os.write(1, b"slipway-relay\n")
        while True:
            readers, writers = {}, {}
            for number, one in self.all.items():
                if one.reads and one.owed_bytes < WINDOW_BYTES:
                    readers[one.sock.fileno()] = number
                if one.pending:
                    writers[one.sock.fileno()] = number
            can_read, can_write, _ = select.select([0, *readers], [*writers], [])
            for descriptor in can_write:
                self.write(writers[descriptor])
            for descriptor in can_read:
                if descriptor:
                    self.read(readers[descriptor])
            if 0 in can_read:
                content = os.read(0, 1 << 16)
                if not content:
                    return
                self.hear(content)

    def say(self, kind: int, number: int, content: bytes = b"") -> None:
        """Send a message."""
        left = HEAD.pack(kind, number, len(content)) + content
        while left:
            left = left[os.write(1, left) :]

    def hear(self, content: bytes) -> None:
        """Obey all messages that have come as a whole."""
        self.seen += content
        while len(self.seen) >= HEAD.size:
            kind, number, size = HEAD.unpack(self.seen[: HEAD.size])
            end = HEAD.size + size
            if len(self.seen) < end:
                return
            part, self.seen = self.seen[HEAD.size : end], self.seen[end:]
            if kind == OPEN:
                self.open(number)
            elif number in self.all:
                self.obey(kind, number, part)

    def open(self, number: int) -> None:
        """Connect to the port."""
        sock = connect(self.port)
        if sock is None:
            self.say(CLOSED, number)
            return
        sock.setblocking(False)
        self.all[number] = Relayed(sock)
        self.say(OPENED, number)

    def obey(self, kind: int, number: int, content: bytes) -> None:
        """Take a message for a connection."""
        one = self.all[number]
        if kind == CLOSED:
            self.drop(number)
            return
        if kind == DATA:
            one.pending += content
        elif kind == CREDIT:
            one.owed_bytes -= struct.unpack(">I", content)[0]
        elif kind == END:
            one.ends = True
        self.write(number)

    def write(self, number: int) -> None:
        """Write to a connection as much as it takes."""
        one = self.all.get(number)
        if one is None:
            return
        try:
            while one.pending:
                sent = one.sock.send(one.pending)
                one.pending = one.pending[sent:]
                self.say(CREDIT, number, struct.pack(">I", sent))
            if one.ends:
                one.ends = False
                one.sock.shutdown(socket.SHUT_WR)
        except BlockingIOError:
            pass
        except OSError:
            self.drop(number)
            self.say(CLOSED, number)

    def read(self, number: int) -> None:
        """Read from a connection some of what has come."""
        one = self.all.get(number)
        if one is None:
            return
        try:
            content = one.sock.recv(CHUNK_BYTES)
        except BlockingIOError:
            return
        except OSError:
            self.drop(number)
            self.say(CLOSED, number)
            return
        if content:
            one.owed_bytes += len(content)
            self.say(DATA, number, content)
        else:
            one.reads = False
            self.say(END, number)

    def drop(self, number: int) -> None:
        """End a connection."""
        self.all.pop(number).sock.close()


def connect(port: int) -> Optional[socket.socket]:
    """A connection to a port of this host; ``None`` where nothing answers."""
    for host in ("127.0.0.1", "::1", socket.gethostname()):
        try:
            return socket.create_connection((host, port), 3)
        except OSError:
            continue
    return None


if __name__ == "__main__":
    Relay(int(sys.argv[1])).run()
