"""Which engine is meant, by the variables and files of the docker command, which wrote the context here."""

import hashlib
import json
import os
from pathlib import Path

import pytest

from slipway.errors import EngineError
from slipway.image.endpoint import Certificates, Endpoint, find_endpoint, list_contexts

# As `docker context create` of Docker 28 writes it.
_META = (
    '{{"Name":"{name}","Metadata":{{"Description":"a \\u00e4"}},'
    '"Endpoints":{{"docker":{{"Host":"{host}","SkipTLSVerify":{skip}}}}}}}'
)


def make_context(
    home: Path, name: str, host: str, *, skip: bool = False, files: tuple[str, ...] = ()
) -> Path:
    digest = hashlib.sha256(name.encode()).hexdigest()
    folder = home / ".docker/contexts/meta" / digest
    folder.mkdir(parents=True)
    (folder / "meta.json").write_text(_META.format(name=name, host=host, skip=str(skip).lower()))
    for file in files:
        path = home / ".docker/contexts/tls" / digest / "docker" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder


def choose(home: Path, name: str) -> None:
    (home / ".docker").mkdir(exist_ok=True)
    (home / ".docker/config.json").write_text(json.dumps({"currentContext": name, "auths": {}}))


@pytest.mark.skipif(os.name == "nt", reason="Windows has a pipe in the place of a socket")
def test_without_a_word_it_is_this_machines(tmp_path: Path) -> None:
    usual = Endpoint(address="unix:///var/run/docker.sock")
    assert find_endpoint({}, tmp_path) == usual
    choose(tmp_path, "default")
    assert find_endpoint({"DOCKER_HOST": "", "DOCKER_CONTEXT": ""}, tmp_path) == usual
    assert (usual.socket_path, usual.is_here, usual.context) == ("/var/run/docker.sock", True, "default")


def test_docker_host_counts_before_contexts(tmp_path: Path) -> None:
    make_context(tmp_path, "lab", "ssh://me@lab:2222")
    choose(tmp_path, "lab")
    environment = {"DOCKER_HOST": "unix:///run/user/7/docker.sock", "DOCKER_CONTEXT": "other"}
    found = find_endpoint(environment, tmp_path)
    assert found.socket_path == "/run/user/7/docker.sock"
    assert found.origin == "DOCKER_HOST=unix:///run/user/7/docker.sock"
    assert found.context == "default"


def test_a_context_by_its_name_and_by_the_file(tmp_path: Path) -> None:
    make_context(tmp_path, "rootless", "unix:///run/user/1000/docker.sock")
    make_context(tmp_path, "lab", "ssh://me@lab:2222")
    choose(tmp_path, "rootless")
    assert find_endpoint({}, tmp_path) == Endpoint(
        address="unix:///run/user/1000/docker.sock",
        origin="unix:///run/user/1000/docker.sock (docker context rootless)",
        context="rootless",
    )
    found = find_endpoint({"DOCKER_CONTEXT": "lab"}, tmp_path)
    assert (found.scheme, found.host, found.is_here, found.socket_path) == ("ssh", "me@lab", False, None)
    assert find_endpoint({"DOCKER_CONTEXT": "default"}, tmp_path).context == "default"
    assert list_contexts(tmp_path / ".docker") == ["lab", "rootless"]


def test_another_folder_of_settings(tmp_path: Path) -> None:
    make_context(tmp_path, "lab", "tcp://lab:2375")
    environment = {"DOCKER_CONFIG": str(tmp_path / ".docker"), "DOCKER_CONTEXT": "lab"}
    assert find_endpoint(environment, tmp_path / "elsewhere").address == "tcp://lab:2375"


def test_a_context_that_is_not_there_names_those_that_are(tmp_path: Path) -> None:
    make_context(tmp_path, "lab", "tcp://lab:2375")
    with pytest.raises(
        EngineError, match=r"no docker context 'lob', which DOCKER_CONTEXT names; contexts: default, lab\. "
    ):
        find_endpoint({"DOCKER_CONTEXT": "lob"}, tmp_path)
    choose(tmp_path, "gone")
    with pytest.raises(EngineError, match=r"'gone', which currentContext in .*config\.json names"):
        find_endpoint({}, tmp_path)


@pytest.mark.parametrize(
    "text", ["", "[]", '{"Endpoints": {}}', '{"Endpoints": {"docker": []}}', '{"Endpoints": {"docker": {}}}']
)
def test_a_context_that_is_broken(tmp_path: Path, text: str) -> None:
    (make_context(tmp_path, "lab", "x") / "meta.json").write_text(text)
    with pytest.raises(EngineError, match=r"the docker context 'lab' cannot be read: .*meta\.json"):
        find_endpoint({"DOCKER_CONTEXT": "lab"}, tmp_path)
    assert list_contexts(tmp_path / ".docker") == []


@pytest.mark.parametrize("text", ["", "[]", "{"])
def test_settings_that_are_broken(tmp_path: Path, text: str) -> None:
    (tmp_path / ".docker").mkdir()
    (tmp_path / ".docker/config.json").write_text(text)
    with pytest.raises(
        EngineError, match=r"config\.json, which says which Docker engine is used, cannot be read"
    ):
        find_endpoint({}, tmp_path)


def test_certificates_of_docker_host(tmp_path: Path) -> None:
    for name in ("ca.pem", "cert.pem"):
        (tmp_path / name).touch()
    environment = {"DOCKER_HOST": "tcp://10.0.0.1:2376", "DOCKER_CERT_PATH": str(tmp_path)}
    expected = Certificates(ca=tmp_path / "ca.pem", certificate=tmp_path / "cert.pem", is_checked=False)
    assert find_endpoint(environment, tmp_path).certificates == expected
    checked = find_endpoint({**environment, "DOCKER_TLS_VERIFY": "1"}, tmp_path).certificates
    assert checked is not None
    assert checked.is_checked
    assert find_endpoint({"DOCKER_HOST": "tcp://10.0.0.1:2375"}, tmp_path).certificates is None
    # They are nothing to a socket, and to SSH.
    for address in ("unix:///a", "ssh://b"):
        assert find_endpoint({**environment, "DOCKER_HOST": address}, tmp_path).certificates is None


def test_certificates_of_a_context(tmp_path: Path) -> None:
    make_context(tmp_path, "a", "tcp://a:2376", files=("ca.pem", "cert.pem", "key.pem"))
    make_context(tmp_path, "b", "tcp://b:2376", skip=True)
    certificates = find_endpoint({"DOCKER_CONTEXT": "a"}, tmp_path).certificates
    assert certificates is not None
    assert certificates.is_checked
    names = [path and path.name for path in (certificates.ca, certificates.certificate, certificates.key)]
    assert names == ["ca.pem", "cert.pem", "key.pem"]
    assert find_endpoint({"DOCKER_CONTEXT": "b"}, tmp_path).certificates == Certificates(is_checked=False)


@pytest.mark.parametrize(
    ("address", "host", "is_here"),
    [
        ("tcp://127.0.0.1:2375", "127.0.0.1", True),
        ("localhost:2375", "localhost", True),
        ("tcp://[::1]:2375", "::1", True),
        ("tcp://lab.example.org:2376", "lab.example.org", False),
        ("ssh://me@lab", "me@lab", False),
        ("npipe:////./pipe/docker_engine", "", True),
        ("unix://", "", True),
    ],
)
def test_whose_machine_an_address_is_of(address: str, host: str, is_here: bool) -> None:
    endpoint = Endpoint(address=address)
    assert (endpoint.host, endpoint.is_here) == (host, is_here)
