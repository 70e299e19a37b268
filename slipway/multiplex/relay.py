"""What the command that logs in and the process that keeps the login tell each other meanwhile.

The keeper logs in itself, since a process with threads cannot be copied: the connection lives where it was
made. It has no terminal, so what the server and keys ask goes to the command, and the answers come back.
Each says one JSON value a line.
"""

from __future__ import annotations

import json
import os
import queue
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, fields
from typing import Any

import slipway.errors
from slipway.errors import SlipwayError, SshError
from slipway.ssh.prompt import Prompt
from slipway.ssh.target import Target

_LOOK_S = 0.2


def target_values(target: Target) -> dict[str, Any]:
    """How a host is reached, for :func:`parse_target`."""
    return asdict(target)


def parse_target(values: Mapping[str, Any]) -> Target:
    """How a host is reached, after it has been JSON, which has lists only."""
    known: dict[str, Any] = {}
    for name in (field.name for field in fields(Target)):
        value = values[name]
        known[name] = tuple(value) if isinstance(value, list) else value
    known["jumps"] = tuple(map(parse_target, values["jumps"]))
    return Target(**known)


class RelayedPrompt:
    """The keeper's side: asks whoever is at the command's terminal. It ends this process where that has gone.

    Attributes:
        request: what the command wants, the first that it says.
        on_gone: is called where the command has gone, before this process ends.
    """

    on_gone: Callable[[], None] | None = None

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._answers: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._is_released = threading.Event()
        threading.Thread(target=self._listen, daemon=True).start()
        self.request = self._answers.get()

    def ask(self, prompt: str, *, echo: bool) -> str | None:
        """Have it asked."""
        self.say({"ask": prompt, "echo": echo})
        answer = self._answers.get()
        return None if answer is None else str(answer)

    def tell(self, text: str) -> None:
        """Have it told."""
        self.say({"tell": text})

    def say(self, values: Mapping[str, Any]) -> None:
        """Tell the command something; one that has gone is noticed where it is listened to."""
        with suppress(OSError):
            self._socket.sendall(json.dumps(values).encode("ascii") + b"\n")

    def wait_for_release(self) -> None:
        """Wait until the command says that the connection is to be kept."""
        self._is_released.wait()

    def _listen(self) -> None:
        with suppress(OSError), self._socket.makefile("rb") as lines:
            for line in lines:
                values = json.loads(line)
                if "keep" in values:
                    self._is_released.set()
                    return
                self._answers.put(values["value"])
        # Ctrl-C, or it was killed: without it nobody wants the login.
        if self.on_gone is not None:
            self.on_gone()
        os._exit(1)


class Relay:
    """The command's side."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection

    def say(self, value: Any) -> None:
        """Tell the keeper what is wanted, or an answer."""
        self._send({"value": value})

    def release(self) -> None:
        """Say that the connection is to be kept."""
        self._send({"keep": True})

    def _send(self, values: Mapping[str, Any]) -> None:
        try:
            self._socket.sendall(json.dumps(values).encode("ascii") + b"\n")
        except OSError as error:
            raise SshError("the process that was to keep the login has ended; try again") from error

    def messages(self) -> Iterator[dict[str, Any] | None]:
        """What the keeper says, and ``None`` now and then meanwhile; ends where it has ended."""
        self._socket.settimeout(_LOOK_S)
        begun = b""
        while True:
            try:
                content = self._socket.recv(1 << 16)
            except TimeoutError:
                yield None
                continue
            except OSError:
                return
            if not content:
                return
            *whole, begun = (begun + content).split(b"\n")
            self._socket.settimeout(None)  # for the answers
            yield from map(json.loads, whole)
            self._socket.settimeout(_LOOK_S)

    def converse(self, messages: Iterator[dict[str, Any] | None], ask: Prompt) -> Iterator[None]:
        """Answer until the keeper has logged in; gives control back after each message.

        Raises:
            SlipwayError: what the login has failed by.
        """
        for values in messages:
            if values and "ask" in values:
                self.say(ask.ask(values["ask"], echo=values["echo"]))
            elif values and "tell" in values:
                ask.tell(values["tell"])
            elif values and "error" in values:
                raise parse_error(values)
            elif values and "ready" in values:
                return
            yield
        raise SshError("the process that was to keep the login has ended")


def error_values(error: SlipwayError) -> dict[str, str]:
    """An error, for :func:`parse_error`."""
    return {"error": type(error).__name__, "text": str(error)}


def parse_error(values: Mapping[str, str]) -> SlipwayError:
    """An error of the other process, of the same kind as there."""
    kind = getattr(slipway.errors, values["error"], SshError)
    known = isinstance(kind, type) and issubclass(kind, SlipwayError)
    made: SlipwayError = kind(values["text"]) if known else SshError(values["text"])
    return made
