"""The keys of this machine's user that a host may be given."""

from __future__ import annotations

import base64
import os
import tempfile
from contextlib import closing
from pathlib import Path

from slipway.access.mark import remove_marked
from slipway.errors import HostError
from slipway.ssh.identity import Keyring
from slipway.ssh.new_key import make_key
from slipway.ssh.prompt import Prompt
from slipway.ssh.target import Target

_NEW = "~/.ssh/id_ed25519"


def own_keys(target: Target, ask: Prompt) -> tuple[list[str], list[str]]:
    """The public keys with which a login is tried, each as ``KIND BASE64``, and what is wrong with others."""
    ring = Keyring(target, ask)
    with closing(ring.agent):
        keys = [
            f"{key.kind} {base64.b64encode(key.blob).decode()}" for key in ring if "-cert-" not in key.kind
        ]
    return keys, ring.problems


def place_of_new_key(target: Target) -> Path:
    """Where a new key is to be, so that the login finds it: what ssh_config names, or OpenSSH's usual place.

    Raises:
        HostError: a file is there already.
    """
    places = [Path(word).expanduser() for word in (target.identity_files or (_NEW,))]
    for place in places:
        if not place.exists() and not Path(f"{place}.pub").exists():
            return place
    raise HostError(
        f"{places[0]} is there, and is no key that can be used; remove it, or name another file with "
        "IdentityFile in ssh_config"
    )


def make_own_key(target: Target, comment: str, ask: Prompt) -> tuple[Path, str]:
    """Make a key, and ask for the passphrase that is to guard it.

    Returns:
        Its file, and the public key as ``KIND BASE64``.
    """
    place = place_of_new_key(target)
    line = make_key(place, comment, _new_passphrase(place, ask))
    return place, " ".join(line.split()[:2])


def _new_passphrase(place: Path, ask: Prompt) -> str:
    again = ""
    while True:
        words = ask.ask(f"{again}Passphrase for the new key {place} (empty for none): ", echo=False)
        if not words:
            return ""
        if ask.ask("The same passphrase again: ", echo=False) == words:
            return words
        again = "These two differ. "


def made_keys(target: Target, beginning: str) -> list[Path]:
    """The keys with which a login is tried there that :func:`make_own_key` has made."""
    places = [Path(word).expanduser() for word in (target.identity_files or (_NEW,))]
    return [place for place in places if _comment(place).startswith(beginning)]


def remove_own_key(place: Path) -> None:
    """Remove a key and its public part."""
    place.unlink(missing_ok=True)
    Path(f"{place}.pub").unlink(missing_ok=True)


def _comment(place: Path) -> str:
    try:
        words = Path(f"{place}.pub").read_text(encoding="utf-8", errors="replace").split()
    except OSError:
        return ""
    return words[-1] if len(words) > 2 else ""


def remove_known_lines(target: Target, beginning: str) -> list[Path]:
    """Take the lines of ``known_hosts`` away that were written for it; returns the files that are changed.

    Raises:
        HostError: one cannot be changed.
    """
    changed = []
    for file in (Path(word).expanduser() for word in target.known_hosts):
        try:
            before = file.read_bytes()
            after, removed = remove_marked(before, beginning)
            if removed:
                _replace(file.resolve(), after)
                changed.append(file)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise HostError(f"{file} cannot be changed: {error.strerror or error}") from error
    return changed


def _replace(file: Path, content: bytes) -> None:
    descriptor, part = tempfile.mkstemp(dir=file.parent, prefix=f"{file.name}.")
    with os.fdopen(descriptor, "wb") as new:
        new.write(content)
    Path(part).chmod(file.stat().st_mode & 0o777)
    Path(part).replace(file)
