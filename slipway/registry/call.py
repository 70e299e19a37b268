"""Requests to a registry, with the login that it asks for: https://distribution.github.io/distribution/spec/auth."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import urlencode, urljoin, urlsplit

from slipway.errors import RegistryError, RegistryLoginError, RegistryTrustError, UnknownImageError
from slipway.progress import Amount, OnProgress
from slipway.registry.credentials import Credentials, basic
from slipway.registry.reference import DOCKER_HUB, Reference
from slipway.registry.refusal import (
    explain_limit,
    explain_login,
    explain_silence,
    explain_trust,
    explain_unknown,
)
from slipway.web import ca_bundle, reason

if TYPE_CHECKING:
    import requests

TIMEOUT_S = (10, 300)  # for a connection, and for each reply
_PARAMETER = re.compile(r'(\w+)="([^"]*)"')


class Calls:
    """One registry, for one user."""

    def __init__(self, host: str, credentials: Credentials | None, *, https: bool = True) -> None:
        self.host = host
        self._credentials = credentials
        self._https = https
        self._base = f"{'https' if https else 'http'}://{_address(host)}"
        self._authorization: dict[str, str] = {}
        self._session: requests.Session | None = None

    def ask(
        self,
        method: str,
        path: str,
        reference: Reference,
        *,
        push: bool = False,
        missing_ok: bool = False,
        headers: Mapping[str, str] | None = None,
        data: Any = None,
    ) -> requests.Response:
        """One request, and once more after a login where the registry wants one.

        Args:
            method: HTTP's.
            path: below the registry's address, or a whole address.
            reference: what it is about.
            push: it leads to an upload.
            missing_ok: a 404 is an answer.
            headers: HTTP's.
            data: what is sent.

        Raises:
            UnknownImageError: there is no such thing.
            RegistryLoginError: this user may not do that.
            RegistryTrustError: the registry is not to be trusted.
            RegistryError: it does not answer, or cannot do it.
        """
        url = urljoin(self._base, path)
        for attempt in (1, 2):
            reply = self._send(method, url, headers or {}, data)
            # Nobody knows before whether, and how, a registry wants to be told who one is.
            if reply.status_code != 401 or attempt == 2:
                break
            self._log_in(reply, reference, push=push or method in ("PUT", "POST"))
            if isinstance(data, Body):
                data.rewind()
        if reply.ok or (missing_ok and reply.status_code == 404):
            return reply
        raise self._refusal(reply, reference)

    def _send(self, method: str, url: str, headers: Mapping[str, str], data: Any = None) -> requests.Response:
        import requests

        self._session = self._session or _open_session()
        # A registry may have what is uploaded sent elsewhere, where the credentials are of no concern.
        known = self._authorization if url.startswith(f"{self._base}/") else {}
        try:
            return self._session.request(
                method, url, headers={**known, **headers}, data=data, timeout=TIMEOUT_S
            )
        except requests.exceptions.SSLError as error:
            raise RegistryTrustError(explain_trust(self.host, reason(error))) from error
        except requests.RequestException as error:
            raise RegistryError(explain_silence(self.host, reason(error))) from error

    def _log_in(self, reply: requests.Response, reference: Reference, *, push: bool) -> None:
        kind, _, rest = reply.headers.get("WWW-Authenticate", "").partition(" ")
        if kind.lower() == "basic" and self._credentials:
            self._authorization = {"Authorization": f"Basic {basic(self._credentials)}"}
        if kind.lower() == "bearer":
            token = self._fetch_token(dict(_PARAMETER.findall(rest)), reference, push=push)
            self._authorization = {"Authorization": f"Bearer {token}"}

    def _fetch_token(self, challenge: Mapping[str, str], reference: Reference, *, push: bool) -> str:
        realm = challenge.get("realm", "")
        if urlsplit(realm).scheme != ("https" if self._https else urlsplit(realm).scheme):
            raise RegistryTrustError(f"{self.host} wants the credentials to be sent without TLS, to {realm}")
        actions = "pull,push" if push else "pull"
        asked = {"scope": f"repository:{reference.repository}:{actions}"}
        asked |= {key: challenge[key] for key in ("service",) if key in challenge}
        mine, self._authorization = self._credentials, {}
        if mine and mine.is_identity_token:
            form = {**asked, "grant_type": "refresh_token", "refresh_token": mine.secret}
            reply = self._send("POST", realm, {}, {**form, "client_id": "slipway"})
        else:
            headers = {"Authorization": f"Basic {basic(mine)}"} if mine else {}
            reply = self._send("GET", f"{realm}{'&' if '?' in realm else '?'}{urlencode(asked)}", headers)
        if not reply.ok:
            raise self._refusal(reply, reference)
        try:
            content = reply.json()
            return str(content.get("token") or content["access_token"])
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise RegistryError(f"{self.host}: {realm} gives no token; try again later") from error

    def _refusal(self, reply: requests.Response, reference: Reference) -> RegistryError:
        words = _words(reply)
        if reply.status_code in (401, 403):
            return RegistryLoginError(explain_login(reference, self._credentials, words))
        if reply.status_code == 404:
            return UnknownImageError(explain_unknown(reference, words))
        if reply.status_code == 429:
            return RegistryError(explain_limit(reference.host, words))
        advice = "; try again later" if reply.status_code >= 500 else ""
        return RegistryError(f"{reference}: the registry answers {reply.status_code}: {words}{advice}")


class Body:
    """A file to send; requests asks for its length, and reads it in pieces."""

    def __init__(self, file: IO[bytes], size_bytes: int, on_progress: OnProgress) -> None:
        import time

        self._file, self._size, self._tell = file, size_bytes, on_progress
        self._clock, self._began = time.monotonic, time.monotonic()

    def __len__(self) -> int:
        return self._size

    def read(self, count: int = -1) -> bytes:
        """The next piece."""
        content = self._file.read(max(count, 1 << 20))
        done = self._file.tell()
        passed = self._clock() - self._began
        self._tell(Amount(done_bytes=done, total_bytes=self._size, moved_bytes=done, elapsed_s=passed))
        return content

    def rewind(self) -> None:
        """Begin again."""
        self._file.seek(0)


def answers(host: str) -> bool:
    """True where something behind a port speaks HTTP; a port alone may be open with nobody behind it."""
    import requests

    for scheme in ("https", "http"):
        try:
            with _open_session() as session:
                session.head(f"{scheme}://{_address(host)}/v2/", timeout=5)
        except requests.exceptions.SSLError as error:
            if "CERTIFICATE_VERIFY_FAILED" in str(error):
                return True
        except requests.RequestException:
            continue
        else:
            return True
    return False


def _open_session() -> requests.Session:
    import requests

    session = requests.Session()
    # Otherwise requests would look for passwords in ~/.netrc.
    session.auth = lambda request: request
    session.verify = ca_bundle()
    return session


def _address(host: str) -> str:
    return "registry-1.docker.io" if host == DOCKER_HUB else host


def _words(reply: requests.Response) -> str:
    try:
        problem = reply.json()["errors"][0]
        return str(problem.get("message") or problem.get("code"))
    except (ValueError, LookupError, TypeError, AttributeError):
        return f"HTTP {reply.status_code} {reply.reason}".strip()
