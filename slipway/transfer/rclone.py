"""One large file by way of an intermediary that both sides reach, such as a bucket, with rclone at both ends.

Whatever rclone needs to get in there is in its own configuration, here and on the cluster: nothing of it is
read, handed on or written down.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from slipway.errors import ConfigError, HostError, RemoteError, UsageError
from slipway.host.host import Host
from slipway.jsontext import load_json
from slipway.progress import Amount, OnProgress, Progress, Transfer
from slipway.shell import LocalShell
from slipway.web import hide_password

_PLACE = re.compile(r"([\w.+@][\w.+@ -]*):([^\x00-\x1f]*)")
_NO_SECTION = "didn't find section in config file"
# It is asked for with no terminal, and its own words come as lines of JSON.
_OPTIONS = (
    "--ask-password=false",
    "--use-json-log",
    "--stats=500ms",
    "--stats-log-level=NOTICE",
    "--retries=3",
)
_NOT_THERE = (3, 4)  # no such folder, no such file
_NOT_FOUND = 127
_LAST_LINES = 4
# A login shell has what the user's start files load, on a cluster often a module.
_THERE = 'command -v rclone >/dev/null || exit 127; exec rclone "$@" 2>&1'
_HERE = 'exec rclone "$@" 2>&1'


@dataclass(frozen=True, kw_only=True)
class Remote:
    """A folder of a remote of rclone's, as rclone is told it: ``REMOTE:PATH``."""

    name: str
    path: str

    def place(self, file: str = "") -> str:
        """The folder, or a file in it."""
        return f"{self.name}:" + "/".join(part for part in (self.path.rstrip("/"), file) if part)


def parse_remote(word: str) -> Remote:
    """Read what a user typed.

    Raises:
        UsageError: it is no remote of a configuration. One that is written out may hold a password, which
            others would see.
    """
    match = _PLACE.fullmatch(word)
    if match is None:
        shown = word.partition(":")[0][:40] if re.fullmatch(r"[^,=]*", word) else "…"
        raise UsageError(
            f"--via {shown}: write REMOTE:PATH, with the name of a remote from `rclone config` (`rclone "
            "listremotes` lists them); what it needs to get in stays in rclone's own configuration"
        )
    return Remote(name=match[1], path=match[2])


