"""Real sshds to log in to, one behind the other; each of their users is let in another way."""

import base64
import hmac
import os
import re
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from slipway.errors import SshError
from slipway.host.host import Host, connect
from slipway.image.base import ensure_base
from slipway.image.build import build_image
from slipway.image.engine import engine
from slipway.image.recipe import Recipe
from slipway.profile import load_profile
from slipway.progress import NullProgress
from slipway.site import Login
from tests.integration.inside import end_inside, run_inside
from tests.waiting import PATIENCE_S, wait_until

ROOT = Path(__file__).parents[2]
IMAGE = "slipway-test-sshd"
PASSWORD = "a pass of words"  # noqa: S105
PASSPHRASE = "a phrase"  # noqa: S105
SECRET = base64.b32encode(b"twenty bytes of them").decode()
SPARE = (2231, 2232)  # ports of the first host, for sshds that a test sets up


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
class SshdContainers:
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

    def connect(self, user: str, ask: Person | None = None, host: str = "gate", **options: str) -> Host:
        return connect(self.login(user, host, **options), self.state, ask)

    def refusal(
        self, code: int, user: str, ask: Person | None = None, host: str = "gate", **options: str
    ) -> str:
        """What is said where there is no way in; ``code`` is the exit code that goes with it."""
        with pytest.raises(SshError) as caught:
            self.connect(user, ask, host, **options).close()
        assert caught.value.exit_code == code, caught.value
        return str(caught.value)

    def serve(self, port: int, *options: str) -> int:
        """Start another sshd on the first host.

        Args:
            port: one of ``SPARE``.
            options: settings that count more than those of the others, as ``-o`` takes them.

        Returns:
            The port of this machine that leads to it.
        """
        gate, started = self.containers["gate"], f"/run/sshd-{port}.pid"
        argv = ["/usr/sbin/sshd", "-p", str(port), "-o", f"PidFile={started}"]
        argv += [word for option in options for word in ("-o", option)]
        done = run_inside(gate, *argv)
        assert done.exit_code == 0, done.output
        # It listens a little after the command has ended.
        wait_until(lambda: end_inside(gate, "test", "-e", started) == 0, started)
        return published(self.containers["gate"], port)

    def log(self, name: str = "gate") -> str:
        text: bytes = self.containers[name].logs()
        return text.decode()

    def write_known_hosts(self, file: Path, *names: str) -> Path:
        """Write the keys of all hosts, or of some, as they should be known."""
        file.write_text("".join(f"{name} {self.public_key(name)}\n" for name in names or self.containers))
        return file

    def public_key(self, name: str, kind: str = "ed25519") -> str:
        done = run_inside(self.containers[name], "cat", f"/etc/ssh/ssh_host_{kind}_key.pub")
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
    subprocess.run(argv, check=True, timeout=PATIENCE_S)
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


def published(container: Any, port: int) -> int:
    """The port of this machine that leads to a container's."""
    return int(container.ports[f"{port}/tcp"][0]["HostPort"])


def wait_for_all(containers: dict[str, Any]) -> None:
    wait_until(
        lambda: all(b"Server listening" in container.logs() for container in containers.values()),
        lambda: [one.logs() for one in containers.values()],
    )


@contextmanager
def open_sshds(state: Path) -> Iterator[SshdContainers]:
    """The hosts, for as long as they are wanted.

    Args:
        state: an empty folder for keys and ssh_config files.
    """
    client = engine()
    profile = load_profile(ROOT / "env", "cpu")
    ensure_base(client, profile.base_image, profile.debian_mirror, NullProgress())
    dockerfile = ROOT / "tests" / "integration" / "sshd" / "Dockerfile"
    recipe = Recipe(name=IMAGE, dockerfile=dockerfile, platform="", build_args=profile.build_args)
    build_image(client, recipe, NullProgress())
    authorized = keygen(state / "id") + keygen(state / "locked", PASSPHRASE)
    authorized += keygen(state / "old", PASSPHRASE, "-t", "rsa", "-m", "PEM")
    keys = {"AUTHORIZED": authorized, "CA": keygen(state / "ca")}
    made: dict[str, Any] = {}
    networks: list[Any] = []
    try:
        networks += [client.networks.create(f"{IMAGE}-{os.getpid()}-{number}") for number in (1, 2)]
        ports = {f"{port}/tcp": ("127.0.0.1", None) for port in (22, *SPARE)}
        made["gate"] = start(client, "gate", keys, networks[0], ports=ports)
        made["inner"] = start(client, "inner", keys, networks[0])
        networks[1].connect(made["inner"], aliases=["inner"])
        made["deep"] = start(client, "deep", keys, networks[1])
        wait_for_all(made)
        made["gate"].reload()
        sshds = SshdContainers(state, published(made["gate"], 22), made)
        (state / "config").write_text(
            f"Host gate\n    HostName 127.0.0.1\n    Port {sshds.port}\n    HostKeyAlias gate\n"
            "Host inner\n    ProxyJump key@gate\nHost deep\n    ProxyJump key@gate,key@inner\n"
            f"Host *\n    UserKnownHostsFile {state}/known_hosts\n    GlobalKnownHostsFile none\n"
            "    IdentitiesOnly yes\n    ConnectTimeout 60\n"
        )
        sshds.write_known_hosts(state / "known_hosts")
        yield sshds
    finally:
        for container in made.values():
            container.remove(force=True, v=True)
        for network in networks:
            network.remove()
        client.close()


@contextmanager
def open_agent(folder: Path) -> Iterator[Callable[..., None]]:
    """A real ssh-agent at ``agent`` in a folder; call it with the arguments of ssh-add."""
    path = folder / "agent"
    process = subprocess.Popen(["ssh-agent", "-D", "-a", str(path)], stdout=subprocess.DEVNULL)
    try:
        wait_until(path.exists, "ssh-agent's socket")

        def add(*words: str) -> None:
            own = {"SSH_AUTH_SOCK": str(path), "SSH_ASKPASS_REQUIRE": "force", "SSH_ASKPASS": str(askpass)}
            argv = ["ssh-add", "-q", *words]
            subprocess.run(
                argv, check=True, timeout=PATIENCE_S, env={**os.environ, **own}, capture_output=True
            )

        askpass = folder / "askpass"
        askpass.write_text(f"#!/bin/sh\necho '{PASSPHRASE}'\n")
        askpass.chmod(0o700)
        yield add
    finally:
        process.terminate()
        process.wait(timeout=PATIENCE_S)
