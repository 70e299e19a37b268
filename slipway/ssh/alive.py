"""Noticing that a connection is dead: nothing comes back, and nobody says so."""

from __future__ import annotations

import threading
import time

import paramiko

# So many times the interval without an answer, like ssh's ServerAliveCountMax.
_PATIENCE = 3
_QUESTION = "keepalive@openssh.com"


def keep_alive(transport: paramiko.Transport, interval_s: float) -> None:
    """Ask the server for a sign of life now and then, and close the connection when none comes.

    Every SSH server answers, if only that it does not know the question. What TCP alone notices is not
    enough: a host on the way, or a server that hangs, may go on acknowledging.

    Args:
        transport: a connection that is logged in.
        interval_s: between one answer and the next question; 0 never asks.
    """
    if interval_s > 0:
        threading.Thread(target=_ask, args=(transport, interval_s), daemon=True).start()


def _ask(transport: paramiko.Transport, interval_s: float) -> None:
    while transport.is_active():
        give_up = threading.Timer(_PATIENCE * interval_s, transport.close)
        give_up.daemon = True
        give_up.start()
        try:
            transport.global_request(_QUESTION, wait=True)
        except (paramiko.SSHException, OSError, EOFError):
            return  # it is closed
        finally:
            give_up.cancel()
        time.sleep(interval_s)
