"""Commands that need what a cluster's login shell sets up: SLURM's programs, variables such as SCRATCH."""

from __future__ import annotations

from collections.abc import Sequence

from slipway.errors import ParseError

_MARK = "slipway-begins-here"


def login_command(argv: Sequence[str]) -> list[str]:
    """Run ``argv`` with the environment of a login shell.

    A line is printed first, since a login shell may print words of its own before it.
    """
    return ["bash", "-lc", f'echo; echo {_MARK}; exec "$@"', "slipway", *argv]


def parse_login(stdout: str) -> str:
    """What the program itself printed, of the output of :func:`login_command`.

    Raises:
        ParseError: the login shell ended before the program began.
    """
    _, mark, output = stdout.partition(f"\n{_MARK}\n")
    if not mark:
        raise ParseError(f"the login shell did not come to the command; it printed {stdout[-300:]!r}")
    return output
