"""Engines that cannot be used, each with its own message."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from slipway.errors import EngineError
from slipway.image.endpoint import Certificates, Endpoint
from slipway.image.engine import engine, explain_folders, name_in_engine
from slipway.image.no_engine import explain_no_engine, other_sockets
from tests.old_engine import old_engine


def test_an_engine_that_does_not_run_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "docker.sock"
    monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
    with pytest.raises(EngineError, match=rf"DOCKER_HOST=unix://{path} does not run; start it"):
        engine()
    # Left behind by an engine that was killed.
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    with pytest.raises(EngineError, match="does not run; start it"):
        engine()


# What docker-py 7.2 raised at real engines, sockets and ports.
_GONE = "('Connection aborted.', FileNotFoundError(2, 'No such file or directory'))"
_DENIED = "('Connection aborted.', PermissionError(13, 'Permission denied'))"
_REFUSED = (
    "HTTPConnectionPool(host='lab', port=2375): Max retries exceeded with url: /version (Caused by "
    "NewConnectionError(\"HTTPConnection(host='lab', port=2375): Failed to establish a new connection: "
    '[Errno 111] Connection refused"))'
)
_CERTIFICATE = (
    "HTTPSConnectionPool(host='lab', port=2376): Max retries exceeded with url: /version (Caused by "
    "SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: "
    "unable to get local issuer certificate (_ssl.c:1006)')))"
)
_NO_CERTIFICATE = (
    "('Connection aborted.', SSLError(1, '[SSL: TLSV13_ALERT_CERTIFICATE_REQUIRED] tlsv13 alert certificate "
    "required (_ssl.c:2580)'))"
)
_PLAIN = (
    "Error while fetching server API version: 400 Client Error for http://lab:2376/version: Bad Request "
    '("Client sent an HTTP request to an HTTPS server.")'
)
_UNKNOWN = (
    "HTTPConnectionPool(host='lab', port=2375): Max retries exceeded with url: /version (Caused by "
    "NameResolutionError(\"HTTPConnection(host='lab', port=2375): Failed to resolve 'lab' ([Errno -2] Name "
    "or service "
    'not known)"))'
)


@pytest.mark.parametrize(
    ("address", "error", "said"),
    [
        (
            "unix:///x/docker.sock",
            _GONE,
            "does not run; start it (Docker Desktop, or `sudo systemctl start docker`)",
        ),
        (
            "unix:///run/user/7/docker.sock",
            _GONE,
            "the rootless Docker engine at X does not run; `systemctl --user",
        ),
        (
            "unix:///run/user/7/podman/podman.sock",
            _GONE,
            "Podman's service at X does not run; `systemctl --user",
        ),
        (
            "unix:///x/docker.sock",
            _DENIED,
            "the Docker engine at X does not let this user in; `sudo usermod -aG docker",
        ),
        (
            "unix:///run/podman/podman.sock",
            _DENIED,
            "the Podman socket at X does not let this user in: it is root's",
        ),
        (
            "tcp://lab:2375",
            _REFUSED,
            "at X cannot be reached: Connection refused; does it run, and listen there?",
        ),
        ("tcp://lab:2375", _UNKNOWN, "the network knows no host of that name: Name or service not known"),
        (
            "tcp://lab:2376",
            _CERTIFICATE,
            "a certificate that is not trusted: certificate verify failed: unable to get",
        ),
        (
            "tcp://lab:2376",
            _NO_CERTIFICATE,
            "does not take this client's certificate: tlsv13 alert certificate req",
        ),
        (
            "tcp://lab:2376",
            _PLAIN,
            "at X speaks with TLS and is asked otherwise: DOCKER_TLS_VERIFY=1 and DOCKER_CERT",
        ),
        (
            "foo://lab",
            "Invalid bind address protocol: foo://lab",
            "An address begins with unix://, tcp:// or ssh://",
        ),
    ],
)
def test_why_an_engine_cannot_be_used(
    address: str, error: str, said: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert said in explain_no_engine(Endpoint(address=address, origin="X"), Exception(error))


def test_an_engine_without_tls_that_is_asked_with_it() -> None:
    endpoint = Endpoint(address="tcp://lab:2375", origin="X", certificates=Certificates())
    said = explain_no_engine(
        endpoint, Exception("[SSL: WRONG_VERSION_NUMBER] wrong version number (_ssl.c:1006)")
    )
    assert "X speaks without TLS and is asked otherwise" in said


def test_ssh_says_itself_why_it_does_not_get_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "ssh"
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    error = Exception("('Connection aborted.', BrokenPipeError(32, 'Broken pipe'))")
    endpoint = Endpoint(address="ssh://me@lab", origin="X")
    for words, said in (
        (
            "ssh: connect to host lab port 22: No route to host",
            "No route to host. `ssh me@lab docker version` has to",
        ),
        (
            "bash: line 1: docker: command not found",
            "there is no `docker` command on me@lab, which it takes: bash",
        ),
        (
            "permission denied while trying to connect to the Docker daemon socket",
            "on me@lab does not let that user",
        ),
        (
            "Cannot connect to the Docker daemon at unix:///var/run/docker.sock.",
            "me@lab is there, and its engine does",
        ),
    ):
        program.write_text(f'#!/bin/sh\ntest "$6" = ssh://me@lab || exit 9\necho "{words}" >&2\nexit 1\n')
        program.chmod(0o755)
        assert said in explain_no_engine(endpoint, error)


def test_another_engines_socket_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    (tmp_path / "podman").mkdir()
    path = tmp_path / "podman/podman.sock"
    path.touch()  # no socket
    assert str(path) not in other_sockets()
    path.unlink()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        assert str(path) in other_sockets()
        said = explain_no_engine(Endpoint(address="unix:///x/docker.sock", origin="X"), Exception(_GONE))
        assert f"There is another engine's socket here: `export DOCKER_HOST=unix://{path}` takes it" in said


def test_folders_that_the_other_machine_has_not(monkeypatch: pytest.MonkeyPatch) -> None:
    docker = 'invalid mount config for type "bind": bind source path does not exist: /x'
    podman = "statfs /x: no such file or directory"
    monkeypatch.setenv("DOCKER_HOST", "ssh://lab")
    for said in (docker, podman):
        assert "at DOCKER_HOST=ssh://lab is on another machine, whose containers see no" in explain_folders(
            said
        )
    assert explain_folders("port is already allocated") == ""
    monkeypatch.setenv("DOCKER_HOST", "unix:///x")
    assert explain_folders(docker) == ""


def test_what_an_engine_calls_an_image() -> None:
    assert name_in_engine("a:latest", ["b:1", "a:latest"]) == "a:latest"
    assert name_in_engine("a:latest", ["localhost/a:latest"]) == "localhost/a:latest"
    assert name_in_engine("a:latest", ["docker.io/library/a:latest"]) == "docker.io/library/a:latest"
    assert name_in_engine("a:latest", ["localhost/b:latest"]) == "a:latest"


@pytest.fixture(params=["1.27", "1.12"])
def old(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    path = tmp_path / "docker.sock"
    monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
    with old_engine(path, request.param):
        yield request.param


def test_an_engine_that_is_too_old_is_told(old: str) -> None:
    with pytest.raises(EngineError) as caught:
        engine()
    assert old in str(caught.value) or "API versions below" in str(caught.value)
    assert "is needed" in str(caught.value) or "update Docker" in str(caught.value)
