"""rsync on this machine."""

from __future__ import annotations

import socket

from slipway.doctor.check import Answer, Check, Facts, Place
from slipway.doctor.finding import Finding, failed, ok, skipped, warning
from slipway.errors import HostError
from slipway.shell import LocalShell
from slipway.transfer.choice import LEAST_HERE, parse_version

SLOWER = "files go by SFTP, which is slower: a file that has changed goes whole"
_INSTALL = "Debian: `sudo apt install rsync`; macOS: `brew install rsync`"


def _look(facts: Facts, _: Answer) -> Finding:
    if facts.site is not None and facts.site.login.transfer == "sftp":
        return skipped(f"files of {facts.site.name} go by SFTP (login.transfer)")
    if not hasattr(socket, "AF_UNIX"):
        return skipped("rsync cannot be reached on this system; files go by SFTP")
    try:
        said = LocalShell().run(["rsync", "--version"])
    except HostError:
        return missing(facts, "rsync is not installed here", _INSTALL)
    version = parse_version(said.stdout) if said.ok else None
    if version is None or version < LEAST_HERE:
        shown = next(iter(said.stdout.splitlines()), "nothing")[:60]
        wanted = ".".join(map(str, LEAST_HERE))
        return missing(facts, f"it says {shown!r}, and {wanted} or newer is needed", _INSTALL)
    return ok(f"rsync {version[0]}.{version[1]}")


def missing(facts: Facts, seen: str, fix: str) -> Finding:
    """There is no rsync that can be used; where the site insists on it, nothing goes."""
    if facts.site is not None and facts.site.login.transfer == "rsync":
        so = "`invoke push` and `invoke stage` would be refused, since login.transfer is rsync"
        return failed(seen, so=so, fix=f"{fix}; or `transfer: auto` in {facts.file}")
    return warning(seen, so=SLOWER, fix=fix)


CHECKS = (
    Check(
        name="rsync-here",
        title="rsync",
        place=Place.HERE,
        about="rsync of this machine, and its version.",
        predicts="Files go by SFTP; with `transfer: rsync` not at all.",
        look=_look,
    ),
)
