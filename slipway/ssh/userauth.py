"""The part of SSH in which a user logs in (RFC 4252, RFC 4256), one question and one reply at a time.

Paramiko's own handler answers the server from its network thread: a prompt there cannot be interrupted, an
agent that refuses to sign ends the connection, and which ways the server still offers is not told. Here that
thread only puts replies into a queue, and whoever logs in asks, signs and sends.
"""

from __future__ import annotations

import queue
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import paramiko
from paramiko.auth_handler import AuthHandler
from paramiko.message import Message

from slipway.ssh.agent import IdentityError

REPLY_TIMEOUT_S = 120  # somebody may have to confirm on a phone
_RSA = ("rsa-sha2-512", "rsa-sha2-256")
_SERVICE = "ssh-userauth"
_SERVICE_REQUEST, _SERVICE_ACCEPT = 5, 6
_REQUEST, _FAILURE, _SUCCESS, _BANNER = 50, 51, 52, 53
# Those that name a channel by the server's number for it (RFC 4254).
_WINDOW_ADJUST, _CHANNEL_CLOSE, _CHANNEL_REQUEST = 93, 97, 98
_HEAD = struct.Struct(">BI")
# The same number means three things; the method that is under way says which.
_MORE, _INFO_RESPONSE = 60, 61


class Signer(Protocol):
    """A key: its name, its type, its public part as it is sent, and what signs with it."""

    name: str
    kind: str
    blob: bytes

    def sign(self, data: bytes, algorithm: str) -> bytes:
        """A signature, as SSH encodes it."""
        ...


@dataclass(frozen=True, kw_only=True)
class Success:
    """The user is in."""


@dataclass(frozen=True, kw_only=True)
class Failure:
    """Not yet: refused or, where ``partial``, right and not enough. ``methods`` may be tried next."""

    methods: tuple[str, ...]
    partial: bool = False


@dataclass(frozen=True, kw_only=True)
class Challenge:
    """Prompts to answer, each with whether the answer may be seen."""

    title: str
    instructions: str
    prompts: tuple[tuple[str, bool], ...]


@dataclass(frozen=True, kw_only=True)
class KeyAccepted:
    """The server would take a signature of this key."""


@dataclass(frozen=True, kw_only=True)
class PasswordExpired:
    """The password is right, and has to be changed first."""

    prompt: str


@dataclass(frozen=True, kw_only=True)
class Closed:
    """The server has hung up."""


@dataclass(frozen=True, kw_only=True)
class NoReply:
    """No reply in time."""


Reply = Success | Failure | Challenge | KeyAccepted | PasswordExpired | Closed | NoReply


class Transport(paramiko.Transport):
    """Paramiko's, which also keeps what the server says when it hangs up or opens no channel.

    It sends nothing on a channel that it has closed. Paramiko does that where one thread sends while another
    closes, or the server does, and sshd then ends the connection, with all other channels.
    """

    farewell = ""
    refusal = ""

    def __init__(self, line: Any) -> None:
        super().__init__(line)
        self._closed_there: set[int] = set()

    def _send_message(self, data: Message) -> None:
        # Those of channels come one at a time: paramiko's lock for them is held.
        kind, number = _HEAD.unpack(data.asbytes()[: _HEAD.size].ljust(_HEAD.size, b"\0"))
        if _WINDOW_ADJUST <= kind <= _CHANNEL_REQUEST:
            if number in self._closed_there:
                return
            if kind == _CHANNEL_CLOSE:
                self._closed_there.add(number)
        super()._send_message(data)  # type: ignore[misc]

    def _parse_channel_open_success(self, message: Message) -> None:
        message.get_int()
        self._closed_there.discard(message.get_int())
        message.rewind()
        super()._parse_channel_open_success(message)  # type: ignore[misc]

    def _parse_disconnect(self, message: Message) -> None:
        message.get_int()
        self.farewell = _text(message)

    def _parse_channel_open_failure(self, message: Message) -> None:
        message.get_int(), message.get_int()
        self.refusal = _text(message)
        message.rewind()
        super()._parse_channel_open_failure(message)  # type: ignore[misc]


