"""Engines that cannot be used, each with its own message."""

import gc
import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import UnixStreamServer

import pytest

from slipway.errors import EngineError
from slipway.image import engine


# docker-py does not close a socket that it cannot connect.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
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
    gc.collect()


class Old(BaseHTTPRequestHandler):
    """Answers as an engine of 2017 does; a real one does not start on today's systems."""

    def do_GET(self) -> None:
        body = json.dumps({"Version": "17.03.2-ce", "ApiVersion": self.server.api}).encode()  # type: ignore[attr-defined]
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_HEAD = do_GET  # noqa: N815 - the name that http.server looks for

    def address_string(self) -> str:
        return "here"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
        pass


@pytest.fixture(params=["1.27", "1.12"])
def old(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    path = tmp_path / "docker.sock"
    with UnixStreamServer(str(path), Old) as server:
        server.api = request.param  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
        yield request.param
        server.shutdown()
        thread.join()


def test_an_engine_that_is_too_old_is_told(old: str) -> None:
    with pytest.raises(EngineError) as caught:
        engine()
    assert old in str(caught.value) or "API versions below" in str(caught.value)
    assert "is needed" in str(caught.value) or "update Docker" in str(caught.value)
