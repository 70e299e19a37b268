"""Small files: written and read as a whole."""

from __future__ import annotations

from pathlib import PurePosixPath

from slipway.sftp import fxp
from slipway.sftp.pipeline import Operation
from slipway.sftp.wire import CHUNK_BYTES, CREATE, EXCLUSIVE, READ, WRITE, RefusedError

_AHEAD = 16


def write(path: PurePosixPath, part: PurePosixPath, content: bytes) -> Operation:
    """A conversation that writes a file under another name, and then gives it its own."""
    (handle,) = yield [fxp.open_file(part, WRITE | CREATE | EXCLUSIVE)]
    try:
        starts = range(0, len(content), CHUNK_BYTES)
        chunks = [fxp.write(handle, start, content[start : start + CHUNK_BYTES]) for start in starts]
        yield [*chunks, fxp.close(handle)]
        yield [fxp.rename(part, path)]
    except RefusedError:
        yield [fxp.remove(part)]
        raise


def read(path: PurePosixPath, offset: int) -> Operation:
    """A conversation that returns the bytes of a file from ``offset`` on."""
    (handle,) = yield [fxp.open_file(path, READ)]
    content = bytearray()
    is_over = False
    while not is_over:
        at = offset + len(content)
        answers = yield [fxp.read(handle, at + number * CHUNK_BYTES, CHUNK_BYTES) for number in range(_AHEAD)]
        for answer in answers:
            content += answer
            # What follows a short answer is not next to it.
            if len(answer) < CHUNK_BYTES:
                is_over = not answer
                break
    yield [fxp.close(handle)]
    return bytes(content)
