"""Mistakes on the way to a cluster, as users make them: real tasks, and real sshds."""

import os
import re
import shutil
import signal
import socket
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.integration.desk import Answer, Case, Desk, Seen, Topic, make_checkout
from tests.integration.lab import PASSWORD, SPARE, TIMEOUT_S, Lab, keygen, open_agent, open_lab

# A ProxyCommand: joins standard input and output to a port, and says which process it is.
JOIN = """
import os, pathlib, socket, sys, threading
pathlib.Path(sys.argv[3]).write_text(str(os.getpid()))
line = socket.create_connection((sys.argv[1], int(sys.argv[2])))
threading.Thread(target=lambda: [os.write(1, data) for data in iter(lambda: line.recv(65536), b"")]).start()
[line.sendall(data) for data in iter(lambda: os.read(0, 65536), b"")]
"""
STAGE = ("stage", "--path", "room")


@dataclass(frozen=True, kw_only=True)
class LabDesk(Desk):
    """A checkout with one site, which is in the lab."""

    lab: Lab

    def stage(
        self, user: str = "key", host: str = "gate", answers: Sequence[Answer] = (), **options: str
    ) -> Seen:
        """Run `invoke stage` for a site whose ssh_config has these options."""
        config = str(self.lab.login(user, host, **options).ssh_config)
        return self.invoke(*STAGE, site=self.site(config, user, host), answers=answers)

    def configured(self, text: str) -> Seen:
        """Run `invoke stage` for a site whose ssh_config is this text."""
        file = self.lab.state / "config-own"
        file.write_text(text)
        return self.invoke(*STAGE, site=self.site(file.name))

    def site(self, config: str, user: str = "key", host: str = "gate") -> str:
        """The text of a site's file."""
        return (
            f"login: {{host: {host}, user: {user}, ssh_config: {self.lab.state}/{config}}}\n"
            "paths: {scratch: /home/key}\n"
        )


TOPIC = Topic[LabDesk]("connection")
case = TOPIC.case


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with open_lab(tmp_path_factory.mktemp("lab")) as lab:
        yield lab


