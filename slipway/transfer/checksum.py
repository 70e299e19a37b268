"""Checksums of files on the cluster."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath

from slipway.errors import ParseError, RemoteError
from slipway.host.host import Host

_XARGS = 123  # a command that it started has failed


def hash_remote(
    host: Host, folder: PurePosixPath, names: Sequence[str], *, some_closed: bool = False
) -> dict[str, str]:
    """The SHA-256 of files on the cluster, in hex, by name.

    Where no command can be run there, they are read back and hashed here.

    Args:
        host: the connection.
        folder: where the files are.
        names: the files, relative to ``folder``. One that is not there is not in the answer.
        some_closed: one that cannot be read is no error, and is not in the answer either; only where
            commands can be run.

    Raises:
        RemoteError: a file is there and cannot be read.
        ParseError: sha256sum printed something else.
    """
    if not host.runs_commands:
        from slipway.transfer.sftp.readback import hash_back
        from slipway.transfer.sftp.sftp import CHANNELS

        with host.pool(CHANNELS) as pool:
            return hash_back(pool, folder, names)
    # Many files for one sha256sum: to start one for each costs more than most files do.
    script = (
        'cd -- "$1" && xargs -0r sh -c \'for name; do test ! -e "$name" || printf "%s\\0" "$name"; done\' sh'
    )
    script += " | xargs -0r sha256sum -bz --"
    listed = "".join(f"{name}\0" for name in names)
    done = host.run(["sh", "-c", script, "slipway", str(folder)], stdin=listed, timeout_s=24 * 3600)
    if not (done.ok or (some_closed and done.exit_code == _XARGS)):
        raise RemoteError(f"{host.target}:{folder}: files cannot be read there: {done.stderr.strip()}")
    return dict(_parse_line(line) for line in done.stdout.split("\0") if line)


def _parse_line(line: str) -> tuple[str, str]:
    digest, star, name = line.partition(" *")
    if not star or len(digest) != 64:
        raise ParseError(f"sha256sum printed {line[:200]!r}; expected a hash and a name")
    return name, digest
