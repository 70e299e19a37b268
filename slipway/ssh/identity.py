"""The keys that a user may log in with: those of the agent and those in files."""

from __future__ import annotations

import base64
import io
import os
import re
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import paramiko
from paramiko.message import Message

from slipway.ssh.agent import Agent, AgentIdentity, Identity, IdentityError, agent_path, kind_of
from slipway.ssh.prompt import Prompt
from slipway.ssh.target import DEFAULT_IDENTITIES, Target

ATTEMPTS = 3
_MAGIC = b"openssh-key-v1\0"
_PEM = re.compile(r"-----BEGIN (OPENSSH|RSA|EC) PRIVATE KEY-----\s(.*?)-----END ", re.S)
_CLASSES: dict[str, type[paramiko.PKey]] = {
    "ssh-rsa": paramiko.RSAKey,
    "ssh-ed25519": paramiko.Ed25519Key,
    "ecdsa-sha2-nistp256": paramiko.ECDSAKey,
    "ecdsa-sha2-nistp384": paramiko.ECDSAKey,
    "ecdsa-sha2-nistp521": paramiko.ECDSAKey,
    "RSA": paramiko.RSAKey,
    "EC": paramiko.ECDSAKey,
}


@dataclass(kw_only=True)
class FileIdentity(Identity):
    """A key in a file. Its passphrase is asked for when it is needed, and not kept."""

    key_file: KeyFile
    ask: Prompt = field(repr=False)

    def sign(self, data: bytes, algorithm: str) -> bytes:
        """Sign, after asking for the passphrase where there is one."""
        key = self.key_file.unlock(self.ask)
        return key.sign_ssh_data(data, algorithm.partition("-cert-")[0]).asbytes()


@dataclass(kw_only=True)
class KeyFile:
    """A private key's file, of which the public part may be read without its passphrase."""

    path: Path
    text: str
    cls: type[paramiko.PKey] | None
    blob: bytes | None
    is_encrypted: bool
    _key: paramiko.PKey | None = field(default=None, repr=False)

    def unlock(self, ask: Prompt) -> paramiko.PKey:
        """The private key.

        Raises:
            IdentityError: its passphrase was not given, or the file is broken.
        """
        if self._key is None:
            self._key = self._ask(ask) if self.is_encrypted else self._load(None)
        return self._key

    def _ask(self, ask: Prompt) -> paramiko.PKey:
        for attempt in range(ATTEMPTS):
            again = "That was not it. " if attempt else ""
            passphrase = ask.ask(f"{again}Passphrase of the key {self.path}: ", echo=False)
            if passphrase is None:
                raise IdentityError(
                    f"{self.path} needs its passphrase, and there is no terminal to ask on; "
                    f"`ssh-add {self.path}` gives it to the agent"
                )
            if not passphrase:
                break  # as with OpenSSH: go on without this key
            try:
                return self._load(passphrase)
            except IdentityError:
                continue
        raise IdentityError(f"{self.path}: its passphrase was not given")

    def _load(self, passphrase: str | None) -> paramiko.PKey:
        assert self.cls is not None  # noqa: S101 - `read_key_file` leaves others out
        try:
            return self.cls.from_private_key(io.StringIO(self.text), passphrase)
        except (paramiko.SSHException, ValueError, TypeError, IndexError, struct.error) as error:
            raise IdentityError(f"{self.path} cannot be read: {error}") from error


def read_key_file(path: Path) -> KeyFile | None:
    """Read a private key's file as far as that needs no passphrase; ``None`` where there is none.

    Raises:
        IdentityError: it is open to others, cannot be read, or has no format that is known.
    """
    try:
        mode, owner = path.stat().st_mode, path.stat().st_uid
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise IdentityError(f"{path} cannot be read: {error.strerror or error}") from error
    if _public(text):
        return None
    # Windows has no such modes.
    if hasattr(os, "getuid") and owner == os.getuid() and mode & 0o077:
        raise IdentityError(f"{path} is left out because others may read it: `chmod 600 {path}`")
    match = _PEM.search(text)
    if match is None:
        raise IdentityError(
            f"{path} is not a private key of OpenSSH's; `ssh-keygen -p -f {path}` brings other formats "
            "into it, and `puttygen` those of PuTTY"
        )
    if match[1] != "OPENSSH":
        return KeyFile(
            path=path, text=text, cls=_CLASSES[match[1]], blob=None, is_encrypted="ENCRYPTED" in match[2]
        )
    cipher, blob = _header(path, match[2])
    kind = kind_of(blob)
    return KeyFile(path=path, text=text, cls=_CLASSES.get(kind), blob=blob, is_encrypted=cipher != b"none")


