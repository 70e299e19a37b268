"""The process that logs in and keeps the connection."""

from __future__ import annotations

import os
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path

from slipway.errors import SlipwayError, SshError
from slipway.multiplex.keeper import Keeper
from slipway.multiplex.relay import RelayedPrompt, error_values, parse_target
from slipway.ssh.login import log_in
from slipway.ssh.trust import HostKeyPrompt


def main() -> None:
    """Log in as the command at the other end of a socket wants it, and keep that. Arguments: its number."""
    for number in (signal.SIGINT, signal.SIGHUP):
        # A ProxyCommand inherits this, and lives as long as the connection.
        signal.signal(number, signal.SIG_IGN)
    # They have waited since the command started this process; now they are ignored.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGINT, signal.SIGHUP))
    os.umask(0o077)
    prompt = RelayedPrompt(socket.socket(fileno=int(sys.argv[-1])))
    wanted = prompt.request
    target = parse_target(wanted["target"])
    met = HostKeyPrompt(ask=prompt)
    try:
        transports = log_in(target, prompt, met.on_host_key if wanted["meets_hosts"] else None)
    except SlipwayError as error:
        prompt.say(error_values(error))
        os._exit(error.exit_code)
    except Exception as error:
        prompt.say(error_values(SshError(f"{target}: the login failed ({type(error).__name__}: {error})")))
        os._exit(SshError.exit_code)
    keeper = Keeper(Path(wanted["path"]), target, transports, wanted["keep_s"], wanted["name"])
    prompt.on_gone = keeper.end
    for line in met.news:
        prompt.tell(line)
    prompt.say({"ready": True})
    prompt.wait_for_release()
    _detach()
    keeper.run()


def _detach() -> None:
    """Leave the terminal of the command that began this."""
    with suppress(OSError):
        os.setsid()
    os.chdir("/")
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
