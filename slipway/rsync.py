"""rsync over the connection that is already there: the argv, what it prints, and the run."""

from __future__ import annotations

import os
import re
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from slipway.door import Door, open_door
from slipway.errors import ConnectionLostError, LinkError, ParseError, RemoteError
from slipway.link import Link
from slipway.shell import LocalShell, Result
from slipway.transfer import Amount, OnProgress, Transfer

# rsync wants a host before the colon; the name is never looked up.
_HOST = "cluster"
# Half a file lies in a folder of its own until the rest has come.
_TREE = ("--links", "--times", "--partial-dir=.slipway-partial")
# The newest image there is what rsync compares with, so that only what differs is sent. What an interrupted
# upload has left is further on than that.
_SEED = 'test -e "$2" || ! test -e "$1" || cp --reflink=auto -L -- "$1" "$2"'
_STATS = {
    "sent_bytes": re.compile(r"^Total bytes sent: ([\d,.]+)$", re.M),
    "received_bytes": re.compile(r"^Total bytes received: ([\d,.]+)$", re.M),
    "total_bytes": re.compile(r"^Total file size: ([\d,.]+) bytes$", re.M),
    "files": re.compile(r"^Number of (?:regular )?files transferred: ([\d,.]+)$", re.M),
}
_PROGRESS = re.compile(r"([\d,]+)\s+(\d+)%\s+\S+/s")


def rsync_command(
    sources: Iterable[str], destination: str, *, rsh_command: str, options: Iterable[str] = ()
) -> list[str]:
    """The argv of an rsync that goes through ``rsh_command`` and ends with statistics.

    Remote places start with the result of :func:`remote`.
    """
    fixed = ["rsync", "--protect-args", "--stats", "--info=progress2", "--outbuf=L", f"--rsh={rsh_command}"]
    return [*fixed, *options, "--", *sources, destination]


def remote(path: PurePosixPath, *, inside: bool = False) -> str:
    """A place on the cluster, as rsync writes it; ``inside`` means the folder's content."""
    return f"{_HOST}:{path}{'/' if inside else ''}"


def parse_stats(stdout: str) -> Transfer:
    """Read what ``rsync --stats`` prints.

    Raises:
        ParseError: a line that every rsync since version 3 prints is missing.
    """
    found = {}
    for name, pattern in _STATS.items():
        match = pattern.search(stdout)
        if match is None:
            raise ParseError(f"rsync's statistics have no {name}; it printed {stdout[-300:]!r}")
        found[name] = int(re.sub(r"\D", "", match[1]))
    return Transfer(**found)


def parse_progress(text: str) -> tuple[int, int] | None:
    """Bytes so far and per cent, from the newest progress line in ``text``; ``None`` without one."""
    found = _PROGRESS.findall(text)
    return (int(found[-1][0].replace(",", "")), int(found[-1][1])) if found else None


class Rsync:
    """rsync as a :class:`~slipway.transfer.Carrier`: of a changed file it sends what differs."""

    def __init__(self, link: Link) -> None:
        self.link = link

    def send_file(
        self,
        source: Path,
        folder: PurePosixPath,
        *,
        old: PurePosixPath | None = None,
        on_progress: OnProgress | None = None,
    ) -> Transfer:
        """See :meth:`slipway.transfer.Carrier.send_file`."""
        target = folder / source.name
        if old is not None:
            self.link.check(["bash", "-c", _SEED, "slipway", str(old), str(target)], timeout_s=3600)
        options = ["--times", "--partial", "--no-whole-file"]
        size_bytes = source.stat().st_size
        return self._run([str(source)], remote(target), options, on_progress, total_bytes=size_bytes)

    def send_tree(
        self,
        source: Path,
        target: PurePosixPath,
        *,
        names: Sequence[str] | None = None,
        old: PurePosixPath | None = None,
        on_progress: OnProgress | None = None,
    ) -> Transfer:
        """See :meth:`slipway.transfer.Carrier.send_tree`."""
        # One who sends data has to be able to send it again, whatever its modes are here.
        options = [*_TREE, "--executability", "--chmod=Du=rwx,Fu+rw"]
        if old is not None:
            options.append(f"--copy-dest={old}")
        with tempfile.NamedTemporaryFile(prefix="slipway-names-") as listed:
            if names is not None:
                # rsync takes a name that begins with # or ; for a comment.
                listed.write(b"".join(b"./" + os.fsencode(name) + b"\0" for name in names))
                listed.flush()
                options += [f"--files-from={listed.name}", "--from0"]
            else:
                options.append("--recursive")
            return self._run([f"{source.absolute()}/"], remote(target, inside=True), options, on_progress)

    def fetch_tree(
        self,
        source: PurePosixPath,
        target: Path,
        *,
        without: Sequence[str] = (),
        on_progress: OnProgress | None = None,
    ) -> Transfer:
        """See :meth:`slipway.transfer.Carrier.fetch_tree`."""
        options = [*_TREE, "--recursive", *(f"--exclude=/{name}" for name in without)]
        return self._run([remote(source, inside=True)], str(target), options, on_progress)

    def _run(
        self,
        sources: Sequence[str],
        destination: str,
        options: Sequence[str],
        on_progress: OnProgress | None,
        total_bytes: int | None = None,
    ) -> Transfer:
        began = time.monotonic()
        with open_door(self.link) as door:

            def listen(text: str) -> None:
                seen = parse_progress(text)
                if on_progress and seen:
                    done, percent = seen
                    total = total_bytes or (done * 100 // percent if percent else done)
                    on_progress(
                        Amount(
                            done_bytes=done,
                            total_bytes=total,
                            moved_bytes=door.sent_bytes + door.received_bytes,
                            elapsed_s=time.monotonic() - began,
                        )
                    )

            argv = rsync_command(sources, destination, rsh_command=door.command, options=options)
            result = LocalShell(env={**os.environ, "LC_ALL": "C.UTF-8"}).stream(argv, on_output=listen)
        if not result.ok:
            raise _failure(self.link, result, door)
        return parse_stats(result.stdout)


def _failure(link: Link, result: Result, door: Door) -> Exception:
    if door.lost is not None:
        if isinstance(door.lost, LinkError):
            return door.lost
        return ConnectionLostError(
            f"{link.target}: the connection was lost during rsync ({door.lost}); try again"
        )
    if door.exit_code == 127:
        return RemoteError(f"{link.target}: rsync is not installed there; ask the site to install it")
    if door.exit_code is not None and door.exit_code < 0:
        return RemoteError(f"{link.target}: rsync was killed there (out of memory?); try again")
    words = "\n  ".join([*door.said.strip().splitlines(), *result.stderr.strip().splitlines()][-8:])
    return RemoteError(f"{link.target}: rsync failed with exit code {result.exit_code}:\n  {words}")
