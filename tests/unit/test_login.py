"""Logging in where no sshd is: sockets that are not one, and replies that OpenSSH's never gives."""

import inspect
import os
import socket
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import paramiko
import pytest
from paramiko.message import Message

from slipway.errors import HostNameError, LoginError, SshError, UnreachableError
from slipway.host.files import FILES_TIMEOUT_S
from slipway.host.host import Host
from slipway.ssh import login
from slipway.ssh.agent import IdentityError
from slipway.ssh.hostkey import HostKey
from slipway.ssh.identity import Keyring, read_key_file
from slipway.ssh.login import log_in
from slipway.ssh.prompt import NoPrompt
from slipway.ssh.target import Target
from slipway.ssh.transport import CHANNEL_TIMEOUT_S, DEAD_AFTER_S
from tests.waiting import PATIENCE_S

TARGET = Target(
    host="127.0.0.1",
    port=1,
    user="me",
    key_name="there",
    identity_files=(),
    identity_agent="none",
    known_hosts=(),
    global_known_hosts=(),
    connect_timeout_s=1,
)


class Person(NoPrompt):
    def ask(self, prompt: str, *, echo: bool) -> str | None:
        return "secret"


def anyone(_: Target, __: HostKey) -> None:
    pass


def refusal(target: Target, kind: type[SshError] = UnreachableError) -> str:
    with pytest.raises(SshError) as caught:
        log_in(target, Person(), anyone)
    assert type(caught.value) is kind
    assert "secret" not in str(caught.value)
    return str(caught.value).removeprefix(f"{target}: ")


