"""Credentials for registries: those that ``docker login`` has kept, and nobody else's."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field

from slipway.errors import RegistryLoginError
from slipway.registry.reference import DOCKER_HUB

_HUB_KEY = "https://index.docker.io/v1/"


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """Who one is at a registry. ``repr`` shows no secret, so that no log does.

    Attributes:
        user: the name; for NGC it is ``$oauthtoken``.
        secret: the password or token.
        is_identity_token: ``secret`` is one that tokens can be asked for with, in the place of a password.
    """

    user: str
    secret: str = field(repr=False)
    is_identity_token: bool = False


def find_credentials(host: str) -> Credentials | None:
    """What Docker's own configuration (``$DOCKER_CONFIG`` or ``~/.docker``) and its helpers know of a host.

    Raises:
        RegistryLoginError: a credential helper failed, or the configuration cannot be read.
    """
    import docker.auth
    import docker.errors

    try:
        entry = docker.auth.load_config().resolve_authconfig(host) or {}
    except (docker.errors.DockerException, ValueError) as error:
        raise RegistryLoginError(
            f"Docker's configuration does not give the credentials for {host}: {error}; "
            f"`docker login {host}` writes them anew"
        ) from error
    values = {str(key).lower(): str(value) for key, value in entry.items() if value}
    if "identitytoken" in values:
        user = values.get("username", "")
        return Credentials(user=user, secret=values["identitytoken"], is_identity_token=True)
    if "username" in values and "password" in values:
        return Credentials(user=values["username"], secret=values["password"])
    return None


def docker_config(host: str, credentials: Credentials | None) -> str:
    """The text of a ``config.json`` that lets one in at this one host; empty without credentials."""
    if credentials is None:
        return ""
    entry = {"auth": basic(credentials)}
    if credentials.is_identity_token:
        user = base64.b64encode(f"{credentials.user}:".encode()).decode()
        entry = {"auth": user, "identitytoken": credentials.secret}
    return json.dumps({"auths": {_HUB_KEY if host == DOCKER_HUB else host: entry}})


def basic(credentials: Credentials) -> str:
    """Name and password as HTTP's basic authentication has them."""
    return base64.b64encode(f"{credentials.user}:{credentials.secret}".encode()).decode()
