"""A registry of images in a container, with TLS and a password, that this machine and the box reach."""

import io
import ipaddress
import json
import secrets
import socket
import tarfile
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import bcrypt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from slipway.image.build import build_image
from slipway.image.engine import engine
from slipway.image.recipe import Recipe
from slipway.profile import load_profile
from slipway.progress import NullProgress
from tests.integration.inside import run_inside
from tests.integration.proxy import Proxy
from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]
IMAGE = "slipway-test-registry"
USER = "$oauthtoken"  # as at NGC
PORT = 5000
CONFIG = """
version: 0.1
log: {level: error}
storage: {filesystem: {rootdirectory: /var/lib/docker-registry}}
auth: {auth}
http: {addr: ":5000", secret: same-after-a-restart, tls: {certificate: /srv/server.crt, key: /srv/server.key}}
"""
BY_PASSWORD = "{htpasswd: {realm: slipway, path: /srv/htpasswd}}"  # noqa: S105 - none is in it


@dataclass(frozen=True, kw_only=True)
class RegistryContainer:
    """A registry.

    Attributes:
        container: it runs here.
        proxy: this machine's engine goes through it.
        here: HOST:PORT of that; on 127.0.0.1 the engine checks no certificate.
        there: HOST:PORT by which the box reaches it, and this machine too.
        authority: the certificate of who has signed the registry's.
        password: the only user's.
    """

    container: Any
    proxy: Proxy
    here: str
    there: str
    authority: Path
    password: str

    def log_in(self, folder: Path, password: str | None = None) -> Path:
        """Write what `docker login` writes; returns the folder for DOCKER_CONFIG."""
        folder.mkdir(exist_ok=True)
        auth = b64encode(f"{USER}:{password or self.password}".encode()).decode()
        content = {"auths": {host: {"auth": auth} for host in (self.here, self.there)}}
        (folder / "config.json").write_text(json.dumps(content))
        return folder

    def sent_bytes(self) -> int:
        """What has left it, over all of its connections."""
        lines = self.sh("cat /proc/net/dev").splitlines()
        return sum(int(line.split(":")[1].split()[8]) for line in lines if "eth0:" in line)

    def kill(self) -> None:
        """End it as a power failure would."""
        self.sh("rm /srv/up; pkill -9 -x docker-registry")

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self.sh("touch /srv/up")
        name, _, port = self.there.rpartition(":")
        wait_until(lambda: is_open(name, int(port)), self.container.logs)

    def sh(self, script: str) -> str:
        """Run a script where the registry is."""
        done = run_inside(self.container, "sh", "-c", script)
        assert done.exit_code == 0, done.output
        output: str = done.output.decode()
        return output


def is_open(host: str, port: int) -> bool:
    """True where something listens at a port."""
    try:
        socket.create_connection((host, port), timeout=10).close()
    except OSError:
        return False
    return True


@contextmanager
def start_registry(
    folder: Path, auth: str = BY_PASSWORD, more: Mapping[str, bytes] | None = None
) -> Iterator[RegistryContainer]:
    """Build the registry's image if need be, and run it.

    ``auth`` is how it knows its users, as its configuration has it, and ``more`` the files that this names in
    ``/srv``.
    """
    client = engine()
    profile = load_profile(ROOT / "env", "cpu", ())
    dockerfile = ROOT / "tests/integration/registry/Dockerfile"
    recipe = Recipe(name=IMAGE, dockerfile=dockerfile, platform="", build_args=profile.build_args)
    build_image(client, recipe, NullProgress())
    container = client.containers.run(IMAGE, detach=True, ports={f"{PORT}/tcp": ("127.0.0.1", None)})
    try:
        container.reload()
        address = container.attrs["NetworkSettings"]["Networks"]["bridge"]["IPAddress"]
        proxy = Proxy(int(container.ports[f"{PORT}/tcp"][0]["HostPort"]))
        password = secrets.token_urlsafe(16)
        files = {
            "config.yml": CONFIG.replace("{auth}", auth).encode(),
            **(more or {}),
            "htpasswd": f"{USER}:{bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()}\n".encode(),
            **certificates(["127.0.0.1", address]),
        }
        (folder / "authority.crt").write_bytes(files.pop("authority.crt"))
        container.put_archive("/srv", packed(files))
        registry = RegistryContainer(
            container=container,
            proxy=proxy,
            here=f"127.0.0.1:{proxy.port}",
            there=f"{address}:{PORT}",
            authority=folder / "authority.crt",
            password=password,
        )
        registry.start()
        try:
            yield registry
        finally:
            proxy.close()
    finally:
        container.remove(force=True, v=True)


def certificates(addresses: list[str], by: str = "An institute's own authority") -> dict[str, bytes]:
    """A certificate authority's certificate, and a server's certificate and key."""
    authority_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, by)])
    server = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "registry")])
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(one)) for one in addresses])
    own = _certificate(authority, authority, authority_key, authority_key, x509.BasicConstraints(True, 0))
    signed = _certificate(server, authority, key, authority_key, names)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return {"authority.crt": own, "server.crt": signed, "server.key": private}


def packed(files: dict[str, bytes]) -> bytes:
    """A tar archive."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def _certificate(
    subject: x509.Name, issuer: x509.Name, key: Any, signer: Any, extension: x509.ExtensionType
) -> bytes:
    now = datetime.now(timezone.utc)
    builder = x509.CertificateBuilder(subject_name=subject, issuer_name=issuer, public_key=key.public_key())
    builder = builder.serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=2))
    builder = builder.add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
    return builder.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
