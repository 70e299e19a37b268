"""Connections that are kept: found, made, listed and ended."""

from __future__ import annotations

import os
import signal
import socket
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slipway.errors import SshError
from slipway.lock import only_one, try_lock
from slipway.multiplex.folder import (
    find_folder,
    is_dead,
    is_possible,
    list_sockets,
    list_unfinished,
    make_folder,
    socket_path,
)
from slipway.multiplex.relay import Relay, target_values
from slipway.multiplex.transport import GoneError, KeptTransport, ask_keeper
from slipway.shell import start_beside
from slipway.ssh.prompt import Prompt
from slipway.ssh.target import Target

if TYPE_CHECKING:
    import subprocess

_END_S = 5.0
_MOST_SAID_BYTES = 1 << 16
# The path of imports is this process's own: the current folder is no part of it.
_START = "import sys; sys.path[:] = sys.argv[1:-1]; from slipway.multiplex.process import main; main()"


@dataclass(frozen=True, kw_only=True)
class Kept:
    """One connection that is kept.

    Attributes:
        target: who is logged in where, for people.
        names: of the sites that it was used for.
        since: when it was made, in seconds of the Unix clock.
        until: when it ends if nobody uses it; ``None`` while somebody does.
        idle_s: for how long nobody has used it.
        keep_s: for how long nobody may use it.
        users: how many commands use it.
    """

    path: Path
    target: str
    names: tuple[str, ...]
    since: float
    until: float | None
    idle_s: float
    keep_s: float
    users: int


def find_kept(target: Target, name: str = "") -> KeptTransport | None:
    """The kept connection to a host; ``None`` where there is none that is alive.

    Args:
        target: the host, and how it is reached.
        name: of the site.

    Raises:
        HostError: somebody else can get at the folder of the sockets.
    """
    folder = find_folder() if is_possible() else None
    if folder is None:
        return None
    try:
        return KeptTransport(socket_path(folder, target), name)
    except (GoneError, TimeoutError):
        return None


def keep(
    target: Target,
    ask: Prompt,
    keep_s: float,
    name: str,
    on_wait: Callable[[], None],
    *,
    meets_hosts: bool = False,
) -> KeptTransport:
    """The kept connection to a host, which is made where there is none.

    Args:
        target: the host, and how it is reached.
        ask: answers the prompts.
        keep_s: for how many seconds without use.
        name: of the site.
        on_wait: is called where another command is logging in there, and that is waited for.
        meets_hosts: whoever answers is shown the keys of hosts that are not known, and may have them kept.

    Raises:
        HostError: somebody else can get at the folder of the sockets.
        SshError: see :func:`slipway.ssh.login.log_in`.
    """
    path = socket_path(make_folder(), target)
    if found := find_kept(target, name):
        return found
    _tidy_unfinished(path.parent)
    with only_one(path.with_suffix(".lock"), on_wait):
        return find_kept(target, name) or _start(path, target, ask, keep_s, name, meets_hosts)


def list_kept() -> list[Kept]:
    """All connections of this user's that are kept on this machine; what has ended is tidied away."""
    folder = find_folder() if is_possible() else None
    kept = []
    if folder:
        _tidy_unfinished(folder)
    for path in list_sockets(folder) if folder else ():
        state = ask_keeper(path, {"want": "state"})
        if state is None:
            _tidy(path)
        else:
            kept.append(parse_kept(path, state))
    return kept


def _tidy(path: Path) -> None:
    """Remove a socket that nobody serves, but not one that another command is about to put there."""
    with try_lock(path.with_suffix(".lock")) as is_mine:
        if is_mine and is_dead(path):
            path.unlink(missing_ok=True)


def _tidy_unfinished(folder: Path) -> None:
    """Remove what a process has left that was killed while it began to serve its socket."""
    for path in list_unfinished(folder):
        with try_lock(path.with_suffix(".lock")) as is_mine:
            if is_mine:
                path.unlink(missing_ok=True)


def end_kept(path: Path) -> bool:
    """End a connection, and whatever is under way on it; False where there was none."""
    return ask_keeper(path, {"want": "end"}) is not None


def path_of(target: Target) -> Path | None:
    """The socket that the connection to a host has, if it is kept; ``None`` where nothing is."""
    folder = find_folder() if is_possible() else None
    return socket_path(folder, target) if folder else None


def parse_kept(path: Path, state: Mapping[str, Any]) -> Kept:
    """What a keeper has said of its connection."""
    return Kept(
        path=path,
        target=state["target"],
        names=tuple(state["names"]),
        since=state["since"],
        until=state["until"],
        idle_s=state["idle_s"],
        keep_s=state["keep_s"],
        users=state["users"],
    )


def start_process(descriptor: int, errors: int) -> subprocess.Popen[bytes]:
    """Start the process that logs in and keeps the connection.

    Args:
        descriptor: its end of the socket on which it is told what to do.
        errors: the file that its standard error goes to.
    """
    argv = [sys.executable, "-c", _START, *_import_path(), str(descriptor)]
    return start_beside(argv, descriptor=descriptor, errors=errors)


def _start(
    path: Path, target: Target, ask: Prompt, keep_s: float, name: str, meets_hosts: bool
) -> KeptTransport:
    here, there = socket.socketpair()
    with here, tempfile.TemporaryFile() as said:
        with there:
            process = start_process(there.fileno(), said.fileno())
        try:
            relay = Relay(here)
            values = {"target": target_values(target), "path": str(path), "keep_s": keep_s, "name": name}
            relay.say({**values, "meets_hosts": meets_hosts})
            _converse(relay, ask, said.fileno())
            relay.release()
            made = KeptTransport(path, name, was_there=False)
        except GoneError as error:
            raise SshError(f"{target}: the connection was lost at once ({error}); try again") from error
        except BaseException:
            here.close()
            _end(process)
            raise
    return made


def _import_path() -> Sequence[str]:
    return [str(Path(entry).absolute()) for entry in sys.path]


def _converse(relay: Relay, ask: Prompt, said: int) -> None:
    """Answer what is asked, and show what a ProxyCommand says meanwhile on standard error."""
    shown = 0

    def show() -> None:
        nonlocal shown
        # The keeper writes on behind what it has written, so its place in the file stays as it is.
        if content := os.pread(said, _MOST_SAID_BYTES, shown):
            shown += len(content)
            with suppress(OSError):
                os.write(2, content)

    try:
        for _ in relay.converse(relay.messages(), ask):
            show()
    finally:
        show()


def _end(process: subprocess.Popen[bytes]) -> None:
    """See to it that the keeper ends; it does by itself as soon as nobody listens to it."""
    import subprocess

    try:
        process.wait(timeout=_END_S)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
