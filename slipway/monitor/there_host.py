"""The monitor's program on the cluster, as it is sent, started, asked and stopped over a connection."""

from __future__ import annotations

import hashlib
import secrets
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

from slipway.code.package import pack_files
from slipway.errors import ParseError, RemoteError
from slipway.host.host import Host
from slipway.host.scratch import Scratch
from slipway.jsontext import load_json

_PACKAGE = "slipway_monitor"
_MARK = "slipway-monitor "
_PIECE_BYTES = 1 << 20
# Long enough for it to wait for one that stops.
_PATIENCE_S = 180
# The first one that is there and new enough; where none is, what there is.
_FIND = """for name in python3 /usr/libexec/platform-python python3.13 python3.12 python3.11 python3.10 \\
    python3.9 python3.8 python3.7 python3.6 python; do
    found=$(command -v "$name") || continue
    [ "$("$found" -c 'import sys; print(sys.version_info >= (3, 6))' </dev/null 2>/dev/null)" = True ] &&
        echo "$found" && exit
    "$found" -V 2>&1 </dev/null
done
exit 1
"""
_UNPACK = """cd -- "$1" && umask 077 && mkdir -p monitors && cd monitors && mkdir -p "$2" || exit
part=.$3-$4
trap 'rm -rf "$part" "$3/$part"; rmdir "$2" 2>/dev/null' EXIT
trap 'exit 1' HUP INT TERM
mkdir "$part" && tar -xf - -C "$part" --no-same-owner && mv "$part/order.json" "$2/order-$4.json" || exit
[ -d "$3" ] || mv "$part" "$3" 2>/dev/null
[ -d "$3" ]
"""
_CALL = 'cd -- "$1" && shift && exec "$@"'


@dataclass(frozen=True, kw_only=True)
class There:
    """How a monitor on the cluster stands.

    Attributes:
        state: ``runs``, ``waits`` (its job does), ``ended``, ``dead`` (without a word) or ``none``.
        where: the machine and the process, or the job.
        job: the id of its job; empty where it is none.
        began: whether it was started by the call that was answered so.
        why: ``over``, ``stopped``, ``refused`` or ``error``, where it has ended.
        words: more of that.
    """

    state: str
    where: str = ""
    job: str = ""
    began: bool = False
    why: str = ""
    words: str = ""

    @property
    def is_alive(self) -> bool:
        """True where it works, or will."""
        return self.state in ("runs", "waits")


@cache
def program_files() -> Mapping[str, bytes]:
    """The program's files, by their names there."""
    folder = Path(__file__).parent / "there"
    return {f"{_PACKAGE}/{file.name}": file.read_bytes() for file in sorted(folder.glob("*.py"))}


def program_folder(scratch: Scratch) -> PurePosixPath:
    """Where this version of the program is, on the cluster."""
    digest = hashlib.sha256(repr(sorted(program_files().items())).encode()).hexdigest()[:12]
    return monitors_folder(scratch) / f"program-{digest}"


def monitors_folder(scratch: Scratch) -> PurePosixPath:
    """Where monitors are: a folder each."""
    return scratch.root / "monitors"


def log_file(scratch: Scratch, name: str) -> PurePosixPath:
    """What a monitor has to say."""
    return monitors_folder(scratch) / name / "log"


def find_python(host: Host) -> str:
    """The path of a Python there that can run the program.

    Raises:
        RemoteError: there is none.
        SshError: the connection was lost.
    """
    found = host.run_in_login_shell(["sh", "-c", _FIND])
    lines = found.stdout.split("\n")[:-1]
    if found.ok and lines:
        return lines[-1]
    has = f" (there is {', '.join(dict.fromkeys(lines))})" if lines else ""
    raise RemoteError(
        f"{host.target}: a monitor there needs Python 3.6 or newer, as python3{has}; put one on PATH by "
        "~/.bash_profile there, such as `module load python`, or run `invoke monitor` here"
    )


def send(host: Host, scratch: Scratch, name: str, order: bytes) -> str:
    """Send the program, where it is not there, and an order.

    Returns:
        The name of the order's file, in the monitor's folder.

    Raises:
        RemoteError: they cannot be written there.
        SshError: the connection was lost.
    """
    token = secrets.token_hex(6)
    archive = pack_files({**program_files(), "order.json": order})
    words = [str(scratch.root), name, program_folder(scratch).name, token]
    done = host.run_in_login_shell(
        ["sh", "-c", _UNPACK, "slipway", *words], stdin=[archive], stdin_bytes=len(archive), timeout_s=600
    )
    if not done.ok:
        where = f"{host.target}:{monitors_folder(scratch)}"
        raise RemoteError(f"{where}: the monitor cannot be written there: {done.explain()}")
    return f"order-{token}.json"


def call(host: Host, scratch: Scratch, python: str, word: str, name: str, order: str = "") -> There:
    """Tell the program something: ``start``, ``submit``, ``state`` or ``stop``.

    Raises:
        RemoteError: it failed.
        ParseError: its answer is none.
        SshError: the connection was lost.
    """
    argv = [python, "-m", _PACKAGE, str(scratch.root), word, name, order]
    folder = str(program_folder(scratch))
    done = host.run_in_login_shell(["sh", "-c", _CALL, "slipway", folder, *argv], timeout_s=_PATIENCE_S)
    if not done.ok:
        raise RemoteError(f"{host.target}: the monitor there: {done.explain()}")
    return parse_state(done.stdout)


def is_sent(host: Host, scratch: Scratch, name: str) -> bool:
    """True where there was such a monitor, and this version of the program is there."""
    return host.is_folder(program_folder(scratch)) and host.is_folder(monitors_folder(scratch) / name)


def parse_state(printed: str) -> There:
    """What the program has printed; other lines are a start file's.

    Raises:
        ParseError: there is no such line.
    """
    lines = [line.removeprefix(_MARK) for line in printed.splitlines() if line.startswith(_MARK)]
    try:
        values: dict[str, Any] = load_json(lines[-1])
        texts = {key: str(values.get(key, "")) for key in ("state", "where", "job", "why", "words")}
        return There(**texts, began=values.get("began") is True)
    except (IndexError, ValueError, AttributeError) as error:
        raise ParseError(f"the monitor there printed {printed[-200:]!r}; expected how it stands") from error


def read_log(host: Host, scratch: Scratch, name: str, offset: int) -> bytes:
    """The next piece of what a monitor has to say; nothing where there is no more by now.

    Raises:
        SshError: the connection was lost.
    """
    return host.read(log_file(scratch, name), offset, _PIECE_BYTES) or b""


def job_script(scratch: Scratch, python: str, name: str, lines: list[str]) -> str:
    """The script of a monitor that is a job."""
    argv = [python, "-m", _PACKAGE, str(scratch.root), "run", name]
    return "\n".join(
        [
            "#!/bin/bash -l",
            *lines,
            "# A monitor of Slipway's, which submits runs again that failed. It begins again by itself.",
            "trap '' USR1",
            f"cd {shlex.quote(str(program_folder(scratch)))} || exit",
            f"exec {shlex.join(argv)}",
            "",
        ]
    )
