"""Keys to log in with, and the agent that holds some of them."""

from __future__ import annotations

import os
import socket
import struct
from dataclasses import dataclass, field
from pathlib import Path

from paramiko.message import Message

from slipway.ssh.target import Target

AGENT_TIMEOUT_S = 120  # somebody may have to confirm
_LIST, _LISTED, _SIGN, _SIGNED = 11, 12, 13, 14
_FLAGS = {"rsa-sha2-256": 2, "rsa-sha2-512": 4}


class IdentityError(Exception):
    """A key cannot be used; the message says which, why and what helps."""


@dataclass(kw_only=True)
class Identity:
    """A key to log in with. One that ``is_costly`` needs somebody to act; the server is asked first."""

    name: str
    kind: str
    blob: bytes
    is_costly: bool = False

    def sign(self, data: bytes, algorithm: str) -> bytes:
        """A signature, as SSH encodes it.

        Raises:
            IdentityError: the key cannot sign.
        """
        raise NotImplementedError


class Agent:
    """The ssh-agent; without one it holds no keys."""

    def __init__(self, path: str | None) -> None:
        self.keys: list[AgentIdentity] = []
        self.problem: str | None = None
        self._path = path
        self._socket: socket.socket | None = None
        if not path:
            return
        if not hasattr(socket, "AF_UNIX"):
            self.problem = f"the agent at {path} cannot be asked: Python has no such sockets on this system"
            return
        try:
            self._socket = socket.socket(socket.AF_UNIX)
            self._socket.settimeout(AGENT_TIMEOUT_S)
            self._socket.connect(path)
            kind, message = self._call(bytes([_LIST]))
            for _ in range(message.get_int() if kind == _LISTED else 0):
                blob, comment = message.get_binary(), message.get_binary().decode(errors="replace")
                self.keys.append(
                    AgentIdentity(
                        name=f"agent: {comment}", kind=kind_of(blob), blob=blob, is_costly=True, agent=self
                    )
                )
        except (OSError, struct.error) as error:
            why = getattr(error, "strerror", None) or error
            self.problem = f"the agent at {path} does not answer ({why})"

    def sign(self, identity: AgentIdentity, data: bytes, algorithm: str) -> bytes:
        """Have it sign."""
        flags = _FLAGS.get(algorithm.partition("-cert-")[0], 0)
        request = Message()
        request.add_byte(bytes([_SIGN]))
        request.add_string(identity.blob)
        request.add_string(data)
        request.add_int(flags)
        try:
            kind, message = self._call(request.asbytes())
        except (OSError, struct.error) as error:
            raise IdentityError(f"{identity.name}: the agent does not answer ({error})") from error
        if kind != _SIGNED:
            raise IdentityError(
                f"{identity.name}: the agent refuses to sign with it. Is it locked (`ssh-add -X`), or was "
                "its question answered with no?"
            )
        return message.get_binary()

    def close(self) -> None:
        """Leave it."""
        if self._socket is not None:
            self._socket.close()

    def _call(self, request: bytes) -> tuple[int, Message]:
        assert self._socket is not None  # noqa: S101 - without one there are no keys to sign with
        self._socket.sendall(struct.pack(">I", len(request)) + request)
        answer = self._receive(struct.unpack(">I", self._receive(4))[0])
        return answer[0], Message(answer[1:])

    def _receive(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            chunk = self._socket.recv(size - len(data)) if self._socket else b""
            if not chunk:
                raise ConnectionError("it hung up")
            data += chunk
        return data


@dataclass(kw_only=True)
class AgentIdentity(Identity):
    """A key that the agent holds."""

    agent: Agent = field(repr=False)

    def sign(self, data: bytes, algorithm: str) -> bytes:
        """Have the agent sign."""
        return self.agent.sign(self, data, algorithm)


def agent_path(target: Target) -> str | None:
    """The socket of the agent that is to be asked, or ``None``."""
    word = target.identity_agent
    if word is None or word == "SSH_AUTH_SOCK":
        return os.environ.get("SSH_AUTH_SOCK")
    if word.lower() == "none":
        return None
    return os.environ.get(word[1:]) if word.startswith("$") else str(Path(word).expanduser())


def kind_of(blob: bytes) -> str:
    """The type of a public key, which is the first thing in it."""
    return Message(blob).get_binary().decode("ascii", errors="replace")
