"""What is looked at and changed in a home folder there, by small programs of ``sh``."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from slipway.errors import ParseError, RemoteError
from slipway.host.host import Host
from slipway.text.number import whole

AUTHORIZED = ".ssh/authorized_keys"
KNOWN = ".ssh/known_hosts"
_WRITABLE = re.compile(r".{5}w|.{8}w")
_TRY_S = 20
_PATIENCE_S = 120

_LOOK = r"""
printf 'home %s\nuid %s\n' "$HOME" "$(id -u)"
cd || exit
for one in . .ssh .ssh/authorized_keys; do
    if [ -e "$one" ]; then printf 'file %s %s\n' "$one" "$(ls -ldnL "$one")"; fi
done
"""
# What is sent may be cut off, and somebody else may write the file meanwhile.
_WRITE = r"""
umask 077
file=$HOME/$1
[ -d "${file%/*}" ] || mkdir "${file%/*}" || exit
if [ -L "$file" ]; then file=$(readlink -f "$file") || exit; fi
[ "$(cat "$file" 2>/dev/null | cksum)" = "$2" ] || exit 75
part=$file.slipway.$$
trap 'rm -f "$part"' EXIT
if [ -e "$file" ]; then cp -p "$file" "$part" || exit; fi
cat >"$part" && [ "$(wc -c <"$part")" -eq "$3" ] || exit
mv -f "$part" "$file"
"""
_READ = r"""
cat "$HOME/$1" 2>/dev/null | cksum
if [ -d "$HOME/${1%/*}" ]; then echo folder; else echo none; fi
if [ -e "$HOME/$1" ]; then echo file; else echo none; fi
cat "$HOME/$1" 2>/dev/null | od -An -v -tx1
"""
# One that asks for a passphrase is of no use to a program.
_KEY = r"""
umask 077
cd || exit
for kind in ed25519 ecdsa rsa; do
    file=.ssh/id_$kind
    if [ -e "$file" ] && public=$(ssh-keygen -y -P '' -f "$file" 2>/dev/null </dev/null); then
        printf '%s\n' "$public"
        exit
    fi
done
[ -d .ssh ] || mkdir .ssh || exit
if [ -e .ssh/id_ed25519 ]; then echo "it has a passphrase" >&2; exit 1; fi
ssh-keygen -q -t ed25519 -N '' -C "$1" -f .ssh/id_ed25519 </dev/null >&2 && cat .ssh/id_ed25519.pub
"""
_REMOVE_KEY = r"""
cd || exit
case $(cat .ssh/id_ed25519.pub 2>/dev/null) in
*" $1"*) rm -f .ssh/id_ed25519 .ssh/id_ed25519.pub && echo "$HOME/.ssh/id_ed25519" ;;
esac
"""
_REMOVE_FILE = (
    r'cd && if [ -e "$1" ] && [ ! -s "$1" ]; then rm -f "$1"; fi; [ -z "$2" ] || rmdir "${1%/*}"; true'
)


@dataclass(frozen=True, kw_only=True)
class Mode:
    """A file or folder below the home folder there: its mode as ``ls`` shows it, its owner's number."""

    name: str
    shown: str
    owner: int


@dataclass(frozen=True, kw_only=True)
class Home:
    """The home folder, its owner's number, and what sshd looks at before it lets a key in."""

    path: PurePosixPath
    user: int
    modes: tuple[Mode, ...]


@dataclass(frozen=True, kw_only=True)
class Content:
    """What is in a file there.

    Attributes:
        name: below the home folder.
        data: its bytes; none where there is no file.
        sum: by which a change is noticed.
        has_file: it is there.
        has_folder: its folder is there.
    """

    name: str
    data: bytes
    sum: str
    has_file: bool
    has_folder: bool


def parse_home(stdout: str) -> Home:
    """The home folder, from what the look printed.

    Raises:
        ParseError: it is something else.
    """
    path, user, modes = None, None, list[Mode]()
    for line in stdout.splitlines():
        kind, _, rest = line.partition(" ")
        if kind == "home":
            path = PurePosixPath(rest)
        elif kind == "uid":
            user = whole(rest)
        elif kind == "file":
            words = rest.split()
            if len(words) > 4 and (owner := whole(words[3])) is not None:
                modes.append(Mode(name=words[0], shown=words[1], owner=owner))
    if path is None or user is None:
        raise ParseError(f"the home folder could not be looked at: {stdout[:200]!r}")
    return Home(path=path, user=user, modes=tuple(modes))


