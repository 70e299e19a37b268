"""Logging in, to real sshds: each user of theirs is let in another way (sshd/sshd_config)."""

import base64
import hmac
import os
import re
import shutil
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from slipway.base import ensure_base
from slipway.errors import LinkError
from slipway.image import build_image, engine
from slipway.link import Link, connect
from slipway.profile import load_profile
from slipway.progress import Silence
from slipway.recipe import Recipe
from slipway.rsync import Rsync
from slipway.site import Login
from slipway.ssh.target import resolve_target
from slipway.ssh.trust import get_to_know

ROOT = Path(__file__).parents[2]
IMAGE = "slipway-test-files"
PASSWORD = "a pass of words"  # noqa: S105
PASSPHRASE = "a phrase"  # noqa: S105
SECRET = base64.b32encode(b"twenty bytes of them").decode()
TIMEOUT_S = 30


@dataclass
class Person:
    """Answers prompts that match, in order, and remembers what was asked and told."""

    answers: list[tuple[str, str | Callable[[], str]]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)

    def ask(self, prompt: str, *, echo: bool) -> str:
        pattern, answer = self.answers.pop(0)
        assert re.search(pattern, prompt), (pattern, prompt)
        self.asked.append(f"{prompt}{' (echo)' if echo else ''}")
        return answer if isinstance(answer, str) else answer()

    def tell(self, text: str) -> None:
        self.told.append(text)


@dataclass(frozen=True)
class Lab:
    """A host on this machine's port, one behind it and one behind that, and a folder with keys for them."""

    state: Path
    port: int
    containers: dict[str, Any]

    def login(self, user: str, host: str = "gate", **options: str) -> Login:
        """A login with further settings, which count more than those that are for all."""
        options = {"IdentityFile": str(self.state / "id"), **options}
        lines = {key: f"    {key} {value}\n" for key, value in options.items()}
        own = "".join(lines.pop(key, "") for key in ("HostName", "HostKeyAlias", "Port", "ProxyJump"))
        name = f"config-{len(list(self.state.glob('config-*')))}"
        (self.state / name).write_text(
            f"Host {host}\n{own}Host *\n{''.join(lines.values())}Include {self.state}/config\n"
        )
        return Login(host=host, user=user, ssh_config=name)

    def connect(self, user: str, ask: Person | None = None, host: str = "gate", **options: str) -> Link:
        return connect(self.login(user, host, **options), self.state, ask)

    def refusal(self, user: str, ask: Person | None = None, host: str = "gate", **options: str) -> str:
        with pytest.raises(LinkError) as caught:
            self.connect(user, ask, host, **options).close()
        assert caught.value.exit_code == 68
        return str(caught.value)

    def log(self, name: str = "gate") -> str:
        text: bytes = self.containers[name].logs()
        return text.decode()

    def write_known_hosts(self, file: Path, *names: str) -> Path:
        """Write the keys of all hosts, or of some, as they should be known."""
        file.write_text("".join(f"{name} {self.public_key(name)}\n" for name in names or self.containers))
        return file

    def public_key(self, name: str, kind: str = "ed25519") -> str:
        done = self.containers[name].exec_run(["cat", f"/etc/ssh/ssh_host_{kind}_key.pub"])
        text: str = done.output.decode()
        return " ".join(text.split()[:2])


def keygen(path: Path, passphrase: str = "", *options: str) -> str:
    argv = [
        "ssh-keygen",
        "-q",
        "-N",
        passphrase,
        "-f",
        str(path),
        "-C",
        path.name,
        *(options or ["-t", "ed25519"]),
    ]
    subprocess.run(argv, check=True, timeout=TIMEOUT_S)
    return Path(f"{path}.pub").read_text()


