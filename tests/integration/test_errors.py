"""Mistakes on the way to a cluster, as users make them: real tasks, and real sshds."""

import os
import re
import shutil
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.integration.error_checkout import Answer, Case, Seen, Topic, UserCheckout, make_checkout
from tests.integration.sshd_containers import (
    PASSWORD,
    SPARE,
    SshdContainers,
    keygen,
    open_agent,
    open_sshds,
)
from tests.waiting import PATIENCE_S

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
class SshdCheckout(UserCheckout):
    """A checkout with one site, one of the sshd containers."""

    sshds: SshdContainers

    def stage(
        self, user: str = "key", host: str = "gate", answers: Sequence[Answer] = (), **options: str
    ) -> Seen:
        """Run `invoke stage` for a site whose ssh_config has these options."""
        config = str(self.sshds.login(user, host, **options).ssh_config)
        return self.invoke(*STAGE, site=self.site(config, user, host), answers=answers)

    def configured(self, text: str) -> Seen:
        """Run `invoke stage` for a site whose ssh_config is this text."""
        file = self.sshds.state / "config-own"
        file.write_text(text)
        return self.invoke(*STAGE, site=self.site(file.name))

    def site(self, config: str, user: str = "key", host: str = "gate") -> str:
        """The text of a site's file."""
        return (
            f"login: {{host: {host}, user: {user}, ssh_config: {self.sshds.state}/{config}}}\n"
            "paths: {scratch: /home/key}\n"
        )


TOPIC = Topic[SshdCheckout]("connection")
case = TOPIC.case


@pytest.fixture(scope="module")
def sshds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshdContainers]:
    with open_sshds(tmp_path_factory.mktemp("lab")) as sshds:
        yield sshds


