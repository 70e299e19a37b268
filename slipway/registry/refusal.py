"""What a registry says no to, and what to do: by its own replies, or by the words of those who asked it."""

from __future__ import annotations

import re

from slipway.errors import RegistryError, RegistryLoginError, RegistryTrustError, UnknownImageError
from slipway.registry.credentials import Credentials, find_credentials
from slipway.registry.reference import Reference

# The engine, and Apptainer, say in words only what a registry told them by numbers.
_KINDS: tuple[tuple[type[RegistryError], re.Pattern[str]], ...] = (
    (RegistryTrustError, re.compile(r"x509|tls: |certificate|HTTP response to HTTPS client", re.I)),
    (
        RegistryLoginError,
        re.compile(
            r"unauthorized|authentication required|no basic auth|denied|forbidden|incorrect username", re.I
        ),
    ),
    (UnknownImageError, re.compile(r"(manifest|name|repository|blob) unknown|not found|status 404", re.I)),
    (
        RegistryError,
        re.compile(
            r"dial tcp|no such host|connection re|timeout|EOF|broken pipe|status:? 5\d\d|unavailable", re.I
        ),
    ),
)


def classify(words: str, reference: Reference) -> RegistryError | None:
    """The error that the words of the engine, or of Apptainer, are about; there are no numbers to go by.

    ``None`` where they are not about what a registry said.
    """
    words = " ".join(words.split())
    kind = next((kind for kind, pattern in _KINDS if pattern.search(words)), None)
    if kind is None:
        return None
    if kind is RegistryLoginError:
        return kind(explain_login(reference, find_credentials(reference.host), words))
    if kind is UnknownImageError:
        return kind(explain_unknown(reference, words))
    if kind is RegistryTrustError:
        return kind(explain_trust(reference.host, words))
    return kind(explain_silence(reference.host, words))


def explain_login(reference: Reference, credentials: Credentials | None, words: str) -> str:
    """What to do where a registry says no."""
    host = reference.host
    if credentials is None:
        return (
            f"{reference}: {host} lets nobody in without credentials ({words}); `docker login {host}` keeps "
            "yours"
        )
    return (
        f"{reference}: {host} refuses this to {credentials.user} ({words}); check that this user may do it, "
        f"and give name and password or token anew with `docker login {host}`"
    )


def explain_unknown(reference: Reference, words: str) -> str:
    """What to do where there is no such image."""
    return (
        f"{reference}: there is no such image in this registry, or it is hidden from you ({words}); "
        "`invoke publish` prints the name of what it has pushed"
    )


def explain_trust(host: str, words: str) -> str:
    """What to do about a certificate."""
    return (
        f"{host}: its certificate is not trusted, or it speaks no TLS ({words}). An authority of your own "
        f"has to be known to the Docker engine (/etc/docker/certs.d/{host}/ca.crt), to Slipway "
        "(REQUESTS_CA_BUNDLE names its file) and to the cluster (its owner installs it). For a registry "
        "without TLS there is --no-https"
    )


def explain_silence(host: str, words: str) -> str:
    """What to do where a registry does not answer."""
    return (
        f"{host}: the registry does not answer, or went down in the middle ({words}); once it answers, the "
        "same command sends what is missing there"
    )
