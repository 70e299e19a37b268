"""What is in a folder on the cluster, and changes in it that go through no link."""

from __future__ import annotations

import secrets
import stat
from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum
from pathlib import PurePosixPath

from slipway.errors import ParseError, RemoteError
from slipway.host.host import Host

_LONG_S = 24 * 3600
# The line may be cut, and then the text ends early, as if that were all of it.
_WRITE = """
cat >"$1" && [ "$(wc -c <"$1")" -eq "$3" ] && mv -fT -- "$1" "$2" || { rm -f -- "$1"; exit 1; }
"""
_FIND = 'test -e "$1" || test -L "$1" || exit 0; exec find "$1" -printf \'%y\\t%s\\t%T@\\t%m\\0%P\\0%l\\0\''
# Each folder is entered by its name and has to be where the name says: then there is no link on the way to
# it, whatever was changed since it was looked through.
_EACH = """
in_folder() {
  ((${#batch[@]})) || return 0
  cd -P -- "$top$folder" || exit 255
  [ "$PWD" = "$top$folder" ] || { echo "$top$folder is behind a link" >&2; exit 255; }
  act || exit 255
  batch=()
}
top=$(cd -P -- "$1" && pwd -P) || exit 255
part=${2:+$(cd -P -- "$2" && pwd -P)} || exit 255
shift 2
batch=() folder=
for name; do
  case $name in */*) parent=/${name%/*} ;; *) parent= ;; esac
  [ "$parent" = "$folder" ] || { in_folder; folder=$parent; }
  batch+=("${name##*/}")
done
in_folder
"""
_ACTIONS = {
    "place": 'act() { cd -P -- "$part$folder" && mv -f -t "$top$folder" -- "${batch[@]}"; }',
    "remove": 'act() { rm -f -- "${batch[@]}"; }',
    "remove folders": 'act() { rmdir --ignore-fail-on-non-empty -- "${batch[@]}"; }',
    "make folders": 'act() { mkdir -p -- "${batch[@]}"; }',
}


class Kind(Enum):
    """What an entry of a folder is; the values are those of ``find``."""

    FILE = "f"
    FOLDER = "d"
    LINK = "l"
    OTHER = "?"


_KINDS = {stat.S_IFREG: Kind.FILE, stat.S_IFDIR: Kind.FOLDER, stat.S_IFLNK: Kind.LINK}


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One entry on the cluster: bytes, whole seconds of its time, and where a link says it leads to."""

    kind: Kind
    size_bytes: int
    mtime_s: int
    executable: bool
    target: str | None = None


def take_inventory(host: Host, folder: PurePosixPath) -> dict[str, Entry] | None:
    """All that is in a folder on the cluster, by name; no link is followed.

    Returns:
        ``None`` where there is no such folder. The names are relative to it.

    Raises:
        RemoteError: it is no folder but a link, or something in it cannot be read.
    """
    if host.runs_commands:
        found = host.check(["sh", "-c", _FIND, "slipway", str(folder)], timeout_s=_LONG_S).stdout
        entries = parse_find(found)
    else:
        entries = _look_through(host, folder)
    if not entries:
        return None
    if entries.pop("").kind is not Kind.FOLDER:
        raise RemoteError(
            f"{host.target}:{folder} is a link or a file, and Slipway changes nothing through a link; "
            "move it away, or stage under another --name"
        )
    return entries


def parse_find(text: str) -> dict[str, Entry]:
    """Read what ``find`` prints for :func:`take_inventory`; the folder itself has the name ``""``.

    Raises:
        ParseError: it is something else.
    """
    words = text.split("\0")
    if len(words) % 3 != 1 or words.pop():
        raise ParseError(f"find's output ends with {text[-100:]!r}")
    try:
        return dict(map(_parse_entry, words[::3], words[1::3], words[2::3]))
    except ValueError as error:
        raise ParseError(f"find printed something else than asked for: {text[:100]!r}") from error


def _parse_entry(line: str, name: str, target: str) -> tuple[str, Entry]:
    letter, size, mtime, mode = line.split("\t")
    kind = Kind(letter) if letter in ("f", "d", "l") else Kind.OTHER
    return name, Entry(
        kind=kind,
        size_bytes=int(size),
        mtime_s=int(mtime.partition(".")[0]),
        executable=bool(int(mode, 8) & 0o100),
        target=target if kind is Kind.LINK else None,
    )


def place(host: Host, part: PurePosixPath, folder: PurePosixPath, names: Collection[str]) -> None:
    """Move files and links from one folder to the same names in another, each in one step.

    Raises:
        RemoteError: that is not possible, or a link is in the way.
    """
    if host.runs_commands:
        _act(host, "place", folder, sorted(names, key=_by_folder), part)
    else:
        host.move_all(part, folder, list(names))


def remove(host: Host, folder: PurePosixPath, names: Collection[str]) -> None:
    """Remove files and links from a folder.

    Raises:
        RemoteError: that is not possible, or a link is in the way.
    """
    if host.runs_commands:
        _act(host, "remove", folder, sorted(names, key=_by_folder))
    else:
        host.remove_all(folder, list(names))


def remove_folders(host: Host, folder: PurePosixPath, names: Collection[str]) -> None:
    """Remove those of the folders that are empty by now; one in another is removed first."""
    deepest_first = sorted(names, reverse=True)
    if host.runs_commands:
        _act(host, "remove folders", folder, deepest_first)
    else:
        for name in deepest_first:
            try:
                host.remove_folder(folder / name)
            except RemoteError:
                if not host.list(folder / name):
                    raise


def make_folders(host: Host, folder: PurePosixPath, names: Collection[str]) -> None:
    """Make folders, those that others lie in among them, in a folder that is there."""
    if host.runs_commands:
        _act(host, "make folders", folder, sorted(names))
    else:
        for name in sorted(names):
            host.make_folder(folder / name)


def remove_all(host: Host, folder: PurePosixPath) -> None:
    """Remove a folder of Slipway's own with everything in it."""
    if host.runs_commands:
        host.check(["rm", "-rf", "--", str(folder)], timeout_s=_LONG_S)
        return
    entries = take_inventory(host, folder)
    if entries is not None:
        remove(host, folder, [name for name, entry in entries.items() if entry.kind is not Kind.FOLDER])
        remove_folders(host, folder, [name for name, entry in entries.items() if entry.kind is Kind.FOLDER])
        host.remove_folder(folder)


