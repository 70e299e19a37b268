"""Small files: written and read as a whole."""

from __future__ import annotations

from pathlib import PurePosixPath

from slipway.sftp import fxp
from slipway.sftp.pipeline import Operation
from slipway.sftp.wire import CHUNK_BYTES, CREATE, EXCLUSIVE, READ, WRITE, RefusedError

_AHEAD = 16
_FAR_AHEAD = 64  # once it is seen that the file is large


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


def read(path: PurePosixPath, offset: int, most_bytes: int | None = None) -> Operation:
    """A conversation that returns the bytes of a file from ``offset`` on, at most so many."""
    (handle,) = yield [fxp.open_file(path, READ)]
    content = bytearray()
    is_over, ahead = False, _AHEAD
    while not is_over and (most_bytes is None or len(content) < most_bytes):
        at, left = offset + len(content), ahead * CHUNK_BYTES
        if most_bytes is not None:
            left = min(left, most_bytes - len(content))
        wanted = [(start, min(CHUNK_BYTES, left - start)) for start in range(0, left, CHUNK_BYTES)]
        answers = yield [fxp.read(handle, at + start, size) for start, size in wanted]
        ahead = _FAR_AHEAD
        for (_, size), answer in zip(wanted, answers, strict=True):
            content += answer
            # What follows a short answer is not next to it.
            if len(answer) < size:
                is_over = not answer
                break
    yield [fxp.close(handle)]
    return bytes(content)
