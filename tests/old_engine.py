"""An engine that is too old for docker-py or for Slipway."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import UnixStreamServer


class _Old(BaseHTTPRequestHandler):
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


@contextmanager
def old_engine(path: Path, api: str) -> Iterator[None]:
    """Such an engine at a socket; ``api`` is the newest version of the API that it speaks."""
    with UnixStreamServer(str(path), _Old) as server:
        server.api = api  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()
