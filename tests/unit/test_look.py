"""A quick look at an image: the engine's answers are those of a server on a socket of its own."""

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from slipway.image import look
from slipway.image.engine import Image
from slipway.image.look import look_for_image

IMAGE = {"Id": "sha256:1", "Size": 5, "Config": {"Labels": None}}


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What a server was asked that knows one image, and hangs at another."""
    questions: list[str] = []
    path = tmp_path / "docker.sock"
    monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
    kept = []

    def serve(server: socket.socket) -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            questions.append(connection.recv(1 << 16).decode().splitlines()[0])
            if "slow" in questions[-1]:
                kept.append(connection)
                continue
            found = "/known:" in questions[-1]
            body = json.dumps(IMAGE if found else {"message": "No such image"})
            with connection:
                connection.sendall(f"HTTP/1.0 {200 if found else 404} X\r\nA: b\r\n\r\n{body}".encode())

    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        threading.Thread(target=serve, args=(server,), daemon=True).start()
        yield questions
        server.shutdown(socket.SHUT_RDWR)
    for connection in kept:
        connection.close()


def test_an_image_is_looked_for_without_docker_py(asked: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(look, "ENGINE_S", 0.3)
    monkeypatch.setattr(look, "engine", lambda: pytest.fail("docker-py was asked"))
    assert look_for_image("known")() == Image(ref="known:latest", id="sha256:1", labels={}, size_bytes=5)
    assert look_for_image("un known:2")() is None
    assert look_for_image("slow")() is None
    assert asked == [
        "GET /images/known:latest/json HTTP/1.0",
        "GET /images/un%20known:2/json HTTP/1.0",
        "GET /images/slow:latest/json HTTP/1.0",
    ]
