"""Ports, and the relay: its program as a process of this machine in the place of one on a node."""

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, cast

import paramiko
import pytest

from slipway.errors import HostError, RemoteError, UsageError
from slipway.host.host import Host
from slipway.host.marked import MarkedProgram
from slipway.tunnel import way as module
from slipway.tunnel.port import PortPair, listen, parse_ports
from slipway.tunnel.relay import Relay, relay_command
from slipway.tunnel.relay_program import WINDOW_BYTES
from slipway.tunnel.way import Way
from tests.waiting import PATIENCE_S


@pytest.mark.parametrize(
    ("words", "ports"), [("6006", (6006, 6006)), ("8888:9000", (8888, 9000)), ("80:0", (80, 0))]
)
def test_ports_are_read(words: str, ports: tuple[int, int]) -> None:
    assert parse_ports(words) == PortPair(remote=ports[0], local=ports[1])


@pytest.mark.parametrize("words", ["", "0", "x", "70000", "80:70000", "80:", "-1", "1:2:3", "٣"])
def test_what_is_no_port_is_refused(words: str) -> None:
    with pytest.raises(UsageError, match="PORT:LOCAL"):
        parse_ports(words)


def test_a_port_that_is_used_is_told_with_what_to_do() -> None:
    with listen(PortPair(remote=80, local=0)) as taken:
        port = taken.getsockname()[1]
        assert taken.getsockname()[0] == "127.0.0.1"
        with pytest.raises(HostError, match=rf"port {port} .*80:LOCAL.*80:0"):
            listen(PortPair(remote=80, local=port))


class Local:
    """The relay's program on this machine, as :class:`MarkedProgram` has one of a host."""

    def __init__(self, argv: list[str]) -> None:
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def send(self, content: bytes) -> None:
        stdin = cast(IO[bytes], self.process.stdin)
        stdin.write(content)
        stdin.flush()

    def output(self) -> Iterator[bytes]:
        number = cast(IO[bytes], self.process.stdout).fileno()
        return iter(lambda: os.read(number, 1 << 16), b"")


class Server:
    """Answers each connection with what it sends, in capitals, and then ends it."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        self.reads = threading.Event()
        self.reads.set()
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.answer, args=(connection,), daemon=True).start()

    def answer(self, connection: socket.socket) -> None:
        with connection:
            content = b""
            self.reads.wait(PATIENCE_S)
            while chunk := connection.recv(1 << 16):
                content += chunk
            connection.sendall(content.upper())


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.listener.shutdown(socket.SHUT_RDWR)
    server.listener.close()


@pytest.fixture
def relay(server: Server) -> Iterator[Relay]:
    local = Local(relay_command(server.port))
    relay = Relay(cast(MarkedProgram, local))
    chunks = local.output()
    assert next(chunks) == b"slipway-relay\n"
    reader = threading.Thread(target=relay.listen, args=(chunks, b""), daemon=True)
    reader.start()
    yield relay
    relay.is_over = True
    process = local.process
    cast(IO[bytes], process.stdin).close()
    assert process.wait(PATIENCE_S) == 0
    reader.join(PATIENCE_S)
    cast(IO[bytes], process.stdout).close()


def exchange(relay: Relay, content: bytes) -> bytes:
    channel = relay.open()
    assert channel is not None
    channel.sendall(content)
    channel.shutdown_write()
    answer = b"".join(iter(lambda: channel.recv(1 << 16), b""))
    channel.close()
    return answer


def test_connections_over_one_program_keep_apart(relay: Relay) -> None:
    contents = [bytes([97 + number]) * (3 * WINDOW_BYTES + number) for number in range(4)]
    answers: dict[int, bytes] = {}

    def run(number: int) -> None:
        answers[number] = exchange(relay, contents[number])

    threads = [threading.Thread(target=run, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert [answers[number] == contents[number].upper() for number in range(4)] == [True] * 4


def test_one_that_nobody_reads_does_not_hold_up_the_others(relay: Relay, server: Server) -> None:
    slow = relay.open()
    assert slow is not None
    slow.sendall(b"s" * 3 * WINDOW_BYTES)
    slow.shutdown_write()
    assert exchange(relay, b"quick") == b"QUICK"
    assert b"".join(iter(lambda: slow.recv(1 << 16), b"")) == b"S" * 3 * WINDOW_BYTES


def test_a_port_that_nobody_listens_on_is_told(relay: Relay, server: Server) -> None:
    server.listener.shutdown(socket.SHUT_RDWR)
    server.listener.close()
    assert relay.open() is None
    server.listener = socket.create_server(("127.0.0.1", 0))


def test_the_program_is_as_old_pythons_have_it() -> None:
    text = relay_command(1)[-2]
    check = "import ast, sys; ast.parse(sys.stdin.read(), feature_version=(3, 6))"
    subprocess.run([sys.executable, "-c", check], input=text.encode(), check=True, timeout=PATIENCE_S)


class Refusing:
    """A host that gets no connection to the port, or passes none on."""

    target = "me@hpc:22"
    is_open = True

    def __init__(self, code: int) -> None:
        self.code = code

    def open_tunnel(self, address: str, port: int) -> object:
        if self.code:
            raise paramiko.ChannelException(self.code, "no")
        return self


@contextmanager
def no_python(*_: object) -> Iterator[Relay]:
    raise RemoteError("there is no Python")
    yield


def way(host: Refusing, notes: list[str]) -> Way:
    return Way(cast(Host, host), "node1", 80, lambda argv: argv, notes.append)


def test_where_no_relay_can_be_had_the_port_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "open_relay", no_python)
    host, notes = Refusing(2), list[str]()
    to = way(host, notes)
    assert to.open() is None
    assert notes == []
    assert to.open(patiently=False) is None
    assert to.open(patiently=False) is None
    assert notes == ["there is no Python"]
    host.code = 0
    assert to.open() is host  # type: ignore[comparison-overlap]


def test_where_sshd_forbids_it_and_no_relay_can_be_had_that_is_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "open_relay", no_python)
    notes: list[str] = []
    with pytest.raises(RemoteError, match="no Python"):
        way(Refusing(1), notes).open()
    assert "does not pass connections on" in notes[0]
