"""An HTTP server on this machine that serves files, in the ways that files are served."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class WebFiles:
    """What it serves, and how.

    Attributes:
        files: contents by paths.
        cuts: after so many bytes of an answer the connection is closed; one for each request.
        has_ranges: it sends the rest of a file where that is asked for.
        moved: paths that lead to others.
        kind: what it says that a file is.
        version: what it says that a file's version is, if anything.
        pause_s: seconds between two pieces.
        asked: paths with the ranges that were asked for.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    cuts: list[int] = field(default_factory=list)
    has_ranges: bool = True
    moved: dict[str, str] = field(default_factory=dict)
    kind: str = "application/octet-stream"
    version: str | None = '"1"'
    pause_s: float = 0.0
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    url: str = ""

    @property
    def ranges(self) -> list[str | None]:
        """The ranges that were asked for, one for each request."""
        return [wanted for _, wanted in self.asked]

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        asked = request.headers.get("Range") if self.has_ranges else None
        self.asked.append((request.path, request.headers.get("Range")))
        if request.path in self.moved:
            _head(request, 302, b"", Location=self.moved[request.path])
            return
        content = self.files.get(request.path)
        if content is None:
            _head(request, 404, b"")
            return
        same = request.headers.get("If-Range") in (None, self.version)
        begin = int(re.findall(r"\d+", asked)[0]) if asked and same else 0
        if begin and begin >= len(content):
            _head(request, 416, b"", **{"Content-Range": f"bytes */{len(content)}"})
            return
        body = content[begin:]
        more = {"Content-Range": f"bytes {begin}-{len(content) - 1}/{len(content)}"} if begin else {}
        more |= {"ETag": self.version} if self.version else {}
        _head(request, 206 if begin else 200, body, **{"Content-Type": self.kind}, **more)
        body = body[: self.cuts.pop(0)] if self.cuts else body
        for start in range(0, len(body), 4096):
            request.wfile.write(body[start : start + 4096])
            time.sleep(self.pause_s)


def _head(request: BaseHTTPRequestHandler, status: int, body: bytes, **headers: str) -> None:
    request.send_response(status)
    for name, value in headers.items():
        request.send_header(name, value)
    request.send_header("Content-Length", str(len(body)))
    request.end_headers()


@contextmanager
def serve_files() -> Iterator[WebFiles]:
    """Serve files as long as the block takes."""
    state = WebFiles()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.answer(self)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        state.url = f"http://127.0.0.1:{http.server_address[1]}"
        yield state
        http.shutdown()
