"""Entries for runs in a file of their own, which ``~/.ssh/config`` includes. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

INCLUDE = "Include slipway_config\n"
_HEADER = "# Written by `slipway ssh.config`, which also takes it away: --undo. ~/.ssh/config includes it.\n"
_HOST = re.compile(r"^Host (.*)$", re.M)
# Of which ssh makes no pattern, and no second word.
_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*")
_ENTRY = re.compile(r"^# entry of (?P<alias>\S+)\n(?:(?!# entry of ).*\n)*", re.M)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One host of ssh_config.

    Attributes:
        alias: what is typed behind ``ssh``.
        user: the user there.
        folder: its keys, and the ``known_hosts`` that has its host key.
        proxy: the argv that carries the connection.
        also: a second name that may be typed; ``None`` for none.
    """

    alias: str
    user: str
    folder: Path
    proxy: Sequence[str]
    also: str | None = None

    @property
    def identity(self) -> Path:
        """The key that is let in."""
        return self.folder / "id_ed25519"

    @property
    def host_key(self) -> Path:
        """The host's private key."""
        return self.folder / "host_ed25519"

    @property
    def known_hosts(self) -> Path:
        """The file with the host's public key."""
        return self.folder / "known_hosts"


def entry_text(entry: Entry) -> str:
    """The lines of an entry."""
    lines = {
        "HostName": entry.alias,
        "HostKeyAlias": entry.alias,
        "User": entry.user,
        "IdentityFile": _quoted(entry.identity),
        "IdentitiesOnly": "yes",
        "UserKnownHostsFile": _quoted(entry.known_hosts),
        "StrictHostKeyChecking": "yes",
        # A run that waits is waited for.
        "ConnectTimeout": "86400",
        "ForwardAgent": "no",
        "ForwardX11": "no",
        # ssh hands it to a shell, and takes % for a word of its own.
        "ProxyCommand": shlex.join(entry.proxy).replace("%", "%%"),
    }
    body = "".join(f"    {key} {value}\n" for key, value in lines.items())
    names = " ".join(filter(None, (entry.alias, entry.also)))
    return f"# entry of {entry.alias}\nHost {names}\n{body}"


def second_name(name: str | None, task: int | None) -> str | None:
    """What else may be typed for a run, or a task of it; ``None`` where its name is no plain word."""
    if name is None or not _PLAIN.fullmatch(name):
        return None
    return f"slipway-{name}" if task is None else f"slipway-{name}-{task}"


def is_name_taken(text: str, entry: Entry) -> bool:
    """True where another entry of the file is called as this one is by its second name."""
    others = _HOST.findall(without_entry(text, entry.alias))
    return entry.also is not None and any(entry.also in names.split() for names in others)


def proxy_command(python: str, root: Path, settings: Sequence[str], words: Sequence[str]) -> list[str]:
    """The argv that starts ``slipway ssh.proxy`` for a project, from whichever folder.

    Args:
        python: the Python that Slipway is installed for.
        root: the project.
        settings: ``NAME=VALUE`` of the environment.
        words: what stands behind ``ssh.proxy``.
    """
    start = 'cd "$1" && shift && exec env "$@"'
    return ["sh", "-c", start, "slipway", str(root), *settings, python, "-m", "slipway", "ssh.proxy", *words]


def with_entry(text: str, entry: Entry) -> str:
    """The file with an entry, in the place of the one that it had of this name."""
    return (without_entry(text, entry.alias) or _HEADER) + entry_text(entry)


def without_entry(text: str, alias: str) -> str:
    """The file without an entry; empty where it had no other."""
    rest = _ENTRY.sub(lambda match: "" if match["alias"] == alias else match[0], text)
    return rest if aliases(rest) else ""


def aliases(text: str) -> list[str]:
    """The names of all entries."""
    return [match["alias"] for match in _ENTRY.finditer(text)]


def with_include(text: str) -> str:
    """``~/.ssh/config`` with the line that includes the file, before all else: in a block it would be its."""
    return text if INCLUDE in text.splitlines(keepends=True) else INCLUDE + text


def without_include(text: str) -> str:
    """The same without that line."""
    return text[len(INCLUDE) :] if text.startswith(INCLUDE) else text


def _quoted(path: Path) -> str:
    return f'"{path}"'.replace("%", "%%")
