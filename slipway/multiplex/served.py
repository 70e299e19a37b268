"""The keeper's end of one channel: what a client wants of it, and bytes both ways."""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import paramiko

from slipway.multiplex.frame import Decoder, Kind, MalformedFrameError, frame, message, values_of

_CHUNK_BYTES = 1 << 17
_LOOK_S = 0.5


class ServedChannel:
    """A channel of the kept connection for one client, which ends with the client's socket."""

    def __init__(self, connection: socket.socket, decoder: Decoder, channel: paramiko.Channel) -> None:
        self._socket = connection
        self._decoder = decoder
        self._channel = channel
        self._telling = threading.Lock()
        # After the close of a channel nothing more may be sent on it, or sshd ends the connection of all.
        self._acting = threading.Lock()
        self._brought = threading.Event()
        self._poll = select.poll()
        self._poll.register(connection, 0)

    def serve(self) -> None:
        """Serve the client until it has gone."""
        for work in (self._bring, self._finish):
            threading.Thread(target=work, daemon=True).start()
        try:
            with suppress(OSError, MalformedFrameError, EOFError):
                self._listen()
        finally:
            with self._acting:
                self._channel.close()
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    def _listen(self) -> None:
        while content := self._socket.recv(_CHUNK_BYTES):
            for kind, part in self._decoder.feed(content):
                if kind is Kind.INPUT:
                    self._send(part)
                elif kind is Kind.INPUT_END:
                    with self._acting:
                        if not self._channel.closed:
                            self._channel.shutdown_write()
                elif kind is Kind.REQUEST:
                    self._act(values_of(part))

    def _send(self, content: bytes) -> None:
        """Hand on some input; what the other side takes no more is dropped."""
        while content and self._has_room():
            with self._acting:
                if self._channel.closed or self._channel.eof_sent:
                    return
                content = content[self._channel.send(content) :]

    def _has_room(self) -> bool:
        channel = self._channel
        with channel.out_buffer_cv:
            while channel.out_window_size <= 0 and not (channel.closed or channel.eof_sent):
                channel.out_buffer_cv.wait(_LOOK_S)
                if self._poll.poll(0):
                    raise EOFError("the client has gone")
        return not channel.closed

    def _act(self, values: dict[str, Any]) -> None:
        with self._acting:
            try:
                self._do(values)
            except (paramiko.SSHException, EOFError, OSError) as error:
                self._tell(message(Kind.FAILED, {"text": str(error) or type(error).__name__}))
            else:
                if values.get("want") != "size":
                    self._tell(message(Kind.DONE))

    def _do(self, values: dict[str, Any]) -> None:
        match values.get("want"):
            case "exec":
                self._channel.exec_command(values["command"])
            case "subsystem":
                self._channel.invoke_subsystem(values["name"])
            case "shell":
                self._channel.invoke_shell()
            case "pty":
                self._channel.get_pty(values["term"], values["width"], values["height"])
            case "size":
                self._channel.resize_pty(values["width"], values["height"])
            case other:
                raise EOFError(f"nobody knows what {other!r} is")

    def _bring(self) -> None:
        """Bring the client both outputs, and their end, which they have together."""
        errors = threading.Thread(
            target=self._pump, args=(Kind.ERRORS, self._channel.recv_stderr), daemon=True
        )
        errors.start()
        self._pump(Kind.OUTPUT, self._channel.recv)
        errors.join()
        with suppress(OSError):
            self._tell(frame(Kind.OUTPUT_END))
        self._brought.set()

    def _pump(self, kind: Kind, receive: Callable[[int], bytes]) -> None:
        with suppress(OSError, EOFError):
            while chunk := receive(_CHUNK_BYTES):
                self._tell(frame(kind, chunk))

    def _finish(self) -> None:
        code = self._channel.recv_exit_status()
        with suppress(OSError):
            self._tell(message(Kind.STATUS, {"code": code}))
            self._brought.wait()
            # A program may be over before its start is told.
            with self._acting:
                self._socket.shutdown(socket.SHUT_WR)

    def _tell(self, content: bytes) -> None:
        with self._telling:
            self._socket.sendall(content)
