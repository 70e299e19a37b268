"""A server that lets a connection have so many channels, and then hangs up."""

import contextlib
import threading

import paramiko

from slipway.host.command_line import MARK


class FewChannels(paramiko.ServerInterface):
    """A server that hangs up after so many channels, and says why. sshd cannot be made to."""

    def __init__(self, transport: paramiko.Transport, most: int) -> None:
        self.transport = transport
        self.left = most

    def check_auth_none(self, username: str) -> int:
        return paramiko.common.AUTH_SUCCESSFUL

    def check_channel_request(self, kind: str, chanid: int) -> int:
        self.left -= 1
        if self.left < 0:
            bye = paramiko.Message()
            bye.add_byte(paramiko.common.cMSG_DISCONNECT)
            bye.add_int(12)
            bye.add_string("no more channels on this connection")
            bye.add_string("")
            self.transport._send_message(bye)
            # Closed at once, the socket may be reset before the other side has read that.
            threading.Timer(0.5, self.transport.close).start()
        return paramiko.common.OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        def answer() -> None:
            # The other side may be gone once it has what it asked for.
            with contextlib.suppress(EOFError, OSError):
                channel.sendall(MARK)
                channel.send_exit_status(0)
                channel.close()

        # The reply to the request goes out once this has returned, and has to come before the channel's end.
        threading.Timer(0.5, answer).start()
        return True
