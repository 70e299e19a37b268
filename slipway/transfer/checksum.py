"""Checksums of files on the cluster."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import PurePosixPath

from slipway.errors import ParseError, RemoteError
from slipway.host.host import Host

_XARGS = 123  # a command that it started has failed
# OpenSSL uses the processor's instructions for SHA-256, and needs a sixth of the time of a sha256sum that
# does not. It is asked first whether it hashes.
_HASHES = f"""
hashes_with() {{
    case $1,$(printf '' | openssl dgst -sha256 -r 2>/dev/null) in
    openssl,{hashlib.sha256().hexdigest()}*) true ;;
    *) false ;;
    esac
}}
"""
# Hashes its input.
HASH = f"{{ {_HASHES} if hashes_with openssl; then openssl dgst -sha256 -r; else sha256sum; fi; }}"
# Many files for one program: to start one for each costs more than most files do. OpenSSL has no option that
# ends lines with zero bytes.
_HASH_FILES = rf"""{_HASHES}
cd -- "$1" || exit
there() {{ xargs -0r sh -c 'for name; do test ! -e "$name" || printf "%s\0" "./$name"; done' sh; }}
if hashes_with "$2"; then
    there | xargs -0r openssl dgst -sha256 -r
else
    there | xargs -0r sha256sum -bz --
fi
"""


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
        ParseError: what hashes there printed something else.
    """
    if not host.runs_commands:
        from slipway.transfer.sftp.readback import hash_back
        from slipway.transfer.sftp.sftp import CHANNELS

        with host.pool(CHANNELS) as pool:
            return hash_back(pool, folder, names)
    listed = "".join(f"{name}\0" for name in names)
    program = "sha256sum" if "\n" in listed else "openssl"
    script = ["sh", "-c", _HASH_FILES, "slipway", str(folder), program]
    done = host.run(script, stdin=listed, timeout_s=24 * 3600)
    if not (done.ok or (some_closed and done.exit_code == _XARGS)):
        raise RemoteError(f"{host.target}:{folder}: files cannot be read there: {done.stderr.strip()}")
    said = done.stdout if program == "sha256sum" else done.stdout.replace("\n", "\0")
    return dict(_parse_line(line) for line in said.split("\0") if line)


def _parse_line(line: str) -> tuple[str, str]:
    digest, star, name = line.partition(" *./")
    if not star or len(digest) != 64:
        raise ParseError(f"sha256sum or openssl printed {line[:200]!r}; expected a hash and a name")
    return name, digest