@pytest.fixture(autouse=True)
def once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each server here takes one connection."""
    monkeypatch.setattr(login, "AGAIN_S", ())


@pytest.fixture
def serve() -> Iterator[Callable[[Callable[[socket.socket], None]], Target]]:
    """Serves one connection by a function, on a port of its own."""
    listener = socket.create_server(("127.0.0.1", 0))
    threads = []

    def begin(function: Callable[[socket.socket], None]) -> Target:
        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                function(connection)

        threads.append(threading.Thread(target=answer))
        threads[-1].start()
        return replace(TARGET, port=listener.getsockname()[1])

    with closing(listener):
        yield begin
        for thread in threads:
            thread.join(timeout=PATIENCE_S)
            assert not thread.is_alive()


def test_no_such_host() -> None:
    assert refusal(replace(TARGET, host="no-such-host.invalid"), HostNameError).startswith(
        "no host of this name is found ("
    )
    # Python does not even ask for these.
    for name in ("two..dots", "x" * 64):
        text = refusal(replace(TARGET, host=name), HostNameError)
        assert text.startswith("no host of this name is found (it cannot be a host's name); check login.host")


def test_nothing_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert refusal(replace(TARGET, port=port)).startswith(f"nothing listens on port {port}; ")


def test_a_site_with_a_vpn_says_so_where_it_cannot_be_reached() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        gone = replace(TARGET, port=listener.getsockname()[1])
    away = replace(gone, vpn="connect to the VPN first")
    with pytest.raises(UnreachableError, match=r"nothing listens.*\n  This site says of its VPN: c"):
        log_in(away, NoPrompt())
    # Also where a host on the way is what cannot be reached.
    behind = replace(away, jumps=(gone,))
    with pytest.raises(UnreachableError, match=r"^jump host 1 of 1 .*\n  This site says of its VPN: connect"):
        log_in(behind, NoPrompt())


def test_nobody_answers() -> None:
    listener = socket.create_server(("127.0.0.1", 0), backlog=1)  # and it accepts nothing
    with closing(listener):
        text = refusal(replace(TARGET, port=listener.getsockname()[1]))
    assert "is open, but no SSH server answers within 1 s" in text


def test_another_kind_of_server(serve: Callable[[Callable[[socket.socket], None]], Target]) -> None:
    def http(connection: socket.socket) -> None:
        connection.recv(100)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n" + b"a line\r\n" * 200)

    assert "is not an SSH server; check login.port" in refusal(serve(http))


def test_a_server_that_hangs_up(serve: Callable[[Callable[[socket.socket], None]], Target]) -> None:
    assert "the server hung up before the login" in refusal(serve(lambda _: None))
    assert "the server hung up before the login" in refusal(
        serve(lambda line: line.sendall(b"SSH-2.0-x\r\n"))
    )

    def reset(line: socket.socket) -> None:
        line.recv(1)
        # The other side sees a reset, and not an end.
        line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    assert "the server hung up before the login" in refusal(serve(reset))


def test_a_password_that_the_server_wants_changed(
    serve: Callable[[Callable[[socket.socket], None]], Target],
) -> None:
    class Server(paramiko.ServerInterface):
        def get_allowed_auths(self, username: str) -> str:
            return "password"

        def check_auth_password(self, username: str, password: str) -> int:
            message = Message()
            message.add_byte(bytes([60]))  # SSH_MSG_USERAUTH_PASSWD_CHANGEREQ
            message.add_string("Choose a\nnew one")
            message.add_string("")
            transports[0]._send_message(message)  # type: ignore[attr-defined]
            return paramiko.AUTH_FAILED  # which comes too late

    transports: list[paramiko.Transport] = []

    def ssh(connection: socket.socket) -> None:
        transports.append(paramiko.Transport(connection))
        transports[0].add_server_key(paramiko.RSAKey.generate(2048))
        # With an event it does not wait, and does not mind that the client may be gone already.
        transports[0].start_server(event=threading.Event(), server=Server())
        transports[0].join(timeout=PATIENCE_S)

    text = refusal(replace(serve(ssh), connect_timeout_s=10), LoginError)
    assert text.startswith(
        "the password has expired and has to be changed first (Choose a new one). Log in with `ssh"
    )


def test_key_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for kind, words in {
        "OPENSSH": [],
        "RSA": ["-t", "rsa", "-m", "PEM"],
        "EC": ["-t", "ecdsa", "-m", "PEM"],
    }.items():
        for passphrase in ("", "a phrase"):
            path = tmp_path / f"{kind}{passphrase}"
            argv = ["ssh-keygen", "-q", "-N", passphrase, "-f", str(path), *words]
            subprocess.run(argv, check=True, timeout=PATIENCE_S)
            file = read_key_file(path)
            assert file is not None
            assert file.is_encrypted == bool(passphrase)
            assert (file.blob is None) == (kind != "OPENSSH")
            assert read_key_file(Path(f"{path}.pub")) is None
            if passphrase:
                with pytest.raises(
                    IdentityError, match=f"{path} needs its passphrase, and there is no terminal"
                ):
                    file.unlock(NoPrompt())
                with pytest.raises(IdentityError, match="its passphrase was not given"):
                    file.unlock(Person())
            else:
                file.unlock(NoPrompt())
    (tmp_path / "OPENSSH").chmod(0o644)
    with pytest.raises(IdentityError, match="others may read it"):
        read_key_file(tmp_path / "OPENSSH")
    with monkeypatch.context() as windows:
        windows.delattr(os, "getuid")
        assert read_key_file(tmp_path / "OPENSSH") is not None
    (tmp_path / "OPENSSH").chmod(0o600)
    assert read_key_file(tmp_path / "missing") is None
    text = (tmp_path / "OPENSSH").read_text()
    broken = {"cut": text[:60] + text[-40:], "pkcs8": "-----BEGIN PRIVATE KEY-----\n", "empty": ""}
    for name, content in broken.items():
        (tmp_path / name).write_text(content)
        (tmp_path / name).chmod(0o600)
    files = tuple(str(tmp_path / name) for name in (*broken, "missing", "OPENSSH"))
    ring = Keyring(replace(TARGET, identity_files=files), NoPrompt())
    assert [key.name for key in ring] == [f"{tmp_path}/OPENSSH"]
    assert len(ring.problems) == 4


def test_certificates(tmp_path: Path) -> None:
    for name in ("ca", "mine", "other"):
        subprocess.run(
            ["ssh-keygen", "-q", "-N", "", "-f", str(tmp_path / name)], check=True, timeout=PATIENCE_S
        )
    argv = [
        "ssh-keygen",
        "-q",
        "-s",
        str(tmp_path / "ca"),
        "-I",
        "me",
        "-n",
        "me",
        str(tmp_path / "mine.pub"),
    ]
    subprocess.run(argv, check=True, timeout=PATIENCE_S)
    files = (str(tmp_path / "mine"), str(tmp_path / "other"))
    target = replace(TARGET, identity_files=files, certificate_files=(str(tmp_path / "mine-cert.pub"),))
    names = [Path(key.name).name for key in Keyring(target, NoPrompt())]
    assert list(dict.fromkeys(names)) == ["mine-cert.pub", "mine", "other"]


def test_a_line_may_stall_under_each_of_these() -> None:
    """Only a line that is dead ends what waits for an answer; the tests of faults stall one for a minute."""
    waiting = (Host.run, Host.check, Host.run_in_login_shell, Host.run_scripts)
    waits_s = [inspect.signature(one).parameters["timeout_s"].default for one in waiting]
    assert min(*waits_s, CHANNEL_TIMEOUT_S, FILES_TIMEOUT_S) > DEAD_AFTER_S
