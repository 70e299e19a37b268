"""A server of tokens, as large registries have one: it knows the users, and the registry believes it.

The registry's side of it is Distribution's own. No server of tokens is in Debian or on PyPI.
"""

import base64
import json
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from tests.integration.registry_container import USER, certificates

# Distribution takes a token for so long after its end, in case clocks differ.
LEEWAY_S = 60


@dataclass
class Tokens:
    """The server.

    Attributes:
        password: the only user's.
        identity: what they may show in its place.
        lifetime_s: for how long the registry takes a token.
        may: what a user may do, whatever they ask for.
        garbage: sent in the place of an answer.
        asked: the form or query of each request.
    """

    authority: bytes
    port: int = 0
    password: str = "a password"  # noqa: S105
    identity: str = "an identity"
    lifetime_s: float = 300
    may: tuple[str, ...] = ("pull", "push")
    garbage: bytes = b""
    asked: list[dict[str, str]] = field(default_factory=list)
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    @property
    def realm(self) -> str:
        return f"https://127.0.0.1:{self.port}/token"

    def answer(self, query: dict[str, str], authorization: str) -> tuple[int, bytes]:
        self.asked.append(query)
        basic = base64.b64encode(f"{USER}:{self.password}".encode()).decode()
        if authorization != f"Basic {basic}" and query.get("refresh_token") != self.identity:
            return 401, b'{"errors": [{"code": "UNAUTHORIZED", "message": "wrong password"}]}'
        if self.garbage:
            return 200, self.garbage
        kind, name, actions = query["scope"].split(":")
        allowed = [action for action in actions.split(",") if action in self.may]
        token = self.sign([{"type": kind, "name": name, "actions": allowed}])
        # Of the two names that an answer may have, each way has its own.
        return 200, json.dumps({"access_token" if "refresh_token" in query else "token": token}).encode()

    def sign(self, access: list[dict[str, object]]) -> str:
        now = time.time()
        header = {"typ": "JWT", "alg": "ES256", "x5c": [base64.b64encode(self.certificate()).decode()]}
        claims = {"iss": "slipway", "sub": USER, "aud": "slipway", "jti": str(now), "access": access}
        claims |= {"iat": int(now), "nbf": int(now) - 10}
        claims["exp"] = int(now - LEEWAY_S + self.lifetime_s)
        text = ".".join(_encode(json.dumps(one).encode()) for one in (header, claims))
        r, s = decode_dss_signature(self.key.sign(text.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{text}.{_encode(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"

    def certificate(self) -> bytes:
        return x509.load_pem_x509_certificate(self.authority).public_bytes(serialization.Encoding.DER)


@contextmanager
def token_server(folder: Path) -> Iterator[Tokens]:
    """Such a server on this machine; ``folder`` gets ``tokens.crt``, its authority."""
    files = certificates(["127.0.0.1"], by="Who signs tokens")
    for name in ("server.crt", "server.key"):
        (folder / name).write_bytes(files[name])
    (folder / "tokens.crt").write_bytes(files["authority.crt"])
    key = serialization.load_pem_private_key(files["server.key"], None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    tokens = Tokens(authority=files["server.crt"], key=key)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.reply(urlsplit(self.path).query)

        def do_POST(self) -> None:
            self.reply(self.rfile.read(int(self.headers["Content-Length"])).decode())

        def reply(self, form: str) -> None:
            query = {name: values[0] for name, values in parse_qs(form).items()}
            status, body = tokens.answer(query, self.headers.get("Authorization", ""))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.crt", folder / "server.key")
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        http.socket = context.wrap_socket(http.socket, server_side=True)
        tokens.port = http.server_address[1]
        threading.Thread(target=http.serve_forever, daemon=True).start()
        try:
            yield tokens
        finally:
            http.shutdown()


def _encode(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")
