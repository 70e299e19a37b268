"""Which port there, and which one here."""

from __future__ import annotations

import os
import re
import socket
from dataclasses import dataclass

from slipway.errors import HostError, UsageError

_PORTS = re.compile(r"([0-9]{1,5})(?::([0-9]{1,5}))?")
_LARGEST = 65535
LOCALHOST = "127.0.0.1"


@dataclass(frozen=True, kw_only=True)
class PortPair:
    """A port there, and the one here that leads to it; 0 is any that is free."""

    remote: int
    local: int


def parse_ports(words: str) -> PortPair:
    """The ports of ``PORT`` or ``PORT:LOCAL``.

    Raises:
        UsageError: they are none.
    """
    match = _PORTS.fullmatch(words)
    remote = int(match[1]) if match else 0
    local = int(match[2]) if match and match[2] else remote
    if not 0 < remote <= _LARGEST or local > _LARGEST:
        raise UsageError(
            f"{words!r:.200} is no port: write PORT, or PORT:LOCAL for another one here, from 1 to {_LARGEST}"
            "; PORT:0 takes one that is free"
        )
    return PortPair(remote=remote, local=local)


def listen(ports: PortPair) -> socket.socket:
    """A socket of this machine, which only this machine reaches, and to which connections may come.

    Raises:
        HostError: another program has the port, or this user may not have it.
    """
    try:
        return socket.create_server((LOCALHOST, ports.local))
    except OSError as error:
        # Python adds the address, which is ours.
        why = os.strerror(error.errno) if error.errno else str(error)
        raise HostError(
            f"port {ports.local} of this machine cannot be had ({why}); choose another one with "
            f"`{ports.remote}:LOCAL`, or `{ports.remote}:0` for one that is free"
        ) from error