def _header(path: Path, body: str) -> tuple[bytes, bytes]:
    """The cipher and the public key, which stand unencrypted at the beginning."""
    try:
        content = base64.b64decode(body)
        if not content.startswith(_MAGIC):
            raise ValueError("it does not begin as such files do")
        message = Message(content[len(_MAGIC) :])
        cipher, _, _, count = (
            message.get_binary(),
            message.get_binary(),
            message.get_binary(),
            message.get_int(),
        )
        blob = message.get_binary()
        if count != 1 or not kind_of(blob):
            raise ValueError("it is cut off")
    except (ValueError, struct.error) as error:
        raise IdentityError(f"{path} is damaged: {error}") from error
    return cipher, blob


class Keyring:
    """All keys that may be tried for one host, in OpenSSH's order, and what is wrong with the others."""

    def __init__(self, target: Target, ask: Prompt) -> None:
        self.problems: list[str] = []
        self._target = target
        self._ask = ask
        self.agent = Agent(agent_path(target))
        if self.agent.problem:
            self.problems.append(self.agent.problem)

    def __iter__(self) -> Iterator[Identity]:
        named = self._target.identity_files
        paths = [Path(word).expanduser() for word in (DEFAULT_IDENTITIES if named is None else named)]
        blobs = [blob for path in paths for blob in _public_parts(path)]
        held = {key.blob: key for key in self.agent.keys}
        yield from (held[blob] for blob in dict.fromkeys(blobs) if blob in held)
        if not self._target.identities_only:
            yield from (key for key in self.agent.keys if key.blob not in blobs)
        for path in paths:
            try:
                yield from self._from_file(path, held, is_named=named is not None)
            except IdentityError as error:
                self.problems.append(str(error))

    def _from_file(
        self, path: Path, held: dict[bytes, AgentIdentity], *, is_named: bool
    ) -> Iterator[Identity]:
        file = read_key_file(path)
        if file is None:
            if is_named and not any(blob in held for blob in _public_parts(path)):
                self.problems.append(f"{path} does not exist, or is only the public part of a key")
            return
        if file.cls is None:
            if file.blob not in held:
                self.problems.append(f"{path} is of a kind that only an agent can use: `ssh-add {path}`")
            return
        blob = file.blob or next(iter(_public_parts(path)), None) or bytes(file.unlock(self._ask).asbytes())
        certificates = [Path(f"{path}-cert.pub"), *(Path(word) for word in self._target.certificate_files)]
        for certificate in certificates:
            for proof in _certificate(certificate.expanduser(), blob):
                if proof not in held:
                    yield self._identity(file, proof, str(certificate))
        if blob not in held:
            yield self._identity(file, blob, str(path))

    def _identity(self, file: KeyFile, blob: bytes, name: str) -> FileIdentity:
        return FileIdentity(
            name=name,
            kind=kind_of(blob),
            blob=blob,
            is_costly=file.is_encrypted,
            key_file=file,
            ask=self._ask,
        )


def _public_parts(path: Path) -> list[bytes]:
    """The public part of a key, wherever it can be read without a passphrase."""
    for file in (path, Path(f"{path}.pub")):
        try:
            text = file.read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        if blob := _public(text):
            return [blob]
    try:
        file_ = read_key_file(path)
    except IdentityError:
        return []
    return [file_.blob] if file_ and file_.blob else []


def _certificate(path: Path, blob: bytes) -> Sequence[bytes]:
    """A certificate, where the file holds one for this key."""
    try:
        found = _public(path.read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return []
    if not found or "-cert-v01@" not in kind_of(found):
        return []
    # After its name and a nonce a certificate has the same fields as the key.
    message = Message(found)
    message.get_binary(), message.get_binary()
    key = Message(blob)
    key.get_binary()
    fields = key.get_remainder()
    return [found] if message.get_remainder().startswith(fields) else []


def _public(text: str) -> bytes | None:
    words = text.split(None, 2)
    if len(words) < 2 or not words[0].startswith(("ssh-", "ecdsa-", "sk-")):
        return None
    try:
        return base64.b64decode(words[1], validate=True)
    except ValueError:
        return None