@pytest.fixture
def desk(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LabDesk:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    make_checkout(tmp_path)
    hidden = {
        re.escape(str(lab.state)): "~/.ssh",
        re.escape(str(tmp_path)): "~/slipway",
        r"/config-\w+": "/config",
        rf"\b{lab.port}\b": "PORT",
        r"127\.0\.0\.1": "HOST",
        r"within \d+ s": "within N s",
        r"\b(key|nobody|password|two|expired|ended|alone)@": "USER@",
        r"@\d+\.\d+\.\d+\.\d+": "@HOST",
        r"(HOST:|HOST port |port |-p )\d+": r"\1PORT",
        r"SHA256:[\w+/]{43}": "SHA256:…",
    }
    return LabDesk(folder=tmp_path, state=tmp_path / "state", hidden=hidden, lab=lab)


# --- Getting there


@case(
    "The host's name is wrong, or this machine is offline",
    77,
    "Correct the name; connect to the network or the VPN.",
    **{r"found \([^)]+\)": "found (WHY)"},
)
def no_such_name(desk: LabDesk) -> Seen:
    return desk.stage(HostName="no-such-host.invalid")


@case(
    "The host is down, or a firewall drops what is sent",
    78,
    "Connect to the VPN; ask whether the host is up.",
)
def no_answer(desk: LabDesk) -> Seen:
    # Where its queue is full, Linux drops what asks for a connection, as a firewall does.
    with closing(socket.create_server(("127.0.0.1", 0), backlog=0)) as full:
        address = full.getsockname()
        waiting = [socket.socket() for _ in range(2)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(address)
        try:
            return desk.stage(Port=str(address[1]), ConnectTimeout="2")
        finally:
            for one in waiting:
                one.close()


@case("There is no way to the host's network", 78, "Connect to the network or the VPN.")
def no_route(desk: LabDesk) -> Seen:
    # An address of the containers' network that no container has.
    networks = desk.lab.containers["gate"].attrs["NetworkSettings"]["Networks"]
    (gateway,) = (network["Gateway"] for network in networks.values())
    return desk.stage(HostName=f"{gateway.rsplit('.', 1)[0]}.250", Port="22")


@case("The port is wrong, or no sshd runs", 78, "Correct the port.")
def port_closed(desk: LabDesk) -> Seen:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    return desk.stage(Port=str(port))


@contextmanager
def served(words: bytes) -> Iterator[str]:
    """A port on which another kind of server answers with these words."""
    listener = socket.create_server(("127.0.0.1", 0))
    end = threading.Event()

    def answer() -> None:
        try:
            connection, _ = listener.accept()
        except OSError:
            return  # nobody came
        with connection:
            if words:
                connection.recv(100)
                connection.sendall(words)
            else:
                end.wait(TIMEOUT_S)

    thread = threading.Thread(target=answer)
    thread.start()
    try:
        yield str(listener.getsockname()[1])
    finally:
        end.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(TIMEOUT_S)


@case("Another kind of server is at the port", 78, "Correct the port.")
def another_server(desk: LabDesk) -> Seen:
    with served(b"HTTP/1.1 400 Bad Request\r\n\r\n" + b"a line\r\n" * 200) as port:
        return desk.stage(Port=port)


@case("Something is at the port, and says nothing", 78, "Correct the port; connect to the VPN.")
def silence(desk: LabDesk) -> Seen:
    with served(b"") as port:
        return desk.stage(Port=port, ConnectTimeout="2")


@case("The host keeps this address out after failed logins", 78, "Wait, and then log in with the right key.")
def kept_out(desk: LabDesk) -> Seen:
    port = str(desk.lab.serve(SPARE[0], "PerSourcePenalties=authfail:60s min:1s"))
    assert desk.stage("nobody", Port=port).returncode == 81
    return desk.stage(Port=port)


@case(
    "Both sides have no algorithm in common",
    68,
    "Only the site can change that, or a newer paramiko.",
    **{r"common \(.+\)\.": "common (WHY)."},
)
def no_algorithm(desk: LabDesk) -> Seen:
    return desk.stage(Port=str(desk.lab.serve(SPARE[1], "Ciphers=chacha20-poly1305@openssh.com")))


@case("The ProxyCommand ends at once", 78, "Try the command in a shell.")
def proxy_command_fails(desk: LabDesk) -> Seen:
    return desk.stage(ProxyCommand="false %h %p")


# --- The host's key


@case("The host's key is not known yet", 79, "Compare the fingerprint, then `invoke ssh.trust SITE`.")
def unknown_key(desk: LabDesk) -> Seen:
    return desk.stage(UserKnownHostsFile=str(desk.lab.state / "known_new"))


@case("`invoke ssh.trust` where nobody can confirm", 79, "Run it in a terminal, or compare and add `--yes`.")
def nobody_confirms(desk: LabDesk) -> Seen:
    login = desk.lab.login("key", UserKnownHostsFile=str(desk.lab.state / "known_new"))
    return desk.invoke("ssh.trust", site=desk.site(f"{login.ssh_config}"))


@case(
    "The host's key has changed",
    80,
    "Ask the site's administrators for the fingerprint; if it is right, `invoke ssh.trust SITE --replace`.",
)
def changed_key(desk: LabDesk) -> Seen:
    known = desk.lab.state / "known_hosts_old"
    known.write_text(f"gate {desk.lab.public_key('inner')}\n")
    return desk.stage(UserKnownHostsFile=str(known))


@case("The host's key is revoked", 80, "Do not go on; ask the site's administrators.")
def revoked_key(desk: LabDesk) -> Seen:
    known = desk.lab.state / "known_hosts_revoked"
    known.write_text(f"@revoked * {desk.lab.public_key('gate')}\n")
    return desk.stage(UserKnownHostsFile=str(known))


# --- The login


@case("The user's name is wrong", 81, "Correct `login.user` in the site's file.")
def wrong_user(desk: LabDesk) -> Seen:
    return desk.stage("nobody")


@case("The key is not the right one", 81, "Name the right key, or register this one with the site.")
def wrong_key(desk: LabDesk) -> Seen:
    if not (desk.lab.state / "wrong").exists():
        keygen(desk.lab.state / "wrong")
    return desk.stage(IdentityFile=str(desk.lab.state / "wrong"))


@case("There is no key here", 81, "Make one (`ssh-keygen`) and register it, or name the one you have.")
def no_key(desk: LabDesk) -> Seen:
    return desk.stage(IdentityFile="none")


@case("Others may read the key's file", 81, "`chmod 600` it.")
def open_key(desk: LabDesk) -> Seen:
    shutil.copy(desk.lab.state / "id", desk.lab.state / "open")
    (desk.lab.state / "open").chmod(0o644)
    return desk.stage(IdentityFile=str(desk.lab.state / "open"))


@case("The agent offers more keys than the server takes", 81, "`IdentityFile` and `IdentitiesOnly yes`.")
def too_many_keys(desk: LabDesk) -> Seen:
    keys = [desk.lab.state / f"other{number}" for number in range(1, 9)]
    for key in keys:
        keygen(key)
    with open_agent(desk.lab.state) as add:
        add(*map(str, keys))
        desk.environment["SSH_AUTH_SOCK"] = str(desk.lab.state / "agent")
        return desk.stage(IdentitiesOnly="no")


@case(
    "The key has a passphrase, and there is no terminal",
    81,
    "Give the key to the agent (`ssh-add`), or run this in a terminal.",
)
def passphrase_without_terminal(desk: LabDesk) -> Seen:
    return desk.stage(IdentityFile=str(desk.lab.state / "locked"))


@case("A password is needed, and there is no terminal", 81, "Run this in a terminal, or use a key.")
def password_without_terminal(desk: LabDesk) -> Seen:
    return desk.stage("password")


@case("The password is wrong", 81, "Try again; sites may lock an account after some failures.")
def wrong_password(desk: LabDesk) -> Seen:
    return desk.stage("password", answers=["wrong"] * 3, IdentityFile="none")


@case("The second factor is wrong", 81, "Try again, with the next code; check this machine's clock.")
def wrong_code(desk: LabDesk) -> Seen:
    return desk.stage("two", answers=["000000"] * 3)


@case("The password has expired", 81, "Change it with ssh.")
def expired_password(desk: LabDesk) -> Seen:
    return desk.stage("expired", answers=[PASSWORD])


@case("The account has expired", 81, "Ask the site's administrators.")
def expired_account(desk: LabDesk) -> Seen:
    return desk.stage("ended")


@case(
    "The line is cut while a password is typed",
    82,
    "Give the same command again.",
    **{r"\(\[Errno[^)]+\)|\(without a word\)": "(WHY)"},
)
def cut_at_the_prompt(desk: LabDesk) -> Seen:
    script, pid = desk.lab.state / "join.py", desk.lab.state / "join.pid"
    script.write_text(JOIN)

    def cut() -> str:
        os.kill(int(pid.read_text()), signal.SIGKILL)
        return PASSWORD

    return desk.stage("password", answers=[cut], ProxyCommand=f"{sys.executable} {script} %h %p {pid}")


# --- Jump hosts


@case("The jump host is down", 78, "As for any host; the number says which.")
def jump_host_down(desk: LabDesk) -> Seen:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    return desk.stage(host="inner", ProxyJump=f"key@127.0.0.1:{port}")


@case(
    "The jump host's key is not known", 79, "`invoke ssh.trust SITE` shows the keys of all hosts on the way."
)
def jump_host_unknown(desk: LabDesk) -> Seen:
    known = desk.lab.write_known_hosts(desk.lab.state / "known_inner", "inner")
    return desk.stage(host="inner", UserKnownHostsFile=str(known))


@case("The jump host refuses the login", 81, "Correct the user or the key for that host.")
def jump_host_refuses(desk: LabDesk) -> Seen:
    return desk.stage(host="inner", ProxyJump="nobody@gate")


@case("The jump host passes nothing on", 68, "Ask the site which host is meant for that.")
def jump_host_passes_nothing_on(desk: LabDesk) -> Seen:
    return desk.stage(host="inner", ProxyJump="alone@gate")


@case(
    "The jump host does not reach the next one", 78, "Correct the name or the port as it is seen from there."
)
def behind_the_jump_host(desk: LabDesk) -> Seen:
    return desk.stage(host="inner", Port="1")


# --- ssh_config


@case("The ssh_config of the site's file is missing", 65, "Correct `login.ssh_config`.")
def config_missing(desk: LabDesk) -> Seen:
    return desk.invoke(*STAGE, site=desk.site("config-nowhere"))


@case("The ssh_config is broken", 65, "Correct the line; `ssh -G HOST` shows how OpenSSH reads it.")
def config_broken(desk: LabDesk) -> Seen:
    return desk.configured("Host gate\n    HostName\n")


@case("The ssh_config asks what Slipway cannot tell", 65, "Give the site an ssh_config of its own.")
def config_beyond(desk: LabDesk) -> Seen:
    return desk.configured("Match exec true localnetwork 10.0.0.0/8\n    User key\n")


@case("ProxyJump leads in a circle", 65, "Correct the hosts on the way.")
def config_circle(desk: LabDesk) -> Seen:
    return desk.configured("Host gate\n    ProxyJump other\nHost other\n    ProxyJump gate\n")


@pytest.mark.parametrize(
    "case",
    [pytest.param(case, id=case.make.__name__) for case in TOPIC.cases],
)
def test_a_mistake(desk: LabDesk, case: Case[LabDesk]) -> None:
    TOPIC.check(desk, case)


def test_the_documentation_has_these_and_no_others() -> None:
    TOPIC.check_order()
