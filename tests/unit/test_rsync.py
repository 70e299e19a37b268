from pathlib import PurePosixPath

import pytest

from slipway.errors import ParseError, SlipwayError
from slipway.shell import Result
from slipway.transfer.rsync import Transfer, _failure, parse_progress, parse_stats, remote, rsync_command
from slipway.transfer.rsync_tunnel import RsyncTunnel

# rsync 3.2.7 --stats --info=progress2, one file of two changed.
PRINTED = """
              0   0%    0.00kB/s    0:00:00 (xfr#0, to-chk=0/3)
      1,048,576  50%   10.00MB/s    0:00:00 (xfr#1, to-chk=0/3)

Number of files: 3 (reg: 2, dir: 1)
Number of created files: 0
Number of deleted files: 0
Number of regular files transferred: 1
Total file size: 2,097,152 bytes
Total transferred file size: 1,048,576 bytes
Literal data: 32,768 bytes
Matched data: 1,015,808 bytes
File list size: 0
File list generation time: 0.001 seconds
File list transfer time: 0.000 seconds
Total bytes sent: 33,100
Total bytes received: 6,210

sent 33,100 bytes  received 6,210 bytes  78,620.00 bytes/sec
total size is 2,097,152  speedup is 53.35
"""


def test_command() -> None:
    place = remote(PurePosixPath("/s/a b"), inside=True)
    assert rsync_command(["/x/"], place, rsh_command="rsh 'a b'", options=["--times"]) == [
        "rsync",
        "--protect-args",
        "--stats",
        "--info=progress2",
        "--outbuf=L",
        "--rsh=rsh 'a b'",
        "--times",
        "--",
        "/x/",
        "cluster:/s/a b/",
    ]


def test_statistics() -> None:
    assert parse_stats(PRINTED) == Transfer(
        sent_bytes=33100, received_bytes=6210, total_bytes=2097152, files=1
    )


def test_missing_statistics_are_noticed() -> None:
    with pytest.raises(ParseError, match="rsync's statistics have no received_bytes"):
        parse_stats(PRINTED.replace("Total bytes received", "Bytes in"))


def test_progress_is_the_newest_line() -> None:
    assert parse_progress(PRINTED) == (1048576, 50)
    assert parse_progress("building file list") is None


class TaskRunner:
    """What is asked of a connection after an rsync has failed."""

    target = "me@host"


def ended(
    exit_code: int,
    stderr: str = "",
    *,
    there: int | None = None,
    lost: Exception | None = None,
    target: str = "cluster:/s",
) -> SlipwayError:
    tunnel = RsyncTunnel.__new__(RsyncTunnel)  # without its socket
    tunnel.exit_code, tunnel.said, tunnel.lost = there, "", lost
    result = Result(argv=("rsync",), exit_code=exit_code, stderr=stderr)
    error = _failure(TaskRunner(), result, tunnel, target)  # type: ignore[arg-type]
    assert isinstance(error, SlipwayError)
    return error


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (ended(12, lost=EOFError("gone")), 82, "the connection was lost during rsync (gone)"),
        (ended(30), 82, "nothing came for 600 s"),
        (ended(12, there=127), 69, "rsync is not installed there"),
        (ended(12, there=-1), 69, "rsync was killed there"),
        (ended(-9), 66, "rsync was killed on this machine (signal 9"),
        (ended(11, "rsync: write failed: No space left on device (28)"), 84, "the disk is full"),
        (
            ended(11, "rsync: write failed: No space left on device (28)", target="/home/me/results"),
            75,
            "/home/me/results: there is no room for it on this machine",
        ),
        # Whatever the language there is, and whichever side it is that has seen the code.
        (ended(12, "rsync: Der verfügbare Plattenplatz ist überschritten (122)", there=11), 84, "quota"),
        (ended(11, "rsync: read error (5)"), 69, "rsync failed with exit code 11:\n  rsync: read error (5)"),
        (
            ended(12, "rsync: [sender] write error: Broken pipe (32)", there=11),
            69,
            "could not write: is the disk",
        ),
        (ended(24, "file has vanished: x"), 73, "file has vanished: x"),
    ],
)
def test_what_rsync_has_failed_by(error: SlipwayError, code: int, words: str) -> None:
    assert error.exit_code == code
    assert words in str(error)
