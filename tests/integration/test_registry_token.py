"""Registries that want tokens, as ghcr.io, Docker Hub and NGC do."""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from slipway.errors import RegistryError, RegistryLoginError, RegistryTrustError
from slipway.registry.call import Calls
from slipway.registry.client import Registry
from slipway.registry.credentials import Credentials
from slipway.registry.reference import parse_reference
from slipway.transfer.protocol import Amount
from tests.integration.tokens import Tokens, token_server
from tests.integration.warehouse import USER, Warehouse, warehouse

IMAGE_ID = f"sha256:{'1' * 64}"
BYTES = 8_000_000


@dataclass
class Desk:
    """A registry, its server of tokens, and a file that is sent as a .sif."""

    house: Warehouse
    tokens: Tokens
    sif: Path
    seen: list[Amount]

    def registry(self, **changes: object) -> Registry:
        known = {"user": USER, "secret": self.tokens.password, **changes}
        return Registry(self.house.here, Credentials(**known))  # type: ignore[arg-type]

    def push(self, tag: str, registry: Registry | None = None) -> tuple[str, int]:
        reference = parse_reference(f"oras://{self.house.here}/me/a:{tag}")
        digest = hashlib.sha256(self.sif.read_bytes()).hexdigest()
        registry = registry or self.registry()
        return registry.push_sif(reference, self.sif, digest, IMAGE_ID, self.seen.append)


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Warehouse, Tokens]]:
    folder = tmp_path_factory.mktemp("tokens")
    with token_server(folder) as tokens:
        auth = f"{{token: {{realm: '{tokens.realm}', service: slipway, issuer: slipway, "
        auth += "rootcertbundle: /srv/issuer.crt}}"
        with warehouse(folder, auth, {"issuer.crt": tokens.authority}) as house:
            bundle = house.authority.read_bytes() + (folder / "tokens.crt").read_bytes()
            house.authority.write_bytes(bundle)
            yield house, tokens


@pytest.fixture
def desk(places: tuple[Warehouse, Tokens], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    house, tokens = places
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(house.authority))
    # Somebody else's password, which requests would send wherever it sees none.
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password mine\n")
    (tmp_path / "netrc").chmod(0o600)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    (tmp_path / "a.sif").write_bytes(os.urandom(BYTES))
    tokens.lifetime_s, tokens.may, tokens.garbage = 300, ("pull", "push"), b""
    tokens.asked.clear()
    return Desk(house, tokens, tmp_path / "a.sif", [])


def test_a_token_that_ends_during_a_long_upload(desk: Desk) -> None:
    desk.tokens.lifetime_s = 2
    with desk.house.proxy.slow(2_000_000):
        digest, sent = desk.push("v1")
    assert sent == BYTES
    assert desk.seen[-1].elapsed_s > desk.tokens.lifetime_s
    assert len(desk.tokens.asked) == 2
    assert {one["scope"] for one in desk.tokens.asked} == {"repository:me/a:pull,push"}
    found = desk.registry().resolve(parse_reference(f"oras://{desk.house.here}/me/a:v1"), "linux/amd64")
    assert (found.digest, found.image_id, found.size_bytes) == (digest, IMAGE_ID, BYTES)
    assert desk.tokens.asked[-1]["scope"] == "repository:me/a:pull"
    assert desk.push("v2") == (digest, 0)


def test_an_identity_token_in_the_place_of_a_password(desk: Desk) -> None:
    registry = desk.registry(user="", secret=desk.tokens.identity, is_identity_token=True)
    assert desk.push("v3", registry)[1] == BYTES
    assert desk.tokens.asked[0]["grant_type"] == "refresh_token"


@pytest.mark.parametrize("wrong", ["password", "right"])
def test_who_may_not_push(desk: Desk, wrong: str) -> None:
    if wrong == "right":
        desk.tokens.may = ("pull",)
    registry = desk.registry(**({"secret": "wrong"} if wrong == "password" else {}))
    with pytest.raises(RegistryLoginError, match=r"refuses this to \$oauthtoken .*docker login"):
        desk.push("v4", registry)
    assert desk.seen == []


def test_a_server_that_gives_no_token(desk: Desk) -> None:
    for garbage in (b"<html>Maintenance</html>", b"[]", b"{}"):
        desk.tokens.garbage = garbage
        with pytest.raises(RegistryError, match="gives no token") as caught:
            desk.push("v5")
        assert caught.value.exit_code == 86


def test_credentials_are_not_sent_without_tls(desk: Desk) -> None:
    calls = Calls(desk.house.here, Credentials(user=USER, secret="s"))  # noqa: S106
    reference = parse_reference(f"{desk.house.here}/me/a:v1")
    with pytest.raises(RegistryTrustError, match=r"without TLS, to http://h\.example/token"):
        calls._fetch_token({"realm": "http://h.example/token"}, reference, push=False)
