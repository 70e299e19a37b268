"""Commands that need what a cluster's login shell sets up: SLURM's programs, variables such as SCRATCH."""

from __future__ import annotations

from collections.abc import Sequence

from slipway.errors import ParseError
from slipway.host.command_line import quote_text

_MARK = "\nslipway-begins-here\n"
# sh reads no start file, so nothing is printed between this mark and the program's own output. bash would
# read ~/.bashrc once more, at least Debian's, and what $BASH_ENV names.
_MARKED = 'unset TMOUT; for out in 1 2; do printf "\\nslipway-begins-%s\\n" here >&$out; done; exec "$@"'


def login_command(argv: Sequence[str]) -> list[str]:
    """Run ``argv`` with the environment of a login shell, and print a mark on both outputs before it."""
    return ["bash", "-lc", 'exec "$@"', "slipway", "sh", "-c", _MARKED, "slipway", *argv]


def parse_login(stdout: str) -> str:
    """What the program itself printed, of the output of :func:`login_command`.

    Raises:
        ParseError: the login shell ended before the program began.
    """
    _, mark, output = stdout.partition(_MARK)
    if not mark:
        said = f"it printed {quote_text(stdout.encode(errors='replace'))}" if stdout else "it printed nothing"
        raise ParseError(
            f"`bash -l` on the cluster ended before it came to the command ({said}); look in /etc/profile.d, "
            "~/.bash_profile, ~/.bash_login, ~/.profile and ~/.bashrc there for what ends it: an `exit`, a "
            "`set -e` or an `exec` that is not only for interactive shells"
        )
    return output


def drop_greeting(stderr: str) -> str:
    """Of what was printed on standard error, what is not the login shell's own."""
    return stderr.rpartition(_MARK)[2]
