"""One command on a site's login node."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from slipway.errors import UsageError
from slipway.host.host import Host
from slipway.host.marked import login_command, mark, marked_command, new_token
from slipway.interactive.attach import attach_streams, attach_terminal
from slipway.interactive.terminal import LeftError, open_terminal
from slipway.steps.session import Session


def run_command(session: Session, name: str, argv: Sequence[str], *, terminal: bool | None = None) -> int:
    """Run a program on a site's login node, at this terminal or with this process's own streams.

    Args:
        session: where.
        name: the site's.
        argv: the program and its arguments.
        terminal: whether it gets a terminal. Default: where input and output are one here.

    Returns:
        Its exit code.

    Raises:
        UsageError: there is no such site, or no program.
        HostError: there is no terminal here.
    """
    if not argv:
        raise UsageError(f"which program? It stands behind `--`: `invoke ssh.run {name} -- squeue --me`")
    site = session.site(name)
    if terminal is None:
        terminal = sys.stdin.isatty() and sys.stdout.isatty()
    if not terminal:
        with session.connect(site) as host:
            return _attach_streams(host, argv)
    with open_terminal() as here, session.connect(site) as host:
        try:
            return attach_terminal(host, login_command(argv), here)
        except LeftError as error:
            raise KeyboardInterrupt("left the command, which ends with its terminal") from error


def _attach_streams(host: Host, argv: Sequence[str]) -> int:
    token = new_token()
    return attach_streams(host, login_command(marked_command(argv, token)), mark(token))
