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
