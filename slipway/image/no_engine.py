"""Why an engine does not answer, and what to do about it, in plain words."""

from __future__ import annotations

import os
import re
import shutil
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from slipway.image.endpoint import SOCKET, Endpoint
from slipway.shell import LocalShell

_START = "start it (Docker Desktop, or `sudo systemctl start docker`), and try again"
_ROOTLESS = "`systemctl --user start docker`, or `dockerd-rootless.sh` where there is no systemd, starts it"
_PODMAN = "`systemctl --user start podman.socket`, or `podman system service -t 0`, starts it"
_ASK_S = 20.0


def explain_no_engine(endpoint: Endpoint, error: Exception) -> str:
    """What is wrong with an engine that could not be used.

    Args:
        endpoint: where it should be.
        error: what docker-py has raised.
    """
    text = str(error)
    if "API versions below" in text:
        return (
            f"the Docker engine{_place(endpoint)} and docker-py do not understand each other: {text}; "
            "update Docker"
        )
    if endpoint.scheme == "unix":
        return _explain_socket(endpoint, text)
    if endpoint.scheme == "ssh":
        return _explain_ssh(endpoint, text)
    if endpoint.scheme in ("tcp", "http", "https"):
        return _explain_tcp(endpoint, text)
    if endpoint.scheme != "npipe":
        return (
            f"the Docker engine{_place(endpoint)} cannot be reached: {text}. An address begins with unix://, "
            "tcp:// or ssh://"
        )
    return f"the Docker engine{_place(endpoint)} does not run; {_START}: {text}"


def other_sockets(environment: Mapping[str, str] = os.environ) -> list[str]:
    """Sockets of engines that this user could name in DOCKER_HOST: rootless Docker's, Podman's."""
    folders = [environment.get("XDG_RUNTIME_DIR") or f"/run/user/{_uid()}", "/run"]
    names = ("docker.sock", "podman/podman.sock")
    found = [f"{folder}/{name}" for folder in folders for name in names]
    usual = os.path.realpath(SOCKET)
    return [path for path in found if os.path.realpath(path) != usual and _may_use(path)]


def _uid() -> int:
    return os.getuid() if hasattr(os, "getuid") else 0


def _may_use(path: str) -> bool:
    try:
        return stat.S_ISSOCK(Path(path).stat().st_mode) and os.access(path, os.W_OK)
    except OSError:
        return False


def _place(endpoint: Endpoint) -> str:
    return f" at {endpoint.origin}" if endpoint.origin else ""


def _explain_socket(endpoint: Endpoint, text: str) -> str:
    path, place, said = endpoint.socket_path or SOCKET, _place(endpoint), _words(text)
    is_podman = "podman" in path
    if "PermissionError" in text or "Permission denied" in text:
        if is_podman:
            return (
                f"the Podman socket{place} does not let this user in: it is root's. `systemctl --user "
                "enable --now podman.socket` makes one of your own, "
                "DOCKER_HOST=unix://$XDG_RUNTIME_DIR/podman/podman.sock"
            )
        return (
            f"the Docker engine{place} does not let this user in; `sudo usermod -aG docker $USER`, "
            f"log in anew, and try again{_instead(path)}"
        )
    if not Path(path).exists() and not place and not shutil.which("docker"):
        return (
            "Docker is not installed here: there is neither a `docker` command nor an engine's "
            "socket. Install it (https://docs.docker.com/engine/install), or set DOCKER_HOST to an engine "
            f"elsewhere{_instead(path)}"
        )
    if is_podman:
        return f"Podman's service{place} does not run; {_PODMAN}: {said}{_instead(path)}"
    if path.startswith(("/run/user/", os.environ.get("XDG_RUNTIME_DIR") or "/run/user/")):
        return f"the rootless Docker engine{place} does not run; {_ROOTLESS}: {said}{_instead(path)}"
    return f"the Docker engine{place} does not run; {_START}: {said}{_instead(path)}"


def _instead(path: str) -> str:
    others = [one for one in other_sockets() if one != path]
    if not others:
        return ""
    return f".\n  There is another engine's socket here: `export DOCKER_HOST=unix://{others[0]}` takes it"


def _explain_ssh(endpoint: Endpoint, text: str) -> str:
    head = f"the Docker engine{_place(endpoint)} cannot be reached over SSH"
    said = "; ".join(_ask_ssh(endpoint)) or text
    found = re.search(r"docker: (command )?not found|No such file", said)
    if found:
        return f"{head}: there is no `docker` command on {endpoint.host}, which it takes: {said}"
    if re.search(r"permission denied while trying to connect|dial unix .*permission denied", said):
        return f"{head}: the engine on {endpoint.host} does not let that user in: {said}"
    if re.search(r"Cannot connect to the Docker daemon|dial unix .*(no such file|refused)", said):
        return f"{head}: {endpoint.host} is there, and its engine does not run: {said}"
    return (
        f"{head}: {said}. `ssh {endpoint.host} docker version` has to work without a question: SSH's own key "
        "and known_hosts count, and not a login that Slipway keeps"
    )


def _ask_ssh(endpoint: Endpoint) -> Iterator[str]:
    """What ssh itself says; docker-py only says that there was no answer."""
    if shutil.which("ssh") is None:
        yield "there is no `ssh` program here"
        return
    address = endpoint.address.rstrip("/")
    argv = ["ssh", "-o", "BatchMode=yes", "-o", "ConnectTimeout=10", "--", address, "docker version"]
    result = LocalShell(apart=True).run(argv, timeout_s=_ASK_S)
    yield from (line.strip() for line in result.stderr.splitlines()[-3:] if line.strip())


def _explain_tcp(endpoint: Endpoint, text: str) -> str:
    head, said = f"the Docker engine{_place(endpoint)}", _words(text)
    if "CERTIFICATE_VERIFY_FAILED" in text or "certificate verify failed" in text:
        return (
            f"{head} shows a certificate that is not trusted: {said}; ca.pem in DOCKER_CERT_PATH, or of the "
            "docker context, has to be of the authority that signed it"
        )
    if re.search(r"certificate required|bad certificate|unknown ca|TLSV1", text, re.I):
        return (
            f"{head} does not take this client's certificate: {said}; cert.pem and key.pem in "
            "DOCKER_CERT_PATH, or of the docker context, have to be of an authority that it knows"
        )
    if re.search(r"WRONG_VERSION_NUMBER|HTTP request to an HTTPS server|record layer failure", text):
        way = "without TLS" if endpoint.certificates else "with TLS"
        return (
            f"{head} speaks {way} and is asked otherwise: DOCKER_TLS_VERIFY=1 and DOCKER_CERT_PATH are for "
            f"an engine with TLS, and unset for one without: {said}"
        )
    if re.search(r"Name or service not known|getaddrinfo|name resolution|nodename nor servname", text):
        return f"{head} cannot be reached: the network knows no host of that name: {said}"
    return f"{head} cannot be reached: {said}; does it run, and listen there?"


def _words(text: str) -> str:
    """The words of the first cause; those of urllib3 and requests around it say the same, and longer."""
    for pattern in (r"\[Errno -?\d+\] ([^'\")]+)", r"\[SSL: \w+\] ([^'\"(]+)", r"Error\(\d+, '([^']+)'"):
        if match := re.search(pattern, text):
            return match[1].strip()
    return text
