"""rsync over the connection that is already there: the argv, what it prints, and the run."""

from __future__ import annotations

import os
import re
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path, PurePosixPath

from slipway.errors import (
    ConnectionLostError,
    DataError,
    HostError,
    ParseError,
    RemoteError,
    RemoteSpaceError,
    SlipwayError,
    SpaceError,
)
from slipway.host.host import Host
from slipway.progress import Amount, OnProgress, Transfer
from slipway.sftp.listing import list_tree
from slipway.shell import LocalShell, Result
from slipway.skipped import Skipped
from slipway.transfer.basis import prepare_attempt
from slipway.transfer.letter_case import explain_clash, find_clashes, ignores_case
from slipway.transfer.rsync_tunnel import RsyncTunnel, open_rsync_tunnel
from slipway.transfer.rsync_words import (
    NO_ROOM,
    SOME_FAILED,
    VANISHED,
    SkipRule,
    exclude_patterns,
    parse_left_out,
)
from slipway.transfer.sftp.local_file import told

# rsync wants a host before the colon; the name is never looked up.
_HOST = "cluster"
# Half a file lies in a folder of its own until the rest has come.
_TREE = ("--links", "--times", "--partial-dir=.slipway-partial")
# Whoever has a copy has to be able to read it, replace it and remove it.
_MODES = "--chmod=Du=rwx,Fu+rw"
# The rsync of a connection that is gone ends at last, and does not wait there for ever.
_SILENCE_S = 600
# rsync's own codes, from its manual.
_FILE_IO = 11
_TIMEOUT = 30
_NOT_FOUND = 127
_STATS = {
    "sent_bytes": re.compile(r"^Total bytes sent: ([\d,.]+)$", re.M),
    "received_bytes": re.compile(r"^Total bytes received: ([\d,.]+)$", re.M),
    "total_bytes": re.compile(r"^Total file size: ([\d,.]+) bytes$", re.M),
    "files": re.compile(r"^Number of (?:regular )?files transferred: ([\d,.]+)$", re.M),
}
_PROGRESS = re.compile(r"(?<![\d,])([\d,]{1,30})\s{1,20}(\d{1,3})%\s{1,20}\S{1,20}/s")


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
    found: dict[str, int] = {}
    for name, pattern in _STATS.items():
        match = pattern.search(stdout)
        if match is None:
            raise ParseError(f"rsync's statistics have no {name}; it printed {stdout[-300:]!r}")
        found[name] = int(re.sub(r"\D", "", match[1]))
    return Transfer(
        sent_bytes=found["sent_bytes"],
        received_bytes=found["received_bytes"],
        total_bytes=found["total_bytes"],
        files=found["files"],
    )


def parse_progress(text: str) -> tuple[int, int] | None:
    """Bytes so far and per cent, from the newest progress line in ``text``; ``None`` without one."""
    found = _PROGRESS.findall(text)
    return (int(found[-1][0].replace(",", "")), int(found[-1][1])) if found else None


