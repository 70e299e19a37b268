"""Where at the platform this user has submitted: what is asked about all of their jobs is asked there."""

from __future__ import annotations

from slipway.errors import RemoteError
from slipway.host.host import Host

# Each line has the options of one place, whose words have no spaces.
NOTE = r"""
places=${XDG_STATE_HOME:-$HOME/.local/state}/slipway/ngc-places
mkdir -p "${places%/*}" || exit
grep -qxF -- "${where[*]}" "$places" 2>/dev/null || echo "${where[*]}" >>"$places" || exit
"""
_READ = 'cat "${XDG_STATE_HOME:-$HOME/.local/state}/slipway/ngc-places" 2>/dev/null || true'


def find_places(host: Host) -> list[list[str]]:
    """The options of each place; where there is none yet, those of ``ngc config`` serve.

    Raises:
        RemoteError: they cannot be read.
    """
    done = host.run_in_login_shell(["sh", "-c", _READ])
    if not done.ok:
        raise RemoteError(f"{host.target}: {done.explain()}")
    return [line.split() for line in done.stdout.splitlines() if line.startswith("--")] or [[]]
