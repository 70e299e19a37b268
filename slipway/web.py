"""HTTP: CA certificates, why a request failed, and addresses without passwords."""

from __future__ import annotations

import os
import re

# Also of what is no address: it may have been meant as one.
_PASSWORD = re.compile(r"//[^/?#]*@")


def ca_bundle() -> str | bool:
    """The CA certificates for requests: a file's name, or ``True`` for its own."""
    return os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("SSL_CERT_FILE") or True


def hide_password(url: str) -> str:
    """An address as it may be shown and kept: without name and password."""
    return _PASSWORD.sub("//", url, count=1)


def reason(error: BaseException) -> str:
    """The innermost reason: what requests and urllib3 wrap around it says nothing more."""
    while True:
        inner = getattr(error, "reason", None)
        inner = inner or next((one for one in error.args if isinstance(one, Exception)), None)
        if not isinstance(inner, Exception):
            return str(error) or type(error).__name__
        error = inner


class PostError(Exception):
    """A post failed. Its text does not have the address, which may be a secret.

    Attributes:
        is_final: the server has understood, and refused for good.
    """

    def __init__(self, text: str, *, is_final: bool) -> None:
        super().__init__(text)
        self.is_final = is_final


def post_json(url: str, value: object, timeout_s: float = 10) -> None:
    """Post a value to an address.

    Raises:
        PostError: nobody answered, or the answer was no success.
    """
    import requests

    try:
        answer = requests.post(url, json=value, timeout=timeout_s, verify=ca_bundle(), allow_redirects=False)
    except requests.RequestException as error:
        # Its own text has the whole address in it.
        why = "no answer in time" if isinstance(error, requests.Timeout) else type(error).__name__
        raise PostError(f"{why}; is the address right, and the network there?", is_final=False) from None
    if not answer.ok or answer.is_redirect:
        # Too many, or too slow, passes by itself.
        passes = answer.status_code >= 500 or answer.status_code in (408, 425, 429)
        raise PostError(f"HTTP {answer.status_code} {answer.reason}", is_final=not passes)