@dataclass(frozen=True, kw_only=True)
class Via:
    """Sends single files by way of a remote.

    Attributes:
        host: the connection to the cluster.
        remote: the intermediary.
        progress: is told each step.
    """

    host: Host
    remote: Remote
    progress: Progress

    def check(self) -> None:
        """See that rclone is there on both sides, and knows the remote, before anything is packed or sent.

        Raises:
            HostError: this machine has no rclone.
            RemoteError: the cluster has none.
            ConfigError: one of them does not know the remote, or cannot get in.
        """
        self.host.require_commands()
        probe = ["lsf", "--ask-password=false", "--retries=1", self.remote.place(".slipway")]
        for where, done in (("this machine", self._here(probe)), (str(self.host.target), self._there(probe))):
            code, lines = done
            if code and code not in _NOT_THERE:
                raise ConfigError(self._explain(where, code, lines))

    def send_file(
        self,
        source: Path,
        folder: PurePosixPath,
        *,
        old: PurePosixPath | None = None,
        on_progress: OnProgress | None = None,
    ) -> Transfer:
        """See :meth:`slipway.host.carrier.Carrier.send_file`; ``old`` is of no use here.

        What is there already, on the remote, is not uploaded again. It is removed once it has arrived.

        Raises:
            RemoteError: rclone failed here or there.
        """
        place, began = self.remote.place(source.name), time.monotonic()
        size_bytes = source.stat().st_size
        up = _Heard(size_bytes, on_progress)
        code, lines = self._here(["copyto", *_OPTIONS, str(source), place], up.listen)
        if code:
            raise RemoteError(self._explain("this machine", code, lines))
        self.progress.step(f"Fetching {source.name} on {self.host.target.host} from {self.remote.name}")
        down = _Heard(size_bytes, self.progress.transfer)
        code, lines = self._there(["copyto", *_OPTIONS, place, str(folder / source.name)], down.listen)
        if code:
            raise RemoteError(
                f"{self._explain(str(self.host.target), code, lines)}\n  {place} is uploaded: the same "
                "command only fetches it"
            )
        if self._here(["deletefile", "--ask-password=false", place])[0]:
            self.progress.note(
                f"{place} has arrived and could not be removed; remove it with `rclone deletefile`"
            )
        return Transfer(
            sent_bytes=up.moved_bytes,
            received_bytes=0,
            total_bytes=size_bytes,
            files=1,
            elapsed_s=time.monotonic() - began,
        )

    def _here(
        self, argv: Sequence[str], listen: Callable[[str], None] = lambda line: None
    ) -> tuple[int, list[str]]:
        heard = _Lines(listen)
        command = ["sh", "-c", _HERE, "slipway", *argv]
        code = LocalShell().stream(command, on_output=heard.add).exit_code
        if code == _NOT_FOUND:
            raise HostError(
                "--via needs rclone on this machine, and it is not installed (Debian: apt install rclone; "
                "macOS: brew install rclone)"
            )
        return code, heard.end()

    def _there(
        self, argv: Sequence[str], listen: Callable[[str], None] = lambda line: None
    ) -> tuple[int, list[str]]:
        lines: list[str] = []

        def hear(line: str) -> None:
            lines.append(line)
            listen(line)

        code = self.host.stream(["bash", "-lc", _THERE, "slipway", *argv], hear)
        if code == _NOT_FOUND:
            raise RemoteError(
                f"{self.host.target}: --via needs rclone there, too, and a login shell finds none; load its "
                "module in a start file, or put rclone's one file into ~/bin"
            )
        return code, lines

    def _explain(self, where: str, code: int, lines: Sequence[str]) -> str:
        said = [hide_password(text) for text in map(_words, lines) if text]
        if any(_NO_SECTION in text for text in said):
            return (
                f"rclone on {where} knows no remote {self.remote.name!r}; `rclone config` makes one, of "
                "one name on both sides"
            )
        last = "".join(f"\n  {text}" for text in dict.fromkeys(said[-_LAST_LINES:])) or " and said nothing"
        return f"rclone on {where} ended with exit code {code} at {self.remote.place()}:{last}"


class _Lines:
    """Text in pieces, by lines."""

    def __init__(self, listen: Callable[[str], None]) -> None:
        self._listen, self._rest = listen, ""
        self._lines: list[str] = []

    def add(self, text: str) -> None:
        *whole, self._rest = (self._rest + text).split("\n")
        for line in whole:
            self._lines.append(line)
            self._listen(line)

    def end(self) -> list[str]:
        return [*self._lines, self._rest]


class _Heard:
    """What rclone says of how far it is."""

    def __init__(self, size_bytes: int, on_progress: OnProgress | None) -> None:
        self._size_bytes, self._on_progress = size_bytes, on_progress
        self._began = time.monotonic()
        self.moved_bytes = 0

    def listen(self, line: str) -> None:
        stats = _record(line).get("stats")
        done = stats.get("bytes") if isinstance(stats, dict) else None
        if not isinstance(done, int):
            return
        self.moved_bytes = done
        if self._on_progress:
            self._on_progress(
                Amount(
                    done_bytes=min(done, self._size_bytes),
                    total_bytes=self._size_bytes,
                    moved_bytes=done,
                    elapsed_s=time.monotonic() - self._began,
                )
            )


def _record(line: str) -> dict[str, Any]:
    try:
        record = load_json(line) if line.startswith("{") else {}
    except ValueError:
        return {}
    return record if isinstance(record, dict) else {}


def _words(line: str) -> str:
    """What a line of rclone's says to a person; nothing where it only says how far it is."""
    record = _record(line)
    return "" if "stats" in record else str(record.get("msg", line)).strip()
