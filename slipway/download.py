"""Downloads that go on where they were cut."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

from slipway.errors import DownloadError
from slipway.jsontext import load_json
from slipway.progress import Amount, OnProgress
from slipway.web import ca_bundle, hide_password, reason

if TYPE_CHECKING:
    import requests

TIMEOUT_S = (20, 120)  # for a connection, and for each reply
_CHUNK = 1 << 16


def download(url: str, part: Path, on_progress: OnProgress) -> None:
    """Fetch a file to ``part``; what is there of it is not fetched again.

    Args:
        url: where it is.
        part: where it goes. Beside it lies what the server said of the version that it is a part of.
        on_progress: is told how far it is.

    Raises:
        DownloadError: the server cannot be reached, refuses, or sends a page in place of a file; or the line
            was cut, and what has arrived is kept.
    """
    import requests

    note, shown = part.with_name(f"{part.name}.json"), hide_password(url)
    try:
        with requests.Session() as session:
            _fetch(session, url, part, note, on_progress)
    except requests.RequestException as error:
        have = part.stat().st_size if part.exists() else 0
        kept = f"; {have / 1e6:,.1f} MB have arrived and are kept: the same command goes on there"
        kept = kept if have else ""
        raise DownloadError(f"{shown} could not be fetched: {reason(error)}{kept}") from error
    note.unlink(missing_ok=True)


def _fetch(session: requests.Session, url: str, part: Path, note: Path, on_progress: OnProgress) -> None:
    have = part.stat().st_size if part.exists() else 0
    headers = {"Accept-Encoding": "identity", **(_resume(have, url, note) if have else {})}
    with session.get(url, headers=headers, stream=True, timeout=TIMEOUT_S, verify=ca_bundle()) as reply:
        _receive(reply, url, part, note, on_progress)


def _receive(reply: requests.Response, url: str, part: Path, note: Path, on_progress: OnProgress) -> None:
    shown = hide_password(url)
    if reply.status_code == 416:
        if reply.headers.get("Content-Range", "").rpartition("/")[2] == str(part.stat().st_size):
            return  # all of it was here
        part.unlink()
        raise DownloadError(
            f"{shown}: there is less of it than what had arrived, which is removed; try again"
        )
    if not reply.ok:
        raise DownloadError(f"{shown}: the server answers {reply.status_code} {reply.reason}")
    if "html" in reply.headers.get("Content-Type", ""):
        raise DownloadError(f"{shown}: the server gives a web page in place of the file")
    begin = part.stat().st_size if reply.status_code == 206 else 0
    total = begin + int(reply.headers.get("Content-Length", 0))
    version = reply.headers.get("ETag") or reply.headers.get("Last-Modified")
    note.write_text(json.dumps({"url": shown, "version": version}), encoding="utf-8")
    began, done = time.monotonic(), begin
    with part.open("r+b" if begin else "wb") as file:
        file.seek(begin)
        for chunk in reply.iter_content(_CHUNK):
            file.write(chunk)
            done += len(chunk)
            passed = time.monotonic() - began
            on_progress(
                Amount(
                    done_bytes=done, total_bytes=max(total, done), moved_bytes=done - begin, elapsed_s=passed
                )
            )


def _resume(have: int, url: str, note: Path) -> dict[str, str]:
    """The headers that ask for the rest; without a word on its version, the rest of what is there now."""
    try:
        known = load_json(note.read_bytes())
        if known["url"] != hide_password(url):
            return {}
        version = known.get("version")
        if not isinstance(version, str | None) or not (version or "").isprintable():
            return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
    same = {"If-Range": version} if version else {}
    return {"Range": f"bytes={have}-", **same}
