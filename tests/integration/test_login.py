"""Logging in, to real sshds: each user of theirs is let in another way (sshd/sshd_config)."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

import pytest

from slipway.api.session import keep_session
from slipway.errors import HostKeyChangedError, HostKeyError, LoginError, SshError
from slipway.host.host import Host, connect
from slipway.model import read_values
from slipway.project import Project
from slipway.scheduler.slurm.site import SlurmSite
from slipway.ssh.target import resolve_target
from slipway.ssh.trust import trust_host_keys
from slipway.transfer.rsync import Rsync
from tests.integration.inside import end_inside
from tests.integration.sshd_containers import (
    PASSPHRASE,
    PASSWORD,
    ROOT,
    Person,
    SshdContainers,
    code,
    keygen,
    open_agent,
    open_sshds,
)
from tests.waiting import PATIENCE_S, wait_until


@pytest.fixture(scope="module")
def sshds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshdContainers]:
    with open_sshds(tmp_path_factory.mktemp("state")) as sshds:
        yield sshds


@pytest.fixture(autouse=True)
def no_agent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """A real ssh-agent; call it with the arguments of ssh-add."""
    with open_agent(tmp_path) as add:
        monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "agent"))
        yield add


def whoami(remote: Host) -> str:
    return remote.check(["id", "-un"], timeout_s=PATIENCE_S).stdout.strip()


def test_a_key(sshds: SshdContainers) -> None:
    with sshds.connect("key") as remote:
        assert whoami(remote) == "key"


@pytest.mark.parametrize("name", ["locked", "old"])
def test_a_key_with_a_passphrase(sshds: SshdContainers, name: str) -> None:
    person = Person([("Passphrase of the key", "wrong"), ("That was not it", PASSPHRASE)])
    with sshds.connect("key", person, IdentityFile=str(sshds.state / name)) as remote:
        assert whoami(remote) == "key"
    assert len(person.asked) == 2


def test_the_agents_key(sshds: SshdContainers, agent: Callable[..., None]) -> None:
    agent(str(sshds.state / "locked"))
    with sshds.connect("key", IdentityFile=str(sshds.state / "locked")) as remote:
        assert whoami(remote) == "key"


def test_the_agents_key_where_only_its_public_part_is_here(
    sshds: SshdContainers, agent: Callable[..., None], tmp_path: Path
) -> None:
    agent(str(sshds.state / "locked"), str(sshds.state / "old"))
    shutil.copy(sshds.state / "locked.pub", tmp_path / "only.pub")
    with sshds.connect("key", IdentityFile=str(tmp_path / "only.pub")) as remote:
        assert whoami(remote) == "key"
    with sshds.connect("key", IdentityFile=str(tmp_path / "only")) as remote:
        assert whoami(remote) == "key"
    # An RSA key of the agent's, which signs with SHA-2.
    with sshds.connect("key", IdentityFile=str(sshds.state / "old")) as remote:
        assert whoami(remote) == "key"


@pytest.mark.parametrize("kind", ["ed25519", "rsa", "ecdsa"])
def test_a_certificate(sshds: SshdContainers, agent: Callable[..., None], tmp_path: Path, kind: str) -> None:
    keygen(tmp_path / "mine", "", "-t", kind)
    argv = [
        "ssh-keygen",
        "-q",
        "-s",
        str(sshds.state / "ca"),
        "-I",
        "me",
        "-n",
        "cert",
        str(tmp_path / "mine.pub"),
    ]
    subprocess.run(argv, check=True, timeout=PATIENCE_S)
    with sshds.connect("cert", IdentityFile=str(tmp_path / "mine")) as remote:
        assert whoami(remote) == "cert"
    agent(str(tmp_path / "mine"))  # and its certificate
    with sshds.connect("cert", IdentityFile="none", IdentitiesOnly="no") as remote:
        assert whoami(remote) == "cert"


def test_an_agent_that_refuses(
    sshds: SshdContainers, agent: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISPLAY", "")
    agent("-c", str(sshds.state / "id"))  # to be confirmed, where nobody is
    refusal = sshds.refusal(81, "key", Person(), IdentityFile="none", IdentitiesOnly="no")
    assert re.search(r"agent: id: the agent refuses to sign with it. Is it locked", refusal)
    path = os.environ["SSH_AUTH_SOCK"]
    refusal = sshds.refusal(81, "key", IdentityFile="none", IdentityAgent=f"{path}.gone")
    assert f"the agent at {path}.gone does not answer" in refusal


def test_a_password(sshds: SshdContainers) -> None:
    person = Person([("^password@127.0.0.1's password: $", "wrong"), ("password: $", PASSWORD)])
    with sshds.connect("password", person) as remote:
        assert whoami(remote) == "password"
    assert person.told == ["For the members of the test only."]  # the server's banner, once
    person = Person([("password: $", "wrong")] * 3)
    refusal = sshds.refusal(81, "password", person)
    assert re.search("hung up|the answers to its prompts were wrong", refusal)


def test_prompts_of_the_servers_own(sshds: SshdContainers) -> None:
    person = Person([("Verification code: ", code), ("Password: ", PASSWORD)])
    with sshds.connect("both", person) as remote:
        assert whoami(remote) == "both"
    assert len(person.asked) == 2
    assert not any("(echo)" in prompt for prompt in person.asked)


def test_a_key_and_then_a_code(sshds: SshdContainers) -> None:
    person = Person([("Verification code: ", "000000"), ("Verification code: ", code)])
    with sshds.connect("two", person) as remote:
        assert whoami(remote) == "two"
    assert "Partial publickey for two" in sshds.log()


def test_where_nobody_can_answer(sshds: SshdContainers) -> None:
    for user, prompt in {
        "two": "(two@127.0.0.1) Verification code:",
        "password": "password@127.0.0.1's password:",
    }.items():
        with pytest.raises(LoginError) as caught:
            connect(sshds.login(user), sshds.state)
        assert f"the server asks {prompt!r}" in str(caught.value)
        assert "there is no terminal to answer on" in str(caught.value)
    with pytest.raises(LoginError, match="locked needs its passphrase, and there is no terminal to ask on"):
        connect(sshds.login("key", IdentityFile=str(sshds.state / "locked")), sshds.state)


def test_a_password_from_python(sshds: SshdContainers) -> None:
    """By a function such as `getpass.getpass`; without one the error says that there may be one."""
    site = read_values(
        SlurmSite, {"name": "gate", "login": sshds.login("password"), "paths": {"scratch": "/tmp"}}
    )
    project = Project(root=sshds.state, state=sshds.state, results=sshds.state)
    asked: list[str] = []
    session = keep_session(project, None, lambda prompt: asked.append(prompt) or PASSWORD)
    for _ in range(2):
        with session.connect(site) as remote:
            assert whoami(remote) == "password"
    session.connections.close()
    assert asked == ["For the members of the test only.\npassword@127.0.0.1's password: "]
    with pytest.raises(LoginError, match=r"the server asks .*\n.*prompt=getpass\.getpass"):
        keep_session(project, None, None).connections.retry(site, whoami)


def test_an_expired_password(sshds: SshdContainers) -> None:
    with sshds.connect("expired", Person([("password: ", PASSWORD)])) as remote:
        with pytest.raises(SshError, match=r"expired.*ssh -p \d+ expired@127.0.0.1"):
            remote.run(["true"], timeout_s=PATIENCE_S)
        with pytest.raises(SshError, match="expired"):
            remote.read(PurePosixPath("/etc/hostname"))
    # Where the server itself asks for a new one, it is just typed.
    new = "quite another 1 of them"
    person = Person([("Password: ", PASSWORD), ("Current", PASSWORD), ("New", new), ("(?i)retype new", new)])
    with sshds.connect("renew", person) as remote:
        assert whoami(remote) == "renew"
    with sshds.connect("renew", Person([("Password: ", new)])) as remote:
        assert whoami(remote) == "renew"


def test_hosts_behind_hosts(sshds: SshdContainers) -> None:
    for host in ("inner", "deep"):
        with sshds.connect("key", host=host) as remote:
            name = remote.check(["cat", "/etc/ssh/ssh_host_ed25519_key.pub"], timeout_s=PATIENCE_S).stdout
            assert name.startswith(sshds.public_key(host))
            remote.write(PurePosixPath("/tmp/here"), b"x" * 100_000)
            assert remote.read(PurePosixPath("/tmp/here")) == b"x" * 100_000


def test_a_host_on_the_way_fails(sshds: SshdContainers) -> None:
    known = sshds.write_known_hosts(sshds.state / "known_some", "gate", "deep")
    refusal = sshds.refusal(79, "key", host="deep", UserKnownHostsFile=str(known))
    assert refusal.startswith(
        "jump host 2 of 2 on the way to key@deep:22: key@inner:22: the host's key is not"
    )
    refusal = sshds.refusal(78, "key", host="nowhere", ProxyJump="key@gate")
    assert f"key@nowhere:22: the jump host key@127.0.0.1:{sshds.port} gets no connection to it (" in refusal
    refusal = sshds.refusal(78, "key", host="inner", Port="1")
    assert "Connection refused" in refusal
    refusal = sshds.refusal(81, "key", host="deep", ProxyJump="nobody@gate")
    assert refusal.startswith("jump host 1 of 1 on the way to key@deep:22: nobody@127.0.0.1")


def test_a_proxy_command(sshds: SshdContainers) -> None:
    join = (
        "import socket,sys,threading,os;s=socket.create_connection((sys.argv[1],int(sys.argv[2])));"
        "threading.Thread(target=lambda:[os.write(1,d) for d in iter(lambda:s.recv(65536),b'')]).start();"
        "[s.sendall(d) for d in iter(lambda:os.read(0,65536),b'')];s.shutdown(1)"
    )
    command = f'{sys.executable} -c "{join}" %h %p 2>/dev/null'
    with sshds.connect("key", ProxyCommand=command) as remote:
        assert whoami(remote) == "key"
    assert "through its ProxyCommand `false`" in sshds.refusal(78, "key", ProxyCommand="false")


def test_an_unknown_host_and_how_it_is_trusted(sshds: SshdContainers, tmp_path: Path) -> None:
    known = tmp_path / "new" / "known_hosts"
    fingerprints = {name: fingerprint(sshds, name) for name in sshds.containers}
    refusal = sshds.refusal(79, "key", UserKnownHostsFile=str(known))
    assert f"is not known yet\n  shown: ED25519 {fingerprints['gate']}\n" in refusal
    assert "`invoke ssh.trust SITE`" in refusal
    target = resolve_target(sshds.login("key", "deep", UserKnownHostsFile=str(known)), sshds.state)
    person = Person([("the site publishes", "no")])
    with pytest.raises(HostKeyError, match="was not confirmed"):
        trust_host_keys(target, person)
    assert not known.exists()
    person = Person(
        [("the site publishes", "yes"), ("publishes", fingerprints["inner"]), ("publishes", "yes")]
    )
    lines = trust_host_keys(target, person)
    assert [line.split()[2] for line in lines] == list(fingerprints.values())
    assert len(known.read_text().splitlines()) == 3
    assert (known.stat().st_mode & 0o777, known.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert all("known already" in line for line in trust_host_keys(target, Person()))
    with sshds.connect("key", host="deep", UserKnownHostsFile=str(known)) as remote:
        assert whoami(remote) == "key"
    # OpenSSH takes it too.
    argv = ["ssh", "-F", str(sshds.state / sshds.login("key", UserKnownHostsFile=str(known)).ssh_config)]  # type: ignore[operator]
    argv += ["-o", "StrictHostKeyChecking=yes", "-o", "BatchMode=yes", "key@gate", "id -un"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert done.stdout == "key\n", done.stderr


def test_a_host_key_that_has_changed(sshds: SshdContainers, tmp_path: Path) -> None:
    known = tmp_path / "known_hosts"
    other = keygen(tmp_path / "other").rsplit(" ", 1)[0]
    known.write_text(f"# mine\nelsewhere,gate {other}\n")
    shown, stale = fingerprint(sshds, "gate"), fingerprint_of(other)
    refusal = sshds.refusal(80, "key", UserKnownHostsFile=str(known))
    assert f"  known: ED25519 {stale} ({known}:2)\n  shown: ED25519 {shown}\n" in refusal
    assert "`invoke ssh.trust SITE --replace`" in refusal
    target = resolve_target(sshds.login("key", UserKnownHostsFile=str(known)), sshds.state)
    with pytest.raises(HostKeyChangedError, match="is not the one that is known"):
        trust_host_keys(target, Person(), yes=True)
    before = known.read_text()
    assert before == f"# mine\nelsewhere,gate {other}\n"
    trust_host_keys(target, Person(), yes=True, replace=True)
    assert known.read_text() == f"# mine\nelsewhere {other}\ngate {sshds.public_key('gate')}\n"
    (copy,) = tmp_path.glob("known_hosts.*")
    assert copy.read_text() == before
    with sshds.connect("key", UserKnownHostsFile=str(known)) as remote:
        assert whoami(remote) == "key"


def fingerprint(sshds: SshdContainers, name: str) -> str:
    return fingerprint_of(sshds.public_key(name))


def fingerprint_of(public_key: str) -> str:
    argv = ["ssh-keygen", "-lf", "-"]
    done = subprocess.run(
        argv, input=public_key, check=True, capture_output=True, text=True, timeout=PATIENCE_S
    )
    return done.stdout.split()[1]


def test_the_kind_of_key_that_is_known_is_asked_for(sshds: SshdContainers, tmp_path: Path) -> None:
    known = tmp_path / "known_hosts"
    known.write_text(f"gate {sshds.public_key('gate', 'ecdsa')}\n")
    with sshds.connect("key", UserKnownHostsFile=str(known)) as remote:
        assert whoami(remote) == "key"
    known.write_text(f"@revoked * {sshds.public_key('gate')}\ngate {sshds.public_key('gate')}\n")
    assert (
        f"is marked as revoked\n  known: ED25519 {fingerprint(sshds, 'gate')} ({known}:1)\n"
        in sshds.refusal(80, "key", UserKnownHostsFile=str(known))
    )
    # As `HashKnownHosts yes` writes it.
    known.write_text(f"gate {sshds.public_key('gate')}\n")
    subprocess.run(
        ["ssh-keygen", "-q", "-H", "-f", str(known)], check=True, timeout=PATIENCE_S, capture_output=True
    )
    assert known.read_text().startswith("|1|")
    with sshds.connect("key", UserKnownHostsFile=str(known)) as remote:
        assert whoami(remote) == "key"


def test_wrong_keys_and_too_many_of_them(
    sshds: SshdContainers, agent: Callable[..., None], tmp_path: Path
) -> None:
    names = [str(tmp_path / f"wrong{number}") for number in range(8)]
    for name in names:
        keygen(Path(name))
    refusal = sshds.refusal(81, "key", IdentityFile=names[0])
    assert (
        f"the login was refused. The server takes publickey; it refused 1 key ({names[0]}). Check the user"
        in refusal
    )
    agent(*names)
    refusal = sshds.refusal(81, "key", IdentitiesOnly="no")
    assert "too many keys were offered: the server refused 3 keys (agent: wrong0, agent: wrong1, " in refusal
    assert "The agent holds 8, and servers take only a few" in refusal
    assert "`IdentityFile FILE`; `IdentitiesOnly yes`" in refusal
    with sshds.connect("key", IdentitiesOnly="yes") as remote:
        assert whoami(remote) == "key"


def test_keys_that_cannot_be_used_are_named(sshds: SshdContainers, tmp_path: Path) -> None:
    shutil.copy(sshds.state / "id", tmp_path / "open")
    (tmp_path / "open").chmod(0o644)
    (tmp_path / "odd").write_text("PuTTY-User-Key-File-3: ssh-ed25519\n")
    (tmp_path / "odd").chmod(0o600)
    refusal = sshds.refusal(81, "key", IdentityFile=f"{tmp_path}/open\n    IdentityFile {tmp_path}/odd")
    assert f"open is left out because others may read it: `chmod 600 {tmp_path}/open`" in refusal
    assert f"{tmp_path}/odd is not a private key of OpenSSH's" in refusal


def test_a_server_that_does_not_wait_for_an_answer(sshds: SshdContainers) -> None:
    # A second sshd, which waits four seconds, and up to four more at random.
    log = "/tmp/late.log"
    options = ("Port=2223", "LoginGraceTime=4", "PidFile=/run/late.pid")
    words = [word for option in options for word in ("-o", option)]
    assert end_inside(sshds.containers["gate"], "/usr/sbin/sshd", "-E", log, *words) == 0
    wait_until(lambda: end_inside(sshds.containers["gate"], "test", "-e", "/run/late.pid") == 0, "sshd")

    def slow() -> str:
        over = ["grep", "-q", "Timeout before authentication", log]
        wait_until(lambda: end_inside(sshds.containers["gate"], *over) == 0, "the end of its patience")
        return code()

    way = {"HostName": "127.0.0.1", "Port": "2223", "HostKeyAlias": "gate", "ProxyJump": "key@gate"}
    refusal = sshds.refusal(82, "two", Person([("Verification code: ", slow)]), host="late", **way)
    assert "the server hung up during the login" in refusal


def test_all_of_it_is_one_login(sshds: SshdContainers, tmp_path: Path) -> None:
    before = sshds.log()
    there = PurePosixPath("/tmp/sent")
    (tmp_path / "up").mkdir()
    (tmp_path / "up" / "file").write_bytes(os.urandom(300_000))
    with sshds.connect("two", Person([("Verification code: ", code)])) as remote:
        remote.check(["mkdir", "-p", str(there)], timeout_s=PATIENCE_S)
        remote.write(there / "note", b"hello")
        Rsync(remote).send_tree(tmp_path / "up", there)
        assert remote.read(there / "note") == b"hello"
        Rsync(remote).fetch_tree(there, tmp_path / "down")
        assert sorted(remote.list(there)) == ["file", "note"]
    assert (tmp_path / "down" / "file").read_bytes() == (tmp_path / "up" / "file").read_bytes()
    news = sshds.log()[len(before) :]
    assert news.count("Connection from") == 1
    assert len(re.findall("Accepted .* for two", news)) == 1


def test_the_task_pins_a_key(sshds: SshdContainers, tmp_path: Path) -> None:
    shutil.copy(ROOT / "tasks.py", tmp_path)
    for name in ("cluster", "env"):
        (tmp_path / name).mkdir()
    (tmp_path / "env" / ".env.base").touch()
    known = tmp_path / "known_hosts"
    login = sshds.login("key", UserKnownHostsFile=str(known))
    config = f"{sshds.state}/{login.ssh_config}"
    site = f"login: {{host: gate, user: key, ssh_config: {config}}}\npaths: {{scratch: /s}}\n"
    (tmp_path / "cluster" / "lab.yaml").write_text(site)

    def invoke(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "invoke", "ssh.trust", *words],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            start_new_session=True,
            check=False,
        )

    done = invoke("lab")
    assert (done.returncode, done.stdout) == (79, "")
    assert f"  shown: ED25519 {fingerprint(sshds, 'gate')}" in done.stderr
    assert "there is no terminal to confirm the host's key on" in done.stderr.replace("\n", " ")
    done = invoke("--site", "lab", "--yes")
    assert done.returncode == 0, done.stderr
    assert f"ED25519 {fingerprint(sshds, 'gate')}  kept in {known}" in done.stdout
    assert "known already" in invoke("lab").stdout
