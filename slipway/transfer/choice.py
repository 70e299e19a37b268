"""Which carrier serves: rsync where both sides have one that is new enough, SFTP otherwise."""

from __future__ import annotations

import re
import socket

from slipway.errors import ConfigError, HostError, TransferOnlyError
from slipway.host.carrier import Carrier
from slipway.host.host import Host
from slipway.progress import Progress
from slipway.shell import LocalShell, Result

# --info=progress2 here, --protect-args there.
LEAST_HERE = (3, 1)
LEAST_THERE = (3, 0)
_VERSION = re.compile(r"^rsync\s+version v?([0-9]{1,18})\.([0-9]{1,18})", re.M)
_NOT_FOUND = 127


def choose_carrier(host: Host, progress: Progress) -> Carrier:
    """What moves files to and from this site; found out once a connection.

    Raises:
        ConfigError: the site wants rsync (``login.transfer``), and it cannot be had.
    """
    if host.carrier is None:
        host.carrier = _choose(host, progress)
    return host.carrier


def parse_version(stdout: str) -> tuple[int, int] | None:
    """The version that ``rsync --version`` prints; ``None`` for something else, such as macOS's openrsync."""
    match = _VERSION.search(stdout)
    if match is None or stdout.startswith("openrsync"):
        return None
    return int(match[1]), int(match[2])


def _choose(host: Host, progress: Progress) -> Carrier:
    from slipway.transfer.rsync import Rsync
    from slipway.transfer.sftp.sftp import Sftp

    if host.transfer == "sftp":
        return Sftp(host)
    why = _why_no_rsync(host)
    if why is None:
        return Rsync(host)
    if host.transfer == "rsync":
        raise ConfigError(f"{host.target}: login.transfer is rsync, but {why}")
    progress.note(f"Files go by SFTP, since {why}. That is slower: a file that has changed goes whole")
    return Sftp(host)


def _why_no_rsync(host: Host) -> str | None:
    """What is missing, and what would help; ``None`` where nothing is."""
    try:
        there = host.run(["rsync", "--version"])
    except TransferOnlyError:
        return f"{host.target} runs no commands for this account"
    if not hasattr(socket, "AF_UNIX"):
        return "rsync cannot be reached on this system"
    try:
        here = LocalShell().run(["rsync", "--version"])
    except HostError:
        return "rsync is not installed on this machine (Debian: apt install rsync; macOS: brew install rsync)"
    why = _why_not(here, "on this machine", LEAST_HERE)
    return why or _why_not(there, f"on {host.target.host}", LEAST_THERE)


def _why_not(result: Result, where: str, least: tuple[int, int]) -> str | None:
    wanted = f"{least[0]}.{least[1]} or newer"
    if result.exit_code == _NOT_FOUND:
        return f"rsync is not installed {where} (ask for version {wanted})"
    version = parse_version(result.stdout) if result.ok else None
    if version is None:
        said = (result.stdout.strip() or result.stderr.strip() or "nothing").splitlines()[0]
        return f"the rsync {where} cannot be used: it says {said!r}, and version {wanted} is needed"
    if version < least:
        return f"the rsync {where} is too old: {version[0]}.{version[1]}, and {wanted} is needed"
    return None