def read_text(host: Host, path: PurePosixPath) -> str | None:
    """A text on the cluster as a whole, in one stream; ``None`` where there is none."""
    if not host.runs_commands:
        content = host.read(path)
        return None if content is None else content.decode(errors="surrogateescape")
    done = host.run(["sh", "-c", 'test ! -e "$1" || exec cat -- "$1"', "slipway", str(path)], timeout_s=600)
    if not done.ok:
        raise RemoteError(f"{host.target}: {done.explain()}")
    return done.stdout or None


def write_text(host: Host, path: PurePosixPath, text: str) -> None:
    """Write a text as a whole: under another name, which nobody else has, and then renamed."""
    part = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    size_bytes = len(text.encode(errors="surrogateescape"))
    if host.runs_commands:
        argv = ["sh", "-c", _WRITE, "slipway", str(part), str(path), str(size_bytes)]
        host.check(argv, stdin=text, timeout_s=600)
    else:
        host.write(part, text.encode(errors="surrogateescape"))
        host.move(part, path)


def _act(
    host: Host, action: str, folder: PurePosixPath, names: Collection[str], part: PurePosixPath | None = None
) -> None:
    if not names:
        return
    # xargs, so that no number of names is too large.
    script = f'exec xargs -0r bash -c \'{_ACTIONS[action]}{_EACH}\' slipway "$1" "$2"'
    listed = "".join(f"{name}\0" for name in names)
    argv = ["sh", "-c", script, "slipway", str(folder), str(part or "")]
    done = host.run(argv, stdin=listed, timeout_s=_LONG_S)
    if not done.ok:
        words = "\n  ".join(done.stderr.strip().splitlines()[-8:])
        raise RemoteError(
            f"{host.target}:{folder}: could not {action} there (exit code {done.exit_code}):\n  {words}"
        )


def _by_folder(name: str) -> tuple[str, str]:
    parent, _, own = name.rpartition("/")
    return parent, own


def _look_through(host: Host, folder: PurePosixPath) -> dict[str, Entry]:
    found = host.entries(folder)
    names = [name for name, entry in found.items() if entry.is_link and name]
    targets = dict(zip(names, host.read_links(folder, names), strict=True))
    return {
        name: Entry(
            kind=_KINDS.get(stat.S_IFMT(entry.mode), Kind.OTHER),
            size_bytes=entry.size_bytes,
            mtime_s=entry.mtime_s,
            executable=bool(entry.mode & 0o100),
            target=targets.get(name),
        )
        for name, entry in found.items()
    }
