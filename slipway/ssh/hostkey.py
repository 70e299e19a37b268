"""The keys by which hosts are known: OpenSSH's ``known_hosts`` files."""

from __future__ import annotations

import base64
import fnmatch
import hashlib
import hmac
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from slipway.errors import HostKeyChangedError, HostKeyError, SshError
from slipway.ssh.target import Target

_RSA = ("rsa-sha2-512", "rsa-sha2-256")


@dataclass(frozen=True, kw_only=True)
class HostKey:
    """A host's public key, as it is sent."""

    kind: str
    blob: bytes

    @property
    def fingerprint(self) -> str:
        """As OpenSSH shows it and sites publish it: ``SHA256:…``."""
        return "SHA256:" + base64.b64encode(hashlib.sha256(self.blob).digest()).decode().rstrip("=")

    def __str__(self) -> str:
        """Its type and fingerprint, for messages."""
        return f"{_short(self.kind)} {self.fingerprint}"


@dataclass(frozen=True, kw_only=True)
class KnownKey:
    """One line of a ``known_hosts`` file that speaks of a host."""

    file: Path
    line: int
    marker: str
    key: HostKey

    def __str__(self) -> str:
        """The key, and where it is written."""
        return f"{self.key} ({self.file}:{self.line})"


@dataclass(frozen=True, kw_only=True)
class HostKeyCheck:
    """What the ``known_hosts`` files say of a key that a host has shown."""

    state: Literal["known", "unknown", "changed", "revoked"]
    known: tuple[KnownKey, ...] = ()


def find_known(target: Target, name: str | None = None) -> list[KnownKey]:
    """All lines that speak of a host, in all of its ``known_hosts`` files.

    Args:
        target: the host.
        name: its name in them, where it is not ``target.key_name``.
    """
    found = []
    for file in [*_user_files(target), *(Path(word) for word in target.global_known_hosts)]:
        for number, line in enumerate(_read(file), 1):
            entry = _parse(line)
            if entry and _is_named(entry[1], name or target.key_name):
                found.append(KnownKey(file=file, line=number, marker=entry[0], key=entry[2]))
    return found


def check_host_key(target: Target, shown: HostKey) -> HostKeyCheck:
    """Compare the key that a host has shown with those that are known."""
    lines = find_known(target)
    revoked = tuple(line for line in lines if line.marker == "@revoked" and line.key == shown)
    known = tuple(line for line in lines if not line.marker)
    if revoked:
        return HostKeyCheck(state="revoked", known=revoked)
    if any(line.key == shown for line in known):
        return HostKeyCheck(state="known", known=known)
    if known:
        return HostKeyCheck(state="changed", known=known)
    # Like OpenSSH: the same key under the name without a port will do.
    plain = find_known(target, target.host.lower()) if target.key_name.startswith("[") else []
    if any(line.key == shown and not line.marker for line in plain):
        return HostKeyCheck(state="known", known=tuple(plain))
    return HostKeyCheck(state="unknown")


def known_kinds(target: Target) -> list[str]:
    """The algorithms of the keys that are known of a host, so that it is asked for one of these."""
    lines = find_known(target)
    if not lines and target.key_name.startswith("["):
        lines = find_known(target, target.host.lower())
    kinds: list[str] = []
    for line in lines:
        if not line.marker:
            kinds += _RSA if line.key.kind == "ssh-rsa" else [line.key.kind]
    return list(dict.fromkeys(kinds))


def host_key_error(target: Target, shown: HostKey, verdict: HostKeyCheck) -> SshError:
    """Why Slipway stops, and what to do."""
    if verdict.state == "unknown":
        return HostKeyError(
            f"{target}: the host's key is not known yet\n"
            f"  shown: {shown}\n"
            "  Compare it with what the site publishes; `invoke ssh.trust SITE` shows it again and keeps it"
        )
    known = "".join(f"  known: {line}\n" for line in verdict.known)
    if verdict.state == "revoked":
        return HostKeyChangedError(
            f"{target}: the host shows a key that is marked as revoked\n{known}"
            "  Somebody else may have it: do not go on, and ask the host's administrators"
        )
    return HostKeyChangedError(
        f"{target}: the host's key is not the one that is known\n{known}"
        f"  shown: {shown}\n"
        "  Either the host was set up anew, or somebody is listening in: ask its administrators which "
        "fingerprint is right. If it is the one shown, `invoke ssh.trust SITE --replace` puts it in the "
        "place of the known one"
    )


def list_keys(text: str, name: str) -> list[tuple[str, HostKey]]:
    """What the text of a ``known_hosts`` file has of a host: markers, such as ``@revoked``, and keys."""
    entries = (_parse(line) for line in text.splitlines())
    return [(entry[0], entry[2]) for entry in entries if entry and _is_named(entry[1], name)]


def known_line(name: str, key: HostKey, comment: str = "") -> str:
    """The line of a ``known_hosts`` file, without its end."""
    return " ".join(filter(None, (name, key.kind, base64.b64encode(key.blob).decode(), comment)))