def code() -> str:
    """The one-time code of this moment (RFC 6238)."""
    digest = hmac.digest(base64.b32decode(SECRET), struct.pack(">Q", int(time.time()) // 30), "sha1")
    start = digest[-1] & 15
    number: int = struct.unpack(">I", digest[start : start + 4])[0]
    return f"{(number & 0x7FFFFFFF) % 1_000_000:06d}"


def start(client: Any, name: str, keys: dict[str, str], network: Any, **options: Any) -> Any:
    environment = {"PASSWORD": PASSWORD, "SECRET": SECRET, **keys}
    container = client.containers.create(IMAGE, environment=environment, init=True, **options)
    try:
        client.networks.get("bridge").disconnect(container)
        network.connect(container, aliases=[name])
        container.start()
    except BaseException:
        container.remove(force=True, v=True)
        raise
    return container


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    client = engine()
    state = tmp_path_factory.mktemp("state")
    profile = load_profile(ROOT / "env", "cpu")
    ensure_base(client, profile.base_image, profile.debian_mirror, Silence())
    dockerfile = ROOT / "tests" / "integration" / "sshd" / "Dockerfile"
    recipe = Recipe(name=IMAGE, dockerfile=dockerfile, platform="", build_args=profile.build_args)
    build_image(client, recipe, Silence())
    authorized = keygen(state / "id") + keygen(state / "locked", PASSPHRASE)
    authorized += keygen(state / "old", PASSPHRASE, "-t", "rsa", "-m", "PEM")
    keys = {"AUTHORIZED": authorized, "CA": keygen(state / "ca")}
    made: dict[str, Any] = {}
    networks: list[Any] = []
    try:
        networks += [client.networks.create(f"{IMAGE}-{os.getpid()}-{number}") for number in (1, 2)]
        ports = {"22/tcp": ("127.0.0.1", None)}
        made["gate"] = start(client, "gate", keys, networks[0], ports=ports)
        made["inner"] = start(client, "inner", keys, networks[0])
        networks[1].connect(made["inner"], aliases=["inner"])
        made["deep"] = start(client, "deep", keys, networks[1])
        wait_for_all(made)
        made["gate"].reload()
        lab = Lab(state, int(made["gate"].ports["22/tcp"][0]["HostPort"]), made)
        (state / "config").write_text(
            f"Host gate\n    HostName 127.0.0.1\n    Port {lab.port}\n    HostKeyAlias gate\n"
            "Host inner\n    ProxyJump key@gate\nHost deep\n    ProxyJump key@gate,key@inner\n"
            f"Host *\n    UserKnownHostsFile {state}/known_hosts\n    GlobalKnownHostsFile none\n"
            "    IdentitiesOnly yes\n    ConnectTimeout 10\n"
        )
        lab.write_known_hosts(state / "known_hosts")
        yield lab
    finally:
        for container in made.values():
            container.remove(force=True, v=True)
        for network in networks:
            network.remove()
        client.close()


def wait_for_all(containers: dict[str, Any]) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while not all(b"Server listening" in container.logs() for container in containers.values()):
        assert time.monotonic() < deadline, [one.logs() for one in containers.values()]
        time.sleep(0.1)


@pytest.fixture(autouse=True)
def no_agent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """A real ssh-agent; call it with the arguments of ssh-add."""
    path = tmp_path / "agent"
    process = subprocess.Popen(["ssh-agent", "-D", "-a", str(path)], stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + TIMEOUT_S
        while not path.exists():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        monkeypatch.setenv("SSH_AUTH_SOCK", str(path))

        def add(*words: str) -> None:
            environment = {**os.environ, "SSH_ASKPASS_REQUIRE": "force", "SSH_ASKPASS": str(askpass)}
            argv = ["ssh-add", "-q", *words]
            subprocess.run(argv, check=True, timeout=TIMEOUT_S, env=environment, capture_output=True)

        askpass = tmp_path / "askpass"
        askpass.write_text(f"#!/bin/sh\necho '{PASSPHRASE}'\n")
        askpass.chmod(0o700)
        yield add
    finally:
        process.terminate()
        process.wait(timeout=TIMEOUT_S)


def whoami(link: Link) -> str:
    return link.check(["id", "-un"], timeout_s=TIMEOUT_S).stdout.strip()


def test_a_key(lab: Lab) -> None:
    with lab.connect("key") as link:
        assert whoami(link) == "key"


@pytest.mark.parametrize("name", ["locked", "old"])
def test_a_key_with_a_passphrase(lab: Lab, name: str) -> None:
    person = Person([("Passphrase of the key", "wrong"), ("That was not it", PASSPHRASE)])
    with lab.connect("key", person, IdentityFile=str(lab.state / name)) as link:
        assert whoami(link) == "key"
    assert len(person.asked) == 2


def test_the_agents_key(lab: Lab, agent: Callable[..., None]) -> None:
    agent(str(lab.state / "locked"))
    with lab.connect("key", IdentityFile=str(lab.state / "locked")) as link:
        assert whoami(link) == "key"


def test_the_agents_key_where_only_its_public_part_is_here(
    lab: Lab, agent: Callable[..., None], tmp_path: Path
) -> None:
    agent(str(lab.state / "locked"), str(lab.state / "old"))
    shutil.copy(lab.state / "locked.pub", tmp_path / "only.pub")
    with lab.connect("key", IdentityFile=str(tmp_path / "only.pub")) as link:
        assert whoami(link) == "key"
    with lab.connect("key", IdentityFile=str(tmp_path / "only")) as link:
        assert whoami(link) == "key"
    # An RSA key of the agent's, which signs with SHA-2.
    with lab.connect("key", IdentityFile=str(lab.state / "old")) as link:
        assert whoami(link) == "key"


@pytest.mark.parametrize("kind", ["ed25519", "rsa", "ecdsa"])
def test_a_certificate(lab: Lab, agent: Callable[..., None], tmp_path: Path, kind: str) -> None:
    keygen(tmp_path / "mine", "", "-t", kind)
    argv = [
        "ssh-keygen",
        "-q",
        "-s",
        str(lab.state / "ca"),
        "-I",
        "me",
        "-n",
        "cert",
        str(tmp_path / "mine.pub"),
    ]
    subprocess.run(argv, check=True, timeout=TIMEOUT_S)
    with lab.connect("cert", IdentityFile=str(tmp_path / "mine")) as link:
        assert whoami(link) == "cert"
    agent(str(tmp_path / "mine"))  # and its certificate
    with lab.connect("cert", IdentityFile="none", IdentitiesOnly="no") as link:
        assert whoami(link) == "cert"


def test_an_agent_that_refuses(lab: Lab, agent: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISPLAY", "")
    agent("-c", str(lab.state / "id"))  # to be confirmed, where nobody is
    refusal = lab.refusal("key", Person(), IdentityFile="none", IdentitiesOnly="no")
    assert re.search(r"agent: id: the agent refuses to sign with it. Is it locked", refusal)
    path = os.environ["SSH_AUTH_SOCK"]
    refusal = lab.refusal("key", IdentityFile="none", IdentityAgent=f"{path}.gone")
    assert f"the agent at {path}.gone does not answer" in refusal


def test_a_password(lab: Lab) -> None:
    person = Person([("^password@127.0.0.1's password: $", "wrong"), ("password: $", PASSWORD)])
    with lab.connect("password", person) as link:
        assert whoami(link) == "password"
    assert person.told == ["For the members of the test only."]  # the server's banner, once
    person = Person([("password: $", "wrong")] * 3)
    refusal = lab.refusal("password", person)
    assert re.search("hung up|the answers to its prompts were wrong", refusal)


def test_prompts_of_the_servers_own(lab: Lab) -> None:
    person = Person([("Verification code: ", code), ("Password: ", PASSWORD)])
    with lab.connect("both", person) as link:
        assert whoami(link) == "both"
    assert len(person.asked) == 2
    assert not any("(echo)" in prompt for prompt in person.asked)


def test_a_key_and_then_a_code(lab: Lab) -> None:
    person = Person([("Verification code: ", "000000"), ("Verification code: ", code)])
    with lab.connect("two", person) as link:
        assert whoami(link) == "two"
    assert "Partial publickey for two" in lab.log()


def test_where_nobody_can_answer(lab: Lab) -> None:
    for user, prompt in {"two": "Verification code:", "password": "password@127.0.0.1's password:"}.items():
        with pytest.raises(LinkError) as caught:
            connect(lab.login(user), lab.state)
        assert f"the server asks {prompt!r}" in str(caught.value)
        assert "there is no terminal to answer on" in str(caught.value)
    with pytest.raises(LinkError, match="locked needs its passphrase, and there is no terminal to ask on"):
        connect(lab.login("key", IdentityFile=str(lab.state / "locked")), lab.state)


def test_an_expired_password(lab: Lab) -> None:
    with lab.connect("expired", Person([("password: ", PASSWORD)])) as link:
        with pytest.raises(LinkError, match=r"expired.*ssh -p \d+ expired@127.0.0.1"):
            link.run(["true"], timeout_s=TIMEOUT_S)
        with pytest.raises(LinkError, match="expired"):
            link.read(PurePosixPath("/etc/hostname"))
    # Where the server itself asks for a new one, it is just typed.
    new = "quite another 1 of them"
    person = Person([("Password: ", PASSWORD), ("Current", PASSWORD), ("New", new), ("(?i)retype new", new)])
    with lab.connect("renew", person) as link:
        assert whoami(link) == "renew"
    with lab.connect("renew", Person([("Password: ", new)])) as link:
        assert whoami(link) == "renew"


def test_hosts_behind_hosts(lab: Lab) -> None:
    for host in ("inner", "deep"):
        with lab.connect("key", host=host) as link:
            name = link.check(["cat", "/etc/ssh/ssh_host_ed25519_key.pub"], timeout_s=TIMEOUT_S).stdout
            assert name.startswith(lab.public_key(host))
            link.write(PurePosixPath("/tmp/here"), b"x" * 100_000)
            assert link.read(PurePosixPath("/tmp/here")) == b"x" * 100_000


def test_a_host_on_the_way_fails(lab: Lab) -> None:
    known = lab.write_known_hosts(lab.state / "known_some", "gate", "deep")
    refusal = lab.refusal("key", host="deep", UserKnownHostsFile=str(known))
    assert refusal.startswith(
        "jump host 2 of 2 on the way to key@deep:22: key@inner:22: the host's key is not"
    )
    refusal = lab.refusal("key", host="nowhere", ProxyJump="key@gate")
    assert "key@nowhere:22: the jump host before it gets no connection to it" in refusal
    refusal = lab.refusal("key", host="inner", Port="1")
    assert "Connection refused" in refusal
    refusal = lab.refusal("key", host="deep", ProxyJump="nobody@gate")
    assert refusal.startswith("jump host 1 of 1 on the way to key@deep:22: nobody@127.0.0.1")


def test_a_proxy_command(lab: Lab) -> None:
    join = (
        "import socket,sys,threading,os;s=socket.create_connection((sys.argv[1],int(sys.argv[2])));"
        "threading.Thread(target=lambda:[os.write(1,d) for d in iter(lambda:s.recv(65536),b'')]).start();"
        "[s.sendall(d) for d in iter(lambda:os.read(0,65536),b'')];s.shutdown(1)"
    )
    command = f'{sys.executable} -c "{join}" %h %p 2>/dev/null'
    with lab.connect("key", ProxyCommand=command) as link:
        assert whoami(link) == "key"
    assert "through its ProxyCommand `false`" in lab.refusal("key", ProxyCommand="false")


def test_an_unknown_host_and_how_it_is_trusted(lab: Lab, tmp_path: Path) -> None:
    known = tmp_path / "new" / "known_hosts"
    fingerprints = {name: fingerprint(lab, name) for name in lab.containers}
    refusal = lab.refusal("key", UserKnownHostsFile=str(known))
    assert f"is not known yet. It shows ED25519 {fingerprints['gate']}" in refusal
    assert "`invoke ssh.trust SITE`" in refusal
    target = resolve_target(lab.login("key", "deep", UserKnownHostsFile=str(known)), lab.state)
    person = Person([("the site publishes", "no")])
    with pytest.raises(LinkError, match="was not confirmed"):
        get_to_know(target, person)
    assert not known.exists()
    person = Person(
        [("the site publishes", "yes"), ("publishes", fingerprints["inner"]), ("publishes", "yes")]
    )
    lines = get_to_know(target, person)
    assert [line.split()[2] for line in lines] == list(fingerprints.values())
    assert len(known.read_text().splitlines()) == 3
    assert (known.stat().st_mode & 0o777, known.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert all("known already" in line for line in get_to_know(target, Person()))
    with lab.connect("key", host="deep", UserKnownHostsFile=str(known)) as link:
        assert whoami(link) == "key"
    # OpenSSH takes it too.
    argv = ["ssh", "-F", str(lab.state / lab.login("key", UserKnownHostsFile=str(known)).ssh_config)]  # type: ignore[operator]
    argv += ["-o", "StrictHostKeyChecking=yes", "-o", "BatchMode=yes", "key@gate", "id -un"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert done.stdout == "key\n", done.stderr


def test_a_host_key_that_has_changed(lab: Lab, tmp_path: Path) -> None:
    known = tmp_path / "known_hosts"
    other = keygen(tmp_path / "other").rsplit(" ", 1)[0]
    known.write_text(f"# mine\nelsewhere,gate {other}\n")
    shown, stale = fingerprint(lab, "gate"), fingerprint_of(other)
    refusal = lab.refusal("key", UserKnownHostsFile=str(known))
    assert f"Known: ED25519 {stale} ({known}:2). Shown now: ED25519 {shown}" in refusal
    assert "`invoke ssh.trust SITE --replace`" in refusal
    target = resolve_target(lab.login("key", UserKnownHostsFile=str(known)), lab.state)
    with pytest.raises(LinkError, match="is not the one that is known"):
        get_to_know(target, Person(), yes=True)
    before = known.read_text()
    assert before == f"# mine\nelsewhere,gate {other}\n"
    get_to_know(target, Person(), yes=True, replace=True)
    assert known.read_text() == f"# mine\nelsewhere {other}\ngate {lab.public_key('gate')}\n"
    (copy,) = tmp_path.glob("known_hosts.*")
    assert copy.read_text() == before
    with lab.connect("key", UserKnownHostsFile=str(known)) as link:
        assert whoami(link) == "key"


def fingerprint(lab: Lab, name: str) -> str:
    return fingerprint_of(lab.public_key(name))


def fingerprint_of(public_key: str) -> str:
    argv = ["ssh-keygen", "-lf", "-"]
    done = subprocess.run(
        argv, input=public_key, check=True, capture_output=True, text=True, timeout=TIMEOUT_S
    )
    return done.stdout.split()[1]


def test_the_kind_of_key_that_is_known_is_asked_for(lab: Lab, tmp_path: Path) -> None:
    known = tmp_path / "known_hosts"
    known.write_text(f"gate {lab.public_key('gate', 'ecdsa')}\n")
    with lab.connect("key", UserKnownHostsFile=str(known)) as link:
        assert whoami(link) == "key"
    known.write_text(f"@revoked * {lab.public_key('gate')}\ngate {lab.public_key('gate')}\n")
    assert f"is marked as revoked: ED25519 {fingerprint(lab, 'gate')} ({known}:1)" in lab.refusal(
        "key", UserKnownHostsFile=str(known)
    )
    # As `HashKnownHosts yes` writes it.
    known.write_text(f"gate {lab.public_key('gate')}\n")
    subprocess.run(
        ["ssh-keygen", "-q", "-H", "-f", str(known)], check=True, timeout=TIMEOUT_S, capture_output=True
    )
    assert known.read_text().startswith("|1|")
    with lab.connect("key", UserKnownHostsFile=str(known)) as link:
        assert whoami(link) == "key"


def test_wrong_keys_and_too_many_of_them(lab: Lab, agent: Callable[..., None], tmp_path: Path) -> None:
    names = [str(tmp_path / f"wrong{number}") for number in range(4)]
    for name in names:
        keygen(Path(name))
    refusal = lab.refusal("key", IdentityFile=names[0])
    assert f"the login was refused: it refused 1 key ({names[0]})" in refusal
    agent(*names)
    refusal = lab.refusal("key", IdentitiesOnly="no")
    assert "Too many authentication failures" in refusal
    assert "`IdentityFile FILE` and `IdentitiesOnly yes`" in refusal
    with lab.connect("key", IdentitiesOnly="yes") as link:
        assert whoami(link) == "key"


def test_keys_that_cannot_be_used_are_named(lab: Lab, tmp_path: Path) -> None:
    shutil.copy(lab.state / "id", tmp_path / "open")
    (tmp_path / "open").chmod(0o644)
    (tmp_path / "odd").write_text("PuTTY-User-Key-File-3: ssh-ed25519\n")
    (tmp_path / "odd").chmod(0o600)
    refusal = lab.refusal("key", IdentityFile=f"{tmp_path}/open\n    IdentityFile {tmp_path}/odd")
    assert f"open is left out because others may read it: `chmod 600 {tmp_path}/open`" in refusal
    assert f"{tmp_path}/odd is not a private key of OpenSSH's" in refusal


def test_a_server_that_does_not_wait_for_an_answer(lab: Lab) -> None:
    # A second sshd, which waits a second, and up to four more at random.
    sshd = "/usr/sbin/sshd -p 2223 -o Port=2223 -o LoginGraceTime=1"
    assert lab.containers["gate"].exec_run(["sh", "-c", sshd]).exit_code == 0

    def slow() -> str:
        time.sleep(6.5)
        return code()

    way = {"HostName": "127.0.0.1", "Port": "2223", "HostKeyAlias": "gate", "ProxyJump": "key@gate"}
    refusal = lab.refusal("two", Person([("Verification code: ", slow)]), host="late", **way)
    assert "the server hung up during the login" in refusal


def test_all_of_it_is_one_login(lab: Lab, tmp_path: Path) -> None:
    before = lab.log()
    there = PurePosixPath("/tmp/sent")
    (tmp_path / "up").mkdir()
    (tmp_path / "up" / "file").write_bytes(os.urandom(300_000))
    with lab.connect("two", Person([("Verification code: ", code)])) as link:
        link.check(["mkdir", "-p", str(there)], timeout_s=TIMEOUT_S)
        link.write(there / "note", b"hello")
        Rsync(link).send_tree(tmp_path / "up", there)
        assert link.read(there / "note") == b"hello"
        Rsync(link).fetch_tree(there, tmp_path / "down")
        assert sorted(link.list(there)) == ["file", "note"]
    assert (tmp_path / "down" / "file").read_bytes() == (tmp_path / "up" / "file").read_bytes()
    news = lab.log()[len(before) :]
    assert news.count("Connection from") == 1
    assert len(re.findall("Accepted .* for two", news)) == 1


def test_the_task_pins_a_key(lab: Lab, tmp_path: Path) -> None:
    shutil.copy(ROOT / "tasks.py", tmp_path)
    (tmp_path / "cluster").mkdir()
    known = tmp_path / "known_hosts"
    login = lab.login("key", UserKnownHostsFile=str(known))
    config = f"{lab.state}/{login.ssh_config}"
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
            timeout=TIMEOUT_S,
            start_new_session=True,
            check=False,
        )

    done = invoke("lab")
    assert (done.returncode, done.stdout) == (68, "")
    assert f"shows ED25519 {fingerprint(lab, 'gate')}" in done.stderr
    assert "there is no terminal to confirm it on" in done.stderr.replace("\n", " ")
    done = invoke("--site", "lab", "--yes")
    assert done.returncode == 0, done.stderr
    assert f"ED25519 {fingerprint(lab, 'gate')}  kept in {known}" in done.stdout
    assert "known already" in invoke("lab").stdout
