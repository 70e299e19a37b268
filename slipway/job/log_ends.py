"""The ends of many logs, by one round trip."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from slipway.errors import ParseError, RemoteError
from slipway.host.host import Host
from slipway.job.attempts import NEWEST_ATTEMPT

_AT_ONCE = 500
# Whatever a log holds, what stands behind each was drawn for this question.
_ENDS = f"""{NEWEST_ATTEMPT}while IFS= read -r folder; do
    newest_attempt "$folder"
    file=$folder/attempt-$newest/log
    [ ! -f "$file" ] || tail -c "$2" -- "$file"
    printf %s "$1"
done
"""


def read_log_ends(
    host: Host, folders: Sequence[PurePosixPath], most_bytes: int
) -> Mapping[PurePosixPath, str]:
    """The last bytes of the logs of newest attempts, by the folders of their runs or tasks.

    Raises:
        SshError: the connection was lost.
        RemoteError: they cannot be read.
        ParseError: the answer was cut off.
    """
    ends: dict[PurePosixPath, str] = {}
    for start in range(0, len(folders), _AT_ONCE):
        some = folders[start : start + _AT_ONCE]
        mark = f"-{secrets.token_hex(16)}-"
        asked = "".join(f"{folder}\n" for folder in some)
        done = host.run(["sh", "-c", _ENDS, "slipway", mark, str(most_bytes)], stdin=asked, timeout_s=600)
        if not done.ok:
            raise RemoteError(f"{host.target}: logs could not be read: {done.explain()}")
        pieces = done.stdout.split(mark)
        if len(pieces) != len(some) + 1:
            raise ParseError(f"{host.target}: {len(pieces) - 1} logs were read, not {len(some)}; try again")
        ends |= dict(zip(some, pieces, strict=False))
    return ends
