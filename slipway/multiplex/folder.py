"""Where the sockets of kept connections are: a folder that is this user's alone, looked at at every use."""

from __future__ import annotations

import hashlib
import json
import os
import re
import socket
import stat
import struct
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from slipway.errors import HostError
from slipway.multiplex.frame import VERSION

if TYPE_CHECKING:
    from slipway.ssh.target import Target

# A socket's path may have 107 bytes at most, on macOS 103; its name and a suffix go behind this.
_LONGEST_BYTES = 64
_SUFFIX = ".login"
# macOS has no SO_PEERCRED, but SOL_LOCAL and LOCAL_PEERCRED of <sys/un.h>: a version and a user's id.
_SOL_LOCAL, _LOCAL_PEERCRED = 0, 1


def is_possible() -> bool:
    """False where the system has no such sockets, as Python on Windows."""
    return hasattr(socket, "AF_UNIX") and hasattr(os, "getuid")


def require_possible() -> None:
    """Go on only where connections can be kept.

    Raises:
        HostError: they cannot.
    """
    if not is_possible():
        raise HostError(
            "a login cannot be kept on Windows, where Python has no Unix sockets; each command logs in by "
            "itself. In WSL it can"
        )


def socket_folder() -> Path:
    """The folder for this user's sockets; it need not be there."""
    user = os.getuid()
    runtime = Path(os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{user}")
    if len(os.fsencode(runtime)) <= _LONGEST_BYTES and _is_mine(runtime):
        return runtime / "slipway"
    return Path(f"/tmp/slipway-{user}")  # noqa: S108 - whose it is, is looked at


def make_folder() -> Path:
    """The folder for this user's sockets, made where it is not there.

    Raises:
        HostError: somebody else can get at it, or it cannot be made.
    """
    folder = socket_folder()
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise HostError(f"{folder} cannot be made ({error.strerror or error})") from error
    check_private(folder)
    return folder


def find_folder() -> Path | None:
    """The folder for this user's sockets; ``None`` where it is not there.

    Raises:
        HostError: somebody else can get at it.
    """
    folder = socket_folder()
    if not os.path.lexists(folder):
        return None
    check_private(folder)
    return folder


def check_private(path: Path) -> None:
    """Go on only where a folder is this user's, and nobody else can look into it.

    Raises:
        HostError: it is not so.
    """
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise HostError(f"{path} is to be the folder of kept logins, and is none; remove it")
    if found.st_uid != os.getuid():
        raise HostError(
            f"{path}, where kept logins would be, belongs to another user (id {found.st_uid}). Nobody should "
            "have made it: ask who did, and set XDG_RUNTIME_DIR to a folder of your own meanwhile"
        )
    if found.st_mode & 0o077:
        raise HostError(
            f"others can get at {path}, where kept logins are (mode {found.st_mode & 0o777:03o}), so none of "
            f"them is used. If that was you, `chmod 700 {path}`, then `invoke logout` and log in again"
        )


def socket_path(folder: Path, target: Target) -> Path:
    """The socket of the connection to a host; who logs in how, where and by which way is in its name."""
    # Words for people make no other connection.
    values = json.dumps([VERSION, asdict(replace(target, vpn=None))], sort_keys=True)
    return folder / f"{hashlib.sha256(values.encode()).hexdigest()[:16]}{_SUFFIX}"


def list_sockets(folder: Path) -> Sequence[Path]:
    """The sockets in the folder, also dead ones."""
    return sorted(folder.glob(f"*{_SUFFIX}"))


def list_unfinished(folder: Path) -> Sequence[Path]:
    """The dead sockets of processes that were killed before they had given them their name."""
    found = [one for one in folder.iterdir() if re.fullmatch(r"\.[0-9]{1,9}", one.suffix)]
    return [one for one in found if not _is_alive(int(one.suffix[1:])) and _is_own_socket(one)]


def connect_socket(path: Path, timeout_s: float | None) -> socket.socket | None:
    """A connection to the process behind a socket; ``None`` where there is none.

    Raises:
        HostError: it is another user's.
    """
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.settimeout(timeout_s)
        connection.connect(str(path))
    except OSError:
        connection.close()
        return None
    if peer_user(connection) not in (os.getuid(), None):
        connection.close()
        raise HostError(f"{path} is served by another user; remove it, and ask who it was")
    return connection


def is_dead(path: Path) -> bool:
    """True where nobody serves a socket; one that does not answer in time is none of those."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.setblocking(False)
        try:
            connection.connect(str(path))
        except ConnectionRefusedError:
            return True
        except OSError:
            pass
    return False


def peer_user(connection: socket.socket) -> int | None:
    """The id of the user at the other end of a socket; ``None`` where the system does not tell."""
    with suppress(OSError, struct.error):
        if hasattr(socket, "SO_PEERCRED"):
            found = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
            return int(struct.unpack("3i", found)[1])
        found = connection.getsockopt(_SOL_LOCAL, _LOCAL_PEERCRED, 76)
        return int(struct.unpack_from("=II", found)[1])
    return None


def _is_alive(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass
    return True


def _is_own_socket(path: Path) -> bool:
    try:
        found = path.lstat()
    except OSError:
        return False
    return stat.S_ISSOCK(found.st_mode) and found.st_uid == os.getuid() and is_dead(path)


def _is_mine(folder: Path) -> bool:
    try:
        found = folder.stat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()