class UserAuth(AuthHandler):
    """The client's side of a login."""

    def __init__(self, transport: Transport, user: str) -> None:
        super().__init__(transport)
        self._user = user
        self._wire: Any = transport
        self._replies: queue.SimpleQueue[Reply] = queue.SimpleQueue()
        self.words = ""
        transport.auth_handler = self

    def begin(self) -> Reply:
        """Ask which ways there are.

        Both requests go at once: a server takes them in turn, and one that grants no logins hangs up.
        """
        message = Message()
        message.add_byte(bytes([_SERVICE_REQUEST]))
        message.add_string(_SERVICE)
        self.auth_method = "none"
        for one in (message, self._compose("none", (), Message())):
            if not self._send(one):
                return Closed()
        reply = self._wait()
        return self._wait() if isinstance(reply, Success) else reply

    def probe(self, key: Signer) -> Reply:
        """Ask whether a key would do, without signing.

        Raises:
            IdentityError: it is an RSA key, and the server is too old.
        """
        return self._request("publickey", False, self._algorithm(key), key.blob)

    def prove(self, key: Signer) -> Reply:
        """Log in with a key.

        Raises:
            IdentityError: the key cannot sign; nothing was sent.
        """
        algorithm = self._algorithm(key)
        parts: tuple[str | bytes | bool, ...] = (True, algorithm, key.blob)
        signed = Message()
        signed.add_string(self._wire.session_id)
        signed = self._compose("publickey", parts, signed)
        return self._request("publickey", *parts, key.sign(signed.asbytes(), algorithm))

    def send_password(self, password: str) -> Reply:
        """Log in with a password."""
        return self._request("password", False, password)

    def interactive(self) -> Reply:
        """Ask the server for its prompts."""
        return self._request("keyboard-interactive", "", "")

    def answer(self, answers: Sequence[str]) -> Reply:
        """Answer a challenge."""
        message = Message()
        message.add_byte(bytes([_INFO_RESPONSE]))
        message.add_int(len(answers))
        for answer in answers:
            message.add_string(answer)
        return self._exchange(message)

    def abort(self) -> None:
        """The connection is gone; called from paramiko's thread."""
        self._replies.put(Closed())

    @property
    def _handler_table(self) -> dict[int, Callable[[Message], None]]:
        return {
            _SERVICE_ACCEPT: lambda _: self._replies.put(Success()),
            _SUCCESS: self._succeed,
            _FAILURE: self._fail,
            _BANNER: self._hear,
            _MORE: self._go_on,
        }

    def _request(self, method: str, *parts: str | bytes | bool) -> Reply:
        self.auth_method = method
        return self._exchange(self._compose(method, parts, Message()))

    def _compose(self, method: str, parts: Sequence[str | bytes | bool], message: Message) -> Message:
        message.add_byte(bytes([_REQUEST]))
        for part in (self._user, "ssh-connection", method, *parts):
            if isinstance(part, bool):
                message.add_boolean(part)
            else:
                message.add_string(part)
        return message

    def _exchange(self, message: Message) -> Reply:
        return self._wait() if self._send(message) else Closed()

    def _send(self, message: Message) -> bool:
        try:
            self._wire._send_message(message)
        except (EOFError, OSError):
            return False  # while somebody was looking for an answer
        return True

    def _wait(self) -> Reply:
        try:
            return self._replies.get(timeout=REPLY_TIMEOUT_S)
        except queue.Empty:
            return NoReply()

    def _algorithm(self, key: Signer) -> str:
        kind, mark, rest = key.kind.partition("-cert-")
        if kind != "ssh-rsa":
            return key.kind
        # RSA keys sign in several ways; the server may have said which it takes.
        said: str | bytes = self._wire.server_extensions.get("server-sig-algs", b"")
        taken = (said.decode() if isinstance(said, bytes) else said).split(",")
        usable = [name for name in _RSA if name in taken or taken == [""]]
        if not usable:
            raise IdentityError(f"{key.name}: the server takes RSA keys only with SHA-1, which is broken")
        return usable[0] + mark + rest

    def _succeed(self, _: Message) -> None:
        self.authenticated = True
        self.username = self._user
        self._wire._auth_trigger()
        self._replies.put(Success())

    def _fail(self, message: Message) -> None:
        methods = tuple(message.get_list())
        self._replies.put(Failure(methods=methods, partial=message.get_boolean()))

    def _hear(self, message: Message) -> None:
        self.words = message.get_binary().decode("utf-8", errors="replace")

    def _go_on(self, message: Message) -> None:
        if self.auth_method == "publickey":
            self._replies.put(KeyAccepted())
        elif self.auth_method == "password":
            self._replies.put(PasswordExpired(prompt=_text(message)))
        else:
            title, instructions, _ = _text(message), _text(message), message.get_binary()
            prompts = tuple((_text(message), message.get_boolean()) for _ in range(message.get_int()))
            self._replies.put(Challenge(title=title, instructions=instructions, prompts=prompts))


def _text(message: Message) -> str:
    return message.get_binary().decode("utf-8", errors="replace")
