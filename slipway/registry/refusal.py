"""What a registry says no to, and what to do: by its own replies, or by the words of those who asked it."""

from __future__ import annotations

import re
from collections.abc import Callable

from slipway.errors import RegistryError, RegistryLoginError, RegistryTrustError, UnknownImageError
from slipway.registry.credentials import Credentials, find_credentials
from slipway.registry.reference import Reference

_TRUST = re.compile(r"x509|tls: |certificate|HTTP response to HTTPS client", re.I)
_LIMIT = re.compile(r"toomanyrequests|too many requests", re.I)
_LOGIN = re.compile(
    r"unauthorized|authentication required|no basic auth|denied|forbidden|incorrect username", re.I
)
_UNKNOWN = re.compile(r"(manifest|name|repository|blob) unknown|not found|status 404", re.I)
_SILENCE = re.compile(
    r"dial tcp|no such host|connection re|timeout|EOF|broken pipe|status:? 5\d\d|unavailable", re.I
)

Explain = Callable[[str, str], str]


def explain_words(
    words: str, reference: Reference, *, silence: Explain | None = None
) -> RegistryError | None:
    """The error that the words of the engine, or of Apptainer, are about.

    Both say in words only what a registry told them by numbers.

    Args:
        words: what was said.
        reference: what it was said about.
        silence: what to do where the registry does not answer, from its name and the words; without it,
            :func:`explain_silence`.

    Returns:
        ``None`` where the words are not about what a registry said.
    """
    words, host = " ".join(words.split()), reference.host
    if _TRUST.search(words):
        return RegistryTrustError(explain_trust(host, words))
    if _LIMIT.search(words):
        return RegistryError(explain_limit(host, words))
    if _LOGIN.search(words):
        return RegistryLoginError(explain_login(reference, find_credentials(host), words))
    if _UNKNOWN.search(words):
        return UnknownImageError(explain_unknown(reference, words))
    if _SILENCE.search(words):
        return RegistryError((silence or explain_silence)(host, words))
    return None


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


def explain_limit(host: str, words: str) -> str:
    """What to do where a registry has been asked too often, as Docker Hub by networks that many share."""
    return (
        f"{host}: the registry has been asked too often from there ({words}); try again later, or give "
        f"credentials with `docker login {host}`, for which its limit may be higher"
    )


def explain_silence(host: str, words: str) -> str:
    """What to do where a registry does not answer."""
    return (
        f"{host}: the registry does not answer, or went down in the middle ({words}); once it answers, the "
        "same command goes on with what is missing"
    )