def add_known(target: Target, key: HostKey, comment: str = "") -> Path:
    """Write a key into the user's first ``known_hosts`` file.

    Args:
        target: the host.
        key: its key.
        comment: what the line ends with.

    Returns:
        The file.

    Raises:
        SshError: it cannot be written.
    """
    files = _user_files(target)
    if not files:
        raise SshError(f"{target}: UserKnownHostsFile is none, so there is no file to keep the key in")
    name = _hashed(target.key_name) if target.hash_known_hosts else target.key_name
    line = f"{known_line(name, key, comment)}\n"
    try:
        files[0].parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(files[0], os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(descriptor, "rb+") as file:
            ends = file.seek(0, os.SEEK_END) == 0 or (
                file.seek(-1, os.SEEK_END) >= 0 and file.read() == b"\n"
            )
            file.write(("" if ends else "\n").encode() + line.encode())
    except OSError as error:
        raise SshError(f"{files[0]} cannot be written: {error.strerror or error}") from error
    return files[0]


def remove_known(target: Target, known: Sequence[KnownKey]) -> list[Path]:
    """Take a host's old keys out of the user's files, each of which is kept as it was beside the new one.

    Returns:
        The copies of the files as they were.

    Raises:
        HostKeyChangedError: a line belongs to the system or to more than this host.
        SshError: a file cannot be changed.
    """
    copies = []
    for file in dict.fromkeys(line.file for line in known):
        if file not in _user_files(target):
            raise HostKeyChangedError(
                f"{file} is not yours to change; its administrator has to remove {target.key_name}"
            )
        numbers = [line.line for line in known if line.file == file]
        try:
            copies.append(_without(file.resolve(), numbers, target.key_name))
        except OSError as error:
            raise SshError(f"{file} cannot be changed: {error.strerror or error}") from error
    return copies


def _without(file: Path, numbers: Sequence[int], name: str) -> Path:
    text = file.read_bytes()
    lines = list(_shortened(file, text.decode(errors="surrogateescape").splitlines(True), numbers, name))
    copy = file.with_name(f"{file.name}.{time.strftime('%Y%m%d-%H%M%S')}")
    for path, content in ((copy, text), (file, "".join(lines).encode(errors="surrogateescape"))):
        descriptor, part = tempfile.mkstemp(dir=file.parent, prefix=f"{file.name}.")  # for its owner alone
        with os.fdopen(descriptor, "wb") as new:
            new.write(content)
        Path(part).chmod(file.stat().st_mode & 0o777)
        Path(part).replace(path)
    return copy


def _shortened(file: Path, lines: Sequence[str], numbers: Sequence[int], name: str) -> Iterator[str]:
    for number, line in enumerate(lines, 1):
        if number not in numbers:
            yield line
            continue
        names = line.split(None, 1)[0].split(",")
        rest = [word for word in names if not _is_named(word, name)]
        if any("*" in word or "?" in word or word.startswith("!") for word in names):
            raise HostKeyChangedError(f"{file}:{number} is about more hosts than {name}; change it by hand")
        if rest:
            yield f"{','.join(rest)} {line.split(None, 1)[1]}"


def _user_files(target: Target) -> list[Path]:
    return [Path(word).expanduser() for word in target.known_hosts]


def _read(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise SshError(f"{file}, with the keys of known hosts, cannot be read: {error.strerror}") from error


def _parse(line: str) -> tuple[str, str, HostKey] | None:
    words = line.split()
    if not words or words[0].startswith("#"):
        return None
    marker = words.pop(0) if words[0].startswith("@") else ""
    if len(words) < 3:
        return None
    with suppress(ValueError):
        return marker, words[0], HostKey(kind=words[1], blob=base64.b64decode(words[2], validate=True))
    return None


def _is_named(names: str, name: str) -> bool:
    found = False
    for word in names.split(","):
        if word.startswith("|1|"):
            found |= _is_hash_of(word, name)
        elif word.startswith("!"):
            if _is_like(word[1:], name):
                return False
        else:
            found |= _is_like(word, name)
    return found


def _is_like(pattern: str, name: str) -> bool:
    # Brackets belong to a name with a port; only stars and question marks are patterns.
    return fnmatch.fnmatchcase(name, pattern.lower().replace("[", "[[]"))


def _is_hash_of(word: str, name: str) -> bool:
    try:
        salt, digest = (base64.b64decode(part, validate=True) for part in word[3:].split("|"))
    except ValueError:
        return False
    return hmac.compare_digest(hmac.digest(salt, name.encode(), "sha1"), digest)


def _hashed(name: str) -> str:
    salt = os.urandom(20)
    parts = (salt, hmac.digest(salt, name.encode(), "sha1"))
    return "|1|" + "|".join(base64.b64encode(part).decode() for part in parts)


def _short(kind: str) -> str:
    return kind.removeprefix("ssh-").removeprefix("ecdsa-sha2-").upper().replace("NISTP", "ECDSA P-")