def mode_problems(home: Home) -> list[str]:
    """What makes sshd refuse keys (StrictModes), each with the command that mends it."""
    problems = []
    for mode in home.modes:
        path = shlex.quote(str(home.path / mode.name))
        if mode.owner not in (0, home.user):
            problems.append(f"{path} belongs to user {mode.owner}: an administrator has to `chown` it to you")
        elif _WRITABLE.match(mode.shown):
            problems.append(f"others may write to {path} ({mode.shown}): `chmod go-w {path}`")
    return problems


def look(host: Host) -> Home:
    """Look at the home folder there.

    Raises:
        RemoteError: that is not possible.
    """
    return parse_home(host.check(["sh", "-c", _LOOK]).stdout)


def read(host: Host, name: str) -> Content:
    """A small file below the home folder there."""
    lines = host.check(["sh", "-c", _READ, "slipway", name]).stdout.splitlines()
    if len(lines) < 3:
        raise ParseError(f"{host.target}:~/{name} could not be read: {lines!r}")
    return Content(
        name=name,
        data=bytes.fromhex("".join(lines[3:])),
        sum=lines[0],
        has_folder=lines[1] == "folder",
        has_file=lines[2] == "file",
    )


def write(host: Host, before: Content, data: bytes) -> None:
    """Write a file as a whole, with the mode that it has, or for its owner alone.

    Raises:
        RemoteError: it cannot be written, or is not what it was when it was read.
    """
    if data == before.data:
        return
    text = data.decode("utf-8", "surrogateescape")
    argv = ["sh", "-c", _WRITE, "slipway", before.name, before.sum, str(len(data))]
    result = host.run(argv, stdin=text)
    where = f"{host.target}:~/{before.name}"
    if result.exit_code == 75:
        raise RemoteError(f"{where} was changed by somebody else in this moment; try again")
    if not result.ok:
        raise RemoteError(f"{where} cannot be written: {result.stderr.strip() or result.exit_code}")


def remove_empty(host: Host, name: str, *, folder: bool) -> None:
    """Remove a file that is empty, and its folder, if that is wanted and it is empty too."""
    host.run(["sh", "-c", _REMOVE_FILE, "slipway", name, "yes" if folder else ""])


def find_or_make_key(host: Host, comment: str) -> str:
    """The public key of a key there that needs no passphrase; one is made where there is none.

    Raises:
        RemoteError: there is one, and it has a passphrase, or none can be made.
    """
    result = host.run(["sh", "-c", _KEY, "slipway", comment], timeout_s=_PATIENCE_S)
    words = result.stdout.split()
    if result.ok and len(words) > 1:
        return " ".join(words[:2])
    raise RemoteError(
        f"{host.target}: no key in ~/.ssh there can be used without a passphrase, and none could be made as "
        f"id_ed25519: {_last_line(result.stderr.splitlines()) or f'exit code {result.exit_code}'}"
    )


def remove_key(host: Host, beginning: str) -> str | None:
    """Remove the key that :func:`find_or_make_key` made; returns its file, or ``None`` if there is none."""
    return host.run(["sh", "-c", _REMOVE_KEY, "slipway", beginning]).stdout.strip() or None


def try_command(user: str, address: str, port: int) -> list[str]:
    """Log in from one host to another, and ask nobody."""
    options = ["BatchMode=yes", "StrictHostKeyChecking=yes", f"ConnectTimeout={_TRY_S}"]
    # ssh would write further keys into known_hosts.
    options += ["UpdateHostKeys=no"]
    said = [word for option in options for word in ("-o", option)]
    return ["ssh", *said, "-n", "-p", str(port), "--", f"{user}@{address}", "true"]


def try_login(host: Host, user: str, address: str, port: int) -> str | None:
    """Why one host cannot log in to another; ``None`` where it can."""
    result = host.run(try_command(user, address, port), timeout_s=_PATIENCE_S)
    if result.ok:
        return None
    return _last_line(result.stderr.splitlines()) or f"ssh ended with exit code {result.exit_code}"


def _last_line(lines: Sequence[str]) -> str:
    return next((line.strip() for line in reversed(lines) if line.strip()), "")
