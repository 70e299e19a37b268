"""Registries that want tokens, as ghcr.io, Docker Hub and NGC do."""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from slipway.errors import RegistryError, RegistryLoginError, RegistryTrustError
from slipway.progress import Amount
from slipway.registry.call import Calls
from slipway.registry.client import Registry
from slipway.registry.credentials import Credentials
from slipway.registry.reference import parse_reference
from tests.integration.registry_container import USER, RegistryContainer, start_registry
from tests.integration.tokens import Tokens, token_server

IMAGE_ID = f"sha256:{'1' * 64}"
BYTES = 8_000_000


@dataclass
class UserCheckout:
    """A registry, its server of tokens, and a file that is sent as a .sif."""

    container: RegistryContainer
    tokens: Tokens
    sif: Path
    seen: list[Amount]

    def registry(self, **changes: object) -> Registry:
        known = {"user": USER, "secret": self.tokens.password, **changes}
        return Registry(self.container.here, Credentials(**known))  # type: ignore[arg-type]

    def push(self, tag: str, registry: Registry | None = None) -> tuple[str, int]:
        reference = parse_reference(f"oras://{self.container.here}/me/a:{tag}")
        digest = hashlib.sha256(self.sif.read_bytes()).hexdigest()
        registry = registry or self.registry()
        return registry.push_sif(reference, self.sif, digest, IMAGE_ID, self.seen.append)


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RegistryContainer, Tokens]]:
    folder = tmp_path_factory.mktemp("tokens")
    with token_server(folder) as tokens:
        auth = f"{{token: {{realm: '{tokens.realm}', service: slipway, issuer: slipway, "
        auth += "rootcertbundle: /srv/issuer.crt}}"
        with start_registry(folder, auth, {"issuer.crt": tokens.authority}) as container:
            bundle = container.authority.read_bytes() + (folder / "tokens.crt").read_bytes()
            container.authority.write_bytes(bundle)
            yield container, tokens


@pytest.fixture
def checkout(
    places: tuple[RegistryContainer, Tokens], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> UserCheckout:
    container, tokens = places
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(container.authority))
    # Somebody else's password, which requests would send wherever it sees none.
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password mine\n")
    (tmp_path / "netrc").chmod(0o600)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    (tmp_path / "a.sif").write_bytes(os.urandom(BYTES))
    tokens.lifetime_s, tokens.may, tokens.garbage = 300, ("pull", "push"), b""
    tokens.asked.clear()
    return UserCheckout(container, tokens, tmp_path / "a.sif", [])


def test_a_token_that_ends_during_a_long_upload(checkout: UserCheckout) -> None:
    checkout.tokens.lifetime_s = 2
    with checkout.container.proxy.slow(2_000_000):
        digest, sent = checkout.push("v1")
    assert sent == BYTES
    assert checkout.seen[-1].elapsed_s > checkout.tokens.lifetime_s
    assert len(checkout.tokens.asked) == 2
    assert {one["scope"] for one in checkout.tokens.asked} == {"repository:me/a:pull,push"}
    found = checkout.registry().resolve(
        parse_reference(f"oras://{checkout.container.here}/me/a:v1"), "linux/amd64"
    )
    assert (found.digest, found.image_id, found.size_bytes) == (digest, IMAGE_ID, BYTES)
    assert checkout.tokens.asked[-1]["scope"] == "repository:me/a:pull"
    assert checkout.push("v2") == (digest, 0)


def test_an_identity_token_in_the_place_of_a_password(checkout: UserCheckout) -> None:
    registry = checkout.registry(user="", secret=checkout.tokens.identity, is_identity_token=True)
    assert checkout.push("v3", registry)[1] == BYTES
    assert checkout.tokens.asked[0]["grant_type"] == "refresh_token"


@pytest.mark.parametrize("wrong", ["password", "right"])
def test_who_may_not_push(checkout: UserCheckout, wrong: str) -> None:
    if wrong == "right":
        checkout.tokens.may = ("pull",)
    registry = checkout.registry(**({"secret": "wrong"} if wrong == "password" else {}))
    with pytest.raises(RegistryLoginError, match=r"refuses this to \$oauthtoken .*docker login"):
        checkout.push("v4", registry)
    assert checkout.seen == []


def test_a_server_that_gives_no_token(checkout: UserCheckout) -> None:
    for garbage in (b"<html>Maintenance</html>", b"[]", b"{}"):
        checkout.tokens.garbage = garbage
        with pytest.raises(RegistryError, match="gives no token") as caught:
            checkout.push("v5")
        assert caught.value.exit_code == 86


def test_credentials_are_not_sent_without_tls(checkout: UserCheckout) -> None:
    calls = Calls(checkout.container.here, Credentials(user=USER, secret="s"))  # noqa: S106
    reference = parse_reference(f"{checkout.container.here}/me/a:v1")
    with pytest.raises(RegistryTrustError, match=r"without TLS, to http://h\.example/token"):
        calls._fetch_token({"realm": "http://h.example/token"}, reference, push=False)
