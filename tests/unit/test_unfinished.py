"""What a killed rsync leaves in a folder, and what only looks like it."""

import os
import signal
import subprocess
from pathlib import Path

from slipway.transfer.unfinished import remove_unfinished
from tests.waiting import wait_until


def test_what_a_killed_rsync_has_left(tmp_path: Path) -> None:
    source, target = tmp_path / "source" / "deep", tmp_path / "target"
    source.mkdir(parents=True)
    for name in ("large", ".hidden"):
        (source / name).write_bytes(os.urandom(2_000_000))
        argv = ["rsync", "-r", "--mkpath", "--bwlimit=200", f"{source}/{name}", f"{target}/deep/"]
        process = subprocess.Popen(argv, start_new_session=True)
        wait_until(lambda name=name: list(target.glob(f"deep/.*{name.strip('.')}.??????")), "rsync")  # type: ignore[misc]
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    [one, other] = (target / "deep").iterdir()
    began = one.stat().st_mtime
    # One that is written to is another rsync's.
    os.utime(one, (began + 100, began + 100))
    os.utime(other, (began, began))
    remove_unfinished(target, ["deep/large", "deep/.hidden"], began + 50)
    assert [*(target / "deep").iterdir()] == [one]
    remove_unfinished(target, ["deep/large", "deep/.hidden", "not/there"], began + 150)
    assert not [*(target / "deep").iterdir()]


def test_what_is_no_leftover_stays(tmp_path: Path) -> None:
    names = [
        ".model.latest",
        ".model.abc123x",
        ".other.abc123",
        "model.abc123",
        ".model.link12",
        ".model.known1",
    ]
    for name in names:
        if name == ".model.link12":
            (tmp_path / name).symlink_to("nowhere")
        else:
            (tmp_path / name).touch(mode=0o600)
    # As what has arrived has it: others may read it.
    (tmp_path / ".model.latest").chmod(0o644)
    (tmp_path / ".model.folder").mkdir(mode=0o600)
    remove_unfinished(tmp_path, ["model", ".model.known1"], 1e12)
    assert {path.name for path in tmp_path.iterdir()} == {*names, ".model.folder"}