@pytest.fixture
def checkout(sshds: SshdContainers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SshdCheckout:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    make_checkout(tmp_path)
    hidden = {
        re.escape(str(sshds.state)): "~/.ssh",
        re.escape(str(tmp_path)): "~/slipway",
        r"/config-\w+": "/config",
        rf"\b{sshds.port}\b": "PORT",
        r"127\.0\.0\.1": "HOST",
        r"within \d+ s": "within N s",
        r"\b(key|nobody|password|two|expired|ended|alone)@": "USER@",
        r"@\d+\.\d+\.\d+\.\d+": "@HOST",
        r"(HOST:|HOST port |port |-p )\d+": r"\1PORT",
        r"SHA256:[\w+/]{43}": "SHA256:…",
    }
    return SshdCheckout(folder=tmp_path, state=tmp_path / "state", hidden=hidden, sshds=sshds)


# --- Getting there


@case(
    "The host's name is wrong, or this machine is offline",
    77,
    "Correct the name; connect to the network or the VPN.",
    **{r"found \([^)]+\)": "found (WHY)"},
)
def no_such_name(checkout: SshdCheckout) -> Seen:
    return checkout.stage(HostName="no-such-host.invalid")


@case(
    "The host is down, or a firewall drops what is sent",
    78,
    "Connect to the VPN; ask whether the host is up.",
)
def no_answer(checkout: SshdCheckout) -> Seen:
    # Where its queue is full, Linux drops what asks for a connection, as a firewall does.
    with closing(socket.create_server(("127.0.0.1", 0), backlog=0)) as full:
        address = full.getsockname()
        waiting = [socket.socket() for _ in range(2)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(address)
        try:
            return checkout.stage(Port=str(address[1]), ConnectTimeout="2")
        finally:
            for one in waiting:
                one.close()


@case("There is no way to the host's network", 78, "Connect to the network or the VPN.")
def no_route(checkout: SshdCheckout) -> Seen:
    # An address of the containers' network that no container has.
    networks = checkout.sshds.containers["gate"].attrs["NetworkSettings"]["Networks"]
    (gateway,) = (network["Gateway"] for network in networks.values())
    return checkout.stage(HostName=f"{gateway.rsplit('.', 1)[0]}.250", Port="22")


@case("The port is wrong, or no sshd runs", 78, "Correct the port.")
def port_closed(checkout: SshdCheckout) -> Seen:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    return checkout.stage(Port=str(port))


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
                end.wait(PATIENCE_S)

    thread = threading.Thread(target=answer)
    thread.start()
    try:
        yield str(listener.getsockname()[1])
    finally:
        end.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(PATIENCE_S)


@case("Another kind of server is at the port", 78, "Correct the port.")
def another_server(checkout: SshdCheckout) -> Seen:
    with served(b"HTTP/1.1 400 Bad Request\r\n\r\n" + b"a line\r\n" * 200) as port:
        return checkout.stage(Port=port)


@case("Something is at the port, and says nothing", 78, "Correct the port; connect to the VPN.")
def silence(checkout: SshdCheckout) -> Seen:
    with served(b"") as port:
        return checkout.stage(Port=port, ConnectTimeout="2")


@case("The host keeps this address out after failed logins", 78, "Wait, and then log in with the right key.")
def kept_out(checkout: SshdCheckout) -> Seen:
    port = str(checkout.sshds.serve(SPARE[0], "PerSourcePenalties=authfail:60s min:1s"))
    assert checkout.stage("nobody", Port=port).returncode == 81
    return checkout.stage(Port=port)


@case(
    "Both sides have no algorithm in common",
    68,
    "Only the site can change that, or a newer paramiko.",
    **{r"common \(.+\)\.": "common (WHY)."},
)
def no_algorithm(checkout: SshdCheckout) -> Seen:
    return checkout.stage(Port=str(checkout.sshds.serve(SPARE[1], "Ciphers=chacha20-poly1305@openssh.com")))


@case("The ProxyCommand ends at once", 78, "Try the command in a shell.")
def proxy_command_fails(checkout: SshdCheckout) -> Seen:
    return checkout.stage(ProxyCommand="false %h %p")


# --- The host's key


@case("The host's key is not known yet", 79, "Compare the fingerprint, then `invoke ssh.trust SITE`.")
def unknown_key(checkout: SshdCheckout) -> Seen:
    return checkout.stage(UserKnownHostsFile=str(checkout.sshds.state / "known_new"))


@case("`invoke ssh.trust` where nobody can confirm", 79, "Run it in a terminal, or compare and add `--yes`.")
def nobody_confirms(checkout: SshdCheckout) -> Seen:
    login = checkout.sshds.login("key", UserKnownHostsFile=str(checkout.sshds.state / "known_new"))
    return checkout.invoke("ssh.trust", site=checkout.site(f"{login.ssh_config}"))


@case(
    "The host's key has changed",
    80,
    "Ask the site's administrators for the fingerprint; if it is right, `invoke ssh.trust SITE --replace`.",
)
def changed_key(checkout: SshdCheckout) -> Seen:
    known = checkout.sshds.state / "known_hosts_old"
    known.write_text(f"gate {checkout.sshds.public_key('inner')}\n")
    return checkout.stage(UserKnownHostsFile=str(known))


@case("The host's key is revoked", 80, "Do not go on; ask the site's administrators.")
def revoked_key(checkout: SshdCheckout) -> Seen:
    known = checkout.sshds.state / "known_hosts_revoked"
    known.write_text(f"@revoked * {checkout.sshds.public_key('gate')}\n")
    return checkout.stage(UserKnownHostsFile=str(known))


# --- The login


@case("The user's name is wrong", 81, "Correct `login.user` in the site's file.")
def wrong_user(checkout: SshdCheckout) -> Seen:
    return checkout.stage("nobody")


@case("The key is not the right one", 81, "Name the right key, or register this one with the site.")
def wrong_key(checkout: SshdCheckout) -> Seen:
    if not (checkout.sshds.state / "wrong").exists():
        keygen(checkout.sshds.state / "wrong")
    return checkout.stage(IdentityFile=str(checkout.sshds.state / "wrong"))


@case("There is no key here", 81, "Make one (`ssh-keygen`) and register it, or name the one you have.")
def no_key(checkout: SshdCheckout) -> Seen:
    return checkout.stage(IdentityFile="none")


@case("Others may read the key's file", 81, "`chmod 600` it.")
def open_key(checkout: SshdCheckout) -> Seen:
    shutil.copy(checkout.sshds.state / "id", checkout.sshds.state / "open")
    (checkout.sshds.state / "open").chmod(0o644)
    return checkout.stage(IdentityFile=str(checkout.sshds.state / "open"))


@case("The agent offers more keys than the server takes", 81, "`IdentityFile` and `IdentitiesOnly yes`.")
def too_many_keys(checkout: SshdCheckout) -> Seen:
    keys = [checkout.sshds.state / f"other{number}" for number in range(1, 9)]
    for key in keys:
        keygen(key)
    with open_agent(checkout.sshds.state) as add:
        add(*map(str, keys))
        checkout.environment["SSH_AUTH_SOCK"] = str(checkout.sshds.state / "agent")
        return checkout.stage(IdentitiesOnly="no")


@case(
    "The key has a passphrase, and there is no terminal",
    81,
    "Give the key to the agent (`ssh-add`), or run this in a terminal.",
)
def passphrase_without_terminal(checkout: SshdCheckout) -> Seen:
    return checkout.stage(IdentityFile=str(checkout.sshds.state / "locked"))


@case("A password is needed, and there is no terminal", 81, "Run this in a terminal, or use a key.")
def password_without_terminal(checkout: SshdCheckout) -> Seen:
    return checkout.stage("password")


@case("The password is wrong", 81, "Try again; sites may lock an account after some failures.")
def wrong_password(checkout: SshdCheckout) -> Seen:
    return checkout.stage("password", answers=["wrong"] * 3, IdentityFile="none")


@case("The second factor is wrong", 81, "Try again, with the next code; check this machine's clock.")
def wrong_code(checkout: SshdCheckout) -> Seen:
    return checkout.stage("two", answers=["000000"] * 3)


@case("The password has expired", 81, "Change it with ssh.")
def expired_password(checkout: SshdCheckout) -> Seen:
    return checkout.stage("expired", answers=[PASSWORD])


@case("The account has expired", 81, "Ask the site's administrators.")
def expired_account(checkout: SshdCheckout) -> Seen:
    return checkout.stage("ended")


@case(
    "The connection is cut while a password is typed",
    82,
    "Give the same command again.",
    **{r"\(\[Errno[^)]+\)|\(without a word\)": "(WHY)"},
)
def cut_at_the_prompt(checkout: SshdCheckout) -> Seen:
    script, pid = checkout.sshds.state / "join.py", checkout.sshds.state / "join.pid"
    script.write_text(JOIN)

    def cut() -> str:
        os.kill(int(pid.read_text()), signal.SIGKILL)
        return PASSWORD

    return checkout.stage("password", answers=[cut], ProxyCommand=f"{sys.executable} {script} %h %p {pid}")


# --- Jump hosts


@case("The jump host is down", 78, "As for any host; the number says which.")
def jump_host_down(checkout: SshdCheckout) -> Seen:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    return checkout.stage(host="inner", ProxyJump=f"key@127.0.0.1:{port}")


@case(
    "The jump host's key is not known", 79, "`invoke ssh.trust SITE` shows the keys of all hosts on the way."
)
def jump_host_unknown(checkout: SshdCheckout) -> Seen:
    known = checkout.sshds.write_known_hosts(checkout.sshds.state / "known_inner", "inner")
    return checkout.stage(host="inner", UserKnownHostsFile=str(known))


@case("The jump host refuses the login", 81, "Correct the user or the key for that host.")
def jump_host_refuses(checkout: SshdCheckout) -> Seen:
    return checkout.stage(host="inner", ProxyJump="nobody@gate")


@case("The jump host passes nothing on", 68, "Ask the site which host is meant for that.")
def jump_host_passes_nothing_on(checkout: SshdCheckout) -> Seen:
    return checkout.stage(host="inner", ProxyJump="alone@gate")


@case(
    "The jump host does not reach the next one", 78, "Correct the name or the port as it is seen from there."
)
def behind_the_jump_host(checkout: SshdCheckout) -> Seen:
    return checkout.stage(host="inner", Port="1")


# --- ssh_config


@case("The ssh_config of the site's file is missing", 65, "Correct `login.ssh_config`.")
def config_missing(checkout: SshdCheckout) -> Seen:
    return checkout.invoke(*STAGE, site=checkout.site("config-nowhere"))


@case("The ssh_config is broken", 65, "Correct the line; `ssh -G HOST` shows how OpenSSH reads it.")
def config_broken(checkout: SshdCheckout) -> Seen:
    return checkout.configured("Host gate\n    HostName\n")


@case("The ssh_config asks what Slipway cannot tell", 65, "Give the site an ssh_config of its own.")
def config_beyond(checkout: SshdCheckout) -> Seen:
    return checkout.configured("Match exec true localnetwork 10.0.0.0/8\n    User key\n")


@case("ProxyJump leads in a circle", 65, "Correct the hosts on the way.")
def config_circle(checkout: SshdCheckout) -> Seen:
    return checkout.configured("Host gate\n    ProxyJump other\nHost other\n    ProxyJump gate\n")


@case(
    "Others can get at the folder where kept logins are",
    66,
    "Do what the message says; [login.md](login.md#who-can-use-it) has where the folder is.",
    **{r"/\S+/slipway\b": "/run/user/UID/slipway"},
)
def open_folder(checkout: SshdCheckout) -> Seen:
    with tempfile.TemporaryDirectory(dir="/tmp") as runtime:
        Path(runtime, "slipway").mkdir(mode=0o700)
        Path(runtime, "slipway").chmod(0o755)
        checkout.environment["XDG_RUNTIME_DIR"] = runtime
        return checkout.stage()


@pytest.mark.parametrize(
    "case",
    [pytest.param(case, id=case.make.__name__) for case in TOPIC.cases],
)
def test_a_mistake(checkout: SshdCheckout, case: Case[SshdCheckout]) -> None:
    TOPIC.check(checkout, case)


def test_the_documentation_has_these_and_no_others() -> None:
    TOPIC.check_order()