class Rsync:
    """rsync as a :class:`~slipway.host.carrier.Carrier`: of a changed file it sends what differs."""

    def __init__(self, host: Host) -> None:
        self.host = host

    def send_file(
        self,
        source: Path,
        folder: PurePosixPath,
        *,
        old: PurePosixPath | None = None,
        on_progress: OnProgress | None = None,
    ) -> Transfer:
        """See :meth:`slipway.host.carrier.Carrier.send_file`."""
        size_bytes = source.stat().st_size
        attempt = prepare_attempt(self.host, folder, source.name, size_bytes, old)
        # Half a file keeps its name's place in the attempt's folder, and what is compared lies in another.
        options = ["--times", "--ignore-times", "--partial", "--no-whole-file", f"--timeout={_SILENCE_S}"]
        options.append(f"--compare-dest={attempt.basis}")
        target = remote(attempt.folder, inside=True)
        transfer = self._run([str(source)], target, options, on_progress, total_bytes=size_bytes)
        self.host.move(attempt.folder / source.name, folder / source.name)
        return transfer

    def send_tree(
        self,
        source: Path,
        target: PurePosixPath,
        *,
        names: Sequence[str] | None = None,
        old: PurePosixPath | None = None,
        partial: bool = False,
        on_progress: OnProgress | None = None,
    ) -> Transfer:
        """See :meth:`slipway.host.carrier.Carrier.send_tree`."""
        options = [*_TREE, _MODES, "--executability"]
        if old is not None:
            options.append(f"--copy-dest={old}")
        with _listed(_plain(names or ())) as wanted:
            options += ["--recursive"] if names is None else ["--from0", f"--files-from={wanted}"]
            root = source.absolute()
            skips = SkipRule(roots=(str(root),), only_here=True) if partial else None
            return self._run([f"{root}/"], remote(target, inside=True), options, on_progress, skips=skips)

    def fetch_tree(
        self,
        source: PurePosixPath,
        target: Path,
        *,
        names: Sequence[str] | None = None,
        without: Sequence[str] = (),
        on_progress: OnProgress | None = None,
    ) -> Transfer:
        """See :meth:`slipway.host.carrier.Carrier.fetch_tree`."""
        options = [*_TREE, _MODES, *(f"--exclude=/{name}" for name in without)]
        with told(target):
            target.mkdir(parents=True, exist_ok=True)
            clashes = self._find_clashes(source, target)
        skips = SkipRule(roots=(str(source), str(target.absolute()), str(target)), only_here=False)
        with _listed(exclude_patterns(list(clashes))) as excluded, _listed(_plain(names or ())) as wanted:
            options += ["--from0", f"--exclude-from={excluded}"] if clashes else []
            options += ["--recursive"] if names is None else ["--from0", f"--files-from={wanted}"]
            transfer = self._run(
                [remote(source, inside=True)], str(target), options, on_progress, skips=skips
            )
        clashed = [Skipped(name=name, why=explain_clash(other)) for name, other in clashes.items()]
        return replace(transfer, skipped=[*transfer.skipped, *clashed])

    def _find_clashes(self, source: PurePosixPath, target: Path) -> dict[str, str]:
        """What rsync would write over something else, since the disk here does not tell the names apart."""
        if not ignores_case(target):
            return {}
        with self.host.pool(1) as pool:
            return find_clashes(list_tree(pool, source, lambda _: True, on_refused=lambda *_: None))

    def _run(
        self,
        sources: Sequence[str],
        destination: str,
        options: Sequence[str],
        on_progress: OnProgress | None,
        total_bytes: int | None = None,
        skips: SkipRule | None = None,
    ) -> Transfer:
        began: float | None = None
        with open_rsync_tunnel(self.host) as tunnel:

            def listen(text: str) -> None:
                nonlocal began
                seen = parse_progress(text)
                if on_progress and seen:
                    # Nothing is sent while the other side reads what it has, which can take minutes.
                    began = began or time.monotonic()
                    done, percent = seen
                    total = total_bytes or (done * 100 // percent if percent else done)
                    on_progress(
                        Amount(
                            done_bytes=done,
                            total_bytes=total,
                            moved_bytes=tunnel.sent_bytes + tunnel.received_bytes,
                            elapsed_s=time.monotonic() - began,
                        )
                    )

            argv = rsync_command(sources, destination, rsh_command=tunnel.command, options=options)
            result = LocalShell(env={**os.environ, "LC_ALL": "C.UTF-8"}).stream(argv, on_output=listen)
        skipped = skips.find(result, tunnel.said) if skips is not None and tunnel.lost is None else []
        if not (result.ok or skipped):
            raise _failure(self.host, result, tunnel, destination)
        return replace(parse_stats(result.stdout), skipped=skipped, left_out=parse_left_out(result.stdout))


@contextmanager
def _listed(words: Iterable[str]) -> Iterator[str]:
    """A file of these words, each ended by a zero byte, as ``--from0`` reads it."""
    with tempfile.NamedTemporaryFile(prefix="slipway-names-") as file:
        file.write(b"".join(os.fsencode(word) + b"\0" for word in words))
        file.flush()
        yield file.name


def _plain(names: Iterable[str]) -> Iterator[str]:
    # rsync takes a name that begins with # or ; for a comment.
    return (f"./{name}" for name in names)


def _failure(host: Host, result: Result, tunnel: RsyncTunnel, target: str) -> Exception:
    """What an rsync that failed has failed by, in the order of what is surest."""
    code, there = result.exit_code, tunnel.exit_code
    words = [*tunnel.said.strip().splitlines(), *result.stderr.strip().splitlines()][-8:]
    said = "".join(f"\n  {line}" for line in words)
    if isinstance(tunnel.lost, SlipwayError):
        return tunnel.lost
    if tunnel.lost is not None or code == _TIMEOUT:
        reason = tunnel.lost or f"nothing came for {_SILENCE_S} s"
        return ConnectionLostError(f"{host.target}: the connection was lost during rsync ({reason})")
    if code < 0:
        return HostError(f"rsync was killed on this machine (signal {-code}; out of memory?); try again")
    if there == _NOT_FOUND:
        return RemoteError(f"{host.target}: rsync is not installed there; ask the site to install it")
    if there is not None and there < 0:
        return RemoteError(f"{host.target}: rsync was killed there (out of memory?); try again")
    no_room = NO_ROOM.search(f"{tunnel.said}\n{result.stderr}")
    if code in (_FILE_IO, SOME_FAILED) and no_room and not target.startswith(f"{_HOST}:"):
        return SpaceError(f"{target}: there is no room for it on this machine; rsync said:{said}")
    if no_room and (_FILE_IO in (code, there) or code == SOME_FAILED):
        return RemoteSpaceError(f"{host.target}: the disk is full, or a quota is reached; rsync said:{said}")
    if there == _FILE_IO:
        # A sender that finds its line closed does not always come to read why.
        said += "\n  (The other side could not write: is the disk full there, or a quota reached?)"
    if code == VANISHED:
        return DataError(f"files were removed while they were sent, or fetched; try again. rsync said:{said}")
    return RemoteError(f"{host.target}: rsync failed with exit code {code}:{said}")
