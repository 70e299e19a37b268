"""A quick look at an image in the engine, without docker-py, whose import takes long."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from contextlib import suppress
from urllib.parse import quote

from slipway.background import Background
from slipway.image.endpoint import find_endpoint
from slipway.image.engine import Image, engine, find_image, full_name, read_image

# Whoever only wants to know about an image waits no longer for the engine.
ENGINE_S = 1.0


def look_for_image(name: str) -> Callable[[], Image | None]:
    """Look for an image here, beside other work.

    Returns:
        What gives the image; ``None`` where there is none, or where the engine does not answer soon.
    """
    looking = Background(lambda: _look(name))

    def answer() -> Image | None:
        with suppress(Exception):  # docker-py lets those of requests and urllib3 through
            return looking.result(ENGINE_S)
        return None

    return answer


def _look(name: str) -> Image | None:
    path = _socket_path()
    if path is None:
        return find_image(engine(), name)
    ref = full_name(name)
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(ENGINE_S)
        connection.connect(path)
        # HTTP/1.0: the answer comes in one piece, and ends with the connection.
        connection.sendall(
            f"GET /images/{quote(ref, safe='/:@')}/json HTTP/1.0\r\nHost: docker\r\n\r\n".encode()
        )
        answer = b"".join(iter(lambda: connection.recv(1 << 16), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    return read_image(ref, json.loads(body)) if head.split()[1] == b"200" else None


def _socket_path() -> str | None:
    """The socket of the engine that the ``docker`` command would use; ``None`` where that takes docker-py."""
    return find_endpoint().socket_path if hasattr(socket, "AF_UNIX") else None
