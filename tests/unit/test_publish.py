"""Publishing, where the engine or the registry does not do its part."""

import http.server
import json
import os
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import docker
import pytest

from slipway.errors import EngineError, RegistryError, RegistryLoginError, UsageError
from slipway.image.engine import Image
from slipway.progress import NullProgress
from slipway.registry.call import Calls, answers
from slipway.registry.publish import publish_image, sif_reference
from slipway.registry.reference import parse_reference
from tests.waiting import PATIENCE_S

ROOT = Path(__file__).parents[2]
IMAGE = Image(ref="a:latest", id=f"sha256:{'f' * 64}", labels={}, size_bytes=1)
DIGEST = f"sha256:{'0' * 64}"
PUSHED = {"aux": {"Tag": "v1", "Digest": DIGEST}}
LAYER = {"id": "0123456789ab", "status": "Pushed"}


class _Engine(BaseHTTPRequestHandler):
    """An engine that ends, or is silent, in the middle of a push, which a real one cannot be made to do."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.reply(200, json.dumps({"Id": IMAGE.id, "RepoTags": []}).encode())

    def do_POST(self) -> None:
        if "/tag" in self.path:
            self.reply(201, b"")
            return
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.chunk(json.dumps(LAYER).encode())
        if self.server.dies:  # type: ignore[attr-defined]
            self.close_connection = True
            return
        time.sleep(1.5)
        self.chunk(json.dumps(PUSHED).encode())
        self.chunk(b"")

    def chunk(self, content: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(content), content))

    def reply(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def address_string(self) -> str:
        return "here"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
        pass


@contextmanager
def engine(path: Path, *, dies: bool) -> Iterator[docker.DockerClient]:
    with socketserver.ThreadingUnixStreamServer(str(path), _Engine) as server:
        server.dies = dies  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        # As patient as this with one answer, where docker-py's own patience is 60 s.
        client = docker.DockerClient(base_url=f"unix://{path}", version="1.41", timeout=1)
        try:
            yield client
        finally:
            client.close()
            server.shutdown()


def test_an_engine_that_ends_in_the_middle(tmp_path: Path) -> None:
    reference = parse_reference("h.example/me/a:v1")
    with (
        engine(tmp_path / "s", dies=True) as client,
        pytest.raises(EngineError, match="is it still running"),
    ):
        publish_image(client, IMAGE, reference, NullProgress())


def test_an_engine_that_is_silent_while_the_registry_puts_a_layer_away(tmp_path: Path) -> None:
    with engine(tmp_path / "s", dies=False) as client:
        done = publish_image(client, IMAGE, parse_reference("h.example/me/a:v1"), NullProgress())
        assert client.api.timeout == 1
    assert (done.digest, done.layers, done.sent_layers) == (DIGEST, 1, 1)


def test_a_tag_with_no_room_for_the_name_of_the_sif() -> None:
    image = parse_reference(f"h.example/me/a:{'v' * 124}")
    assert sif_reference(image).uri == f"oras://h.example/me/a:{'v' * 124}.sif"
    with pytest.raises(UsageError, match="128"):
        sif_reference(parse_reference(f"h.example/me/a:{'v' * 125}"))


def test_options_that_are_about_a_registry_alone(tmp_path: Path) -> None:
    for option in ("--as-job", "--no-https"):
        argv = [sys.executable, "-m", "invoke", "push", "--profile", "cpu", "--site", "box", option]
        environment = {**os.environ, "SLIPWAY_STATE": str(tmp_path)}
        done = subprocess.run(
            argv, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=PATIENCE_S
        )
        assert done.returncode == 64
        assert "add that" in done.stderr


class _Refuses(BaseHTTPRequestHandler):
    """A registry that says no, with a status that a small one of a test has no reason for."""

    def do_HEAD(self) -> None:
        self.server.heard.append(self.headers.get("Authorization"))  # type: ignore[attr-defined]
        self.send_response(self.server.status)  # type: ignore[attr-defined]
        self.end_headers()

    do_GET = do_HEAD  # noqa: N815 - the name that http.server looks for

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
        pass


@contextmanager
def refusing(status: int) -> Iterator[tuple[str, list[str | None]]]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Refuses) as server:
        heard: list[str | None] = []
        server.status, server.heard = status, heard  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        try:
            yield f"127.0.0.1:{server.server_address[1]}", heard
        finally:
            server.shutdown()


REFUSALS = {
    403: (RegistryLoginError, "docker login"),
    413: (RegistryError, "answers 413: HTTP 413 Request Entity Too Large$"),
    429: (RegistryError, "asked too often .*docker login"),
    503: (RegistryError, "answers 503: .*; try again later"),
}


@pytest.mark.parametrize("status", REFUSALS)
def test_what_a_registry_says_no_with(status: int) -> None:
    kind, words = REFUSALS[status]
    with refusing(status) as (host, _):
        reference = parse_reference(f"{host}/me/a:v1")
        with pytest.raises(RegistryError, match=words) as caught:
            Calls(host, None, https=False).ask("GET", "/v2/", reference)
        assert type(caught.value) is kind


def test_passwords_of_netrc_are_not_for_registries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password mine\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with refusing(200) as (host, heard):
        assert answers(host)
        Calls(host, None, https=False).ask("GET", "/v2/", parse_reference(f"{host}/me/a:v1"))
        assert heard == [None, None]
