"""Which engine the ``docker`` command would use: DOCKER_HOST, else a context, else this machine's own.

https://docs.docker.com/engine/manage-resources/contexts/
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from slipway.errors import EngineError
from slipway.jsontext import load_json

SOCKET = "/var/run/docker.sock"
_PIPE = "npipe:////./pipe/docker_engine"
_DEFAULT = "default"
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, kw_only=True)
class Certificates:
    """The files of a connection with TLS; those that are ``None`` are not there.

    ``is_checked`` is off where the engine's own certificate is not looked at.
    """

    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    is_checked: bool = True


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """Where an engine is.

    Attributes:
        address: as the ``docker`` command writes it, such as ``unix:///var/run/docker.sock``.
        origin: what names it, in words that follow `at`; empty for this machine's usual one.
        context: the docker context that it is of; ``default`` also where DOCKER_HOST names it.
        certificates: for TLS; ``None`` without.
    """

    address: str
    origin: str = ""
    context: str = _DEFAULT
    certificates: Certificates | None = None

    @property
    def scheme(self) -> str:
        """``unix``, ``npipe``, ``tcp``, ``ssh``, …; a plain ``host:port`` is ``tcp``."""
        scheme, mark, _ = self.address.partition("://")
        return scheme.lower() if mark else "tcp"

    @property
    def socket_path(self) -> str | None:
        """The path of a Unix socket, or ``None``."""
        return self.address.partition("://")[2] or SOCKET if self.scheme == "unix" else None

    @property
    def host(self) -> str:
        """The other machine: its name or address, with a user where one is named; empty for this one."""
        if self.scheme in ("unix", "npipe", "fd"):
            return ""
        parts = urlsplit(self.address if "://" in self.address else f"tcp://{self.address}")
        user = f"{parts.username}@" if parts.username else ""
        return f"{user}{parts.hostname or ''}"

    @property
    def is_here(self) -> bool:
        """Whether the engine sees the files of this machine, as far as its address tells."""
        return self.host in ("", *_LOOPBACK)


def find_endpoint(environment: Mapping[str, str] = os.environ, home: Path | None = None) -> Endpoint:
    """The engine that the ``docker`` command would use.

    Args:
        environment: DOCKER_HOST and its kin.
        home: the user's home folder. Default: that of this process.

    Raises:
        EngineError: a context is not there, or cannot be read.
    """
    folder = _folder(environment, home)
    if address := environment.get("DOCKER_HOST"):
        return Endpoint(
            address=address,
            origin=f"DOCKER_HOST={address}",
            certificates=_certificates_of(environment, folder) if _has_tls(address) else None,
        )
    named = environment.get("DOCKER_CONTEXT")
    name = named or _current_context(folder)
    if name in ("", _DEFAULT):
        return Endpoint(address=_PIPE if os.name == "nt" else f"unix://{SOCKET}")
    where = "DOCKER_CONTEXT" if named else f"currentContext in {folder / 'config.json'}"
    return _read_context(folder, name, where)


def list_contexts(folder: Path) -> list[str]:
    """The names of the contexts that a folder ``~/.docker`` has, in order; the usual one is left out."""
    names = []
    for file in folder.glob("contexts/meta/*/meta.json"):
        try:
            names.append(str(_load(file)["Name"]))
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return sorted(names)


def _folder(environment: Mapping[str, str], home: Path | None) -> Path:
    own = environment.get("DOCKER_CONFIG")
    return Path(own) if own else (home or Path.home()) / ".docker"


def _current_context(folder: Path) -> str:
    try:
        return str(_load(folder / "config.json").get("currentContext") or "")
    except FileNotFoundError:
        return ""
    except (OSError, ValueError, AttributeError) as error:
        raise EngineError(
            f"{folder / 'config.json'}, which says which Docker engine is used, cannot be read: {error}"
        ) from error


def _read_context(folder: Path, name: str, where: str) -> Endpoint:
    digest = hashlib.sha256(name.encode()).hexdigest()
    file = folder / "contexts" / "meta" / digest / "meta.json"
    if not file.is_file():
        known = ", ".join([_DEFAULT, *list_contexts(folder)])
        raise EngineError(
            f"there is no docker context {name!r}, which {where} names; contexts: {known}. `docker context "
            "use NAME` chooses one, and `docker context create` makes one"
        )
    try:
        docker = _load(file)["Endpoints"]["docker"]
        address, is_open = str(docker["Host"]), bool(docker.get("SkipTLSVerify"))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise EngineError(
            f"the docker context {name!r} cannot be read: {file} is not what `docker context create` writes "
            f"({type(error).__name__}: {error}); make it anew"
        ) from error
    tls = folder / "contexts" / "tls" / digest / "docker"
    return Endpoint(
        address=address,
        origin=f"{address} (docker context {name})",
        context=name,
        certificates=_certificates_in(tls, is_checked=not is_open) if tls.is_dir() or is_open else None,
    )


def _load(file: Path) -> Any:
    return load_json(file.read_text(encoding="utf-8"))


def _has_tls(address: str) -> bool:
    return address.partition("://")[0].lower() in ("tcp", "https", address)


def _certificates_of(environment: Mapping[str, str], folder: Path) -> Certificates | None:
    """By the words of https://docs.docker.com/reference/cli/docker/#environment-variables."""
    is_checked, own = bool(environment.get("DOCKER_TLS_VERIFY")), environment.get("DOCKER_CERT_PATH")
    if not (is_checked or own):
        return None
    return _certificates_in(Path(own) if own else folder, is_checked=is_checked)


def _certificates_in(folder: Path, *, is_checked: bool) -> Certificates:
    ca, certificate, key = (
        file if (file := folder / f"{name}.pem").is_file() else None for name in ("ca", "cert", "key")
    )
    return Certificates(ca=ca, certificate=certificate, key=key, is_checked=is_checked)
