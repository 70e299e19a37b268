import subprocess
import sys
from pathlib import Path

from slipway.lock import only_one
from slipway.project import Project

HOLD = """
import fcntl, sys
held = open(sys.argv[1], "wb")
fcntl.flock(held, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


def test_the_second_waits_and_is_told_so(tmp_path: Path) -> None:
    file = tmp_path / "lock"
    argv = [sys.executable, "-c", HOLD, str(file)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        told = []

        def tell() -> None:
            told.append(True)
            holder.stdin.close()  # type: ignore[union-attr]

        with only_one(file, tell):
            assert told == [True]
    with only_one(file, tell):
        assert told == [True]


def test_a_checkouts_own_name(tmp_path: Path) -> None:
    one, two = (
        Project(root=tmp_path, state=tmp_path / name, results=tmp_path / "results") for name in ("1", "2")
    )
    assert one.client == one.client != two.client
    assert len(one.client) == 8
    assert [file.name for file in one.state.iterdir()] == ["client"]
