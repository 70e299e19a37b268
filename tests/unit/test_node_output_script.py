"""Output on the node's own disk, brought to scratch: the rendered script under real bash, with real rsync."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from slipway.scheduler.slurm.resources import SlurmResources
from slipway.scheduler.slurm.site import SlurmSite
from slipway.site import Paths
from tests.unit.node import SITE, Node
from tests.waiting import PATIENCE_S

pytestmark = pytest.mark.skipif(shutil.which("rsync") is None, reason="rsync is not installed here")


class Disk(Node):
    """A node where /out is on its own disk."""

    def __init__(
        self, folder: Path, *, every_s: int = 300, local: Path | None = None, chain: int = 0
    ) -> None:
        self.local = local or folder / "local"
        self.local.mkdir(parents=True, exist_ok=True)
        site: SlurmSite = SITE.model_copy(
            update={
                "paths": Paths(scratch="/s", node_local=str(self.local)),
                "output": "node-local",
                "output_interval_s": every_s,
            }
        )
        super().__init__(folder, site, resources=SlurmResources(continue_after_limit=chain or None))

    def room(self, attempt: int = 1) -> Path:
        """The attempt's place on the node."""
        user = os.environ.get("USER", "root")
        return self.local / f"slipway-{user}" / "out" / f"k3f9-cpu-20260131-142530.{attempt}"

    def begin(self, script: str, attempt: int = 1) -> subprocess.Popen[bytes]:
        """Start a program in /out, as the stand-in for Apptainer mounts nothing."""
        restarts = {"SLURM_RESTART_COUNT": str(attempt - 1)} if attempt > 1 else {}
        return self.start("sh", "-c", f'cd "{self.room(attempt)}/out"; {script}', **restarts)

    def end(self, script: str, attempt: int = 1) -> int:
        with self.begin(script, attempt) as process:
            return process.wait(timeout=PATIENCE_S)

    def out(self, attempt: int = 1) -> Path:
        """The attempt's output on scratch."""
        return self.run_dir / f"attempt-{attempt}" / "out"

    def brought(self, attempt: int = 1) -> dict[str, str]:
        files = [path for path in self.out(attempt).rglob("*") if path.is_file()]
        return {str(path.relative_to(self.out(attempt))): path.read_text() for path in files}


def until(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize("code", [0, 3])
def test_all_is_brought_at_the_end(tmp_path: Path, code: int) -> None:
    node = Disk(tmp_path)
    assert node.end(f"mkdir 'a b'; echo 1 >'a b/figures'; echo 2 >-x; exit {code}") == code
    assert node.brought() == {"a b/figures": "1\n", "-x": "2\n"}
    assert not node.room().exists()
    assert (node.result()["reason"], node.result()["note"]) == ("program-error" if code else "ok", "")
    assert f"/out is {node.room()}/out of this node" in node.log()
    assert sorted(path.name for path in (node.run_dir / "attempt-1").iterdir()) == [
        "log", "out", "result.json"
    ]  # fmt: skip


def test_it_is_brought_regularly_and_as_it_is(tmp_path: Path) -> None:
    node = Disk(tmp_path, every_s=1)
    script = "echo 1 >kept; echo 1 >gone; until [ -e go ]; do sleep 0.1; done; rm go gone"
    with node.begin(script) as process:
        until(lambda: node.brought() == {"kept": "1\n", "gone": "1\n"})
        assert process.poll() is None
        (node.room() / "out" / "go").touch()
        assert process.wait(timeout=PATIENCE_S) == 0
    assert node.brought() == {"kept": "1\n"}


def test_what_was_written_in_the_second_of_the_last_time_is_brought(tmp_path: Path) -> None:
    node = Disk(tmp_path, every_s=1)
    # Written all the time, always of one size.
    script = (
        "n=1000; until [ -e go ]; do echo $n >file; n=$((n + 1)); sleep 0.05; done; rm go; echo 9999 >file"
    )
    with node.begin(script) as process:
        until(lambda: "file" in node.brought())
        (node.room() / "out" / "go").touch()
        assert process.wait(timeout=PATIENCE_S) == 0
    assert node.brought() == {"file": "9999\n"}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_word_of_the_end_does_not_wait_for_the_interval(tmp_path: Path, number: signal.Signals) -> None:
    node = Disk(tmp_path)
    # It saves for longer than the test waits.
    with node.begin("trap '' TERM USR1; echo 1 >file; until [ -e go ]; do sleep 0.1; done; rm go") as process:
        until(lambda: (node.room() / "out" / "file").exists())
        assert node.brought() == {}
        process.send_signal(number)
        until(lambda: node.brought() == {"file": "1\n"})
        assert process.poll() is None
        (node.room() / "out" / "go").touch()
        assert process.wait(timeout=PATIENCE_S) == 0
    assert node.brought() == {"file": "1\n"}


def test_what_an_attempt_that_was_killed_left_is_brought_by_the_next_one(tmp_path: Path) -> None:
    node = Disk(tmp_path)
    with node.begin("echo 1 >step; exec sleep 600") as process:
        until(lambda: (node.room() / "out" / "step").exists())
        pids = subprocess.run(
            ["pgrep", "-P", str(process.pid)], stdout=subprocess.PIPE, text=True, check=True
        )
        for pid in [process.pid, *map(int, pids.stdout.split())]:
            os.kill(pid, signal.SIGKILL)
    assert node.brought() == {}
    assert node.end("cp x y || true; echo 2 >step", attempt=2) == 0
    assert (node.brought(1), node.brought(2)) == ({"step": "1\n"}, {"step": "2\n"})
    assert not node.room(1).exists()


def test_what_cannot_be_brought_is_no_success(tmp_path: Path) -> None:
    node = Disk(tmp_path)
    with node.begin("echo 1 >file; until [ -e go ]; do sleep 0.1; done; rm go") as process:
        until(lambda: (node.room() / "out" / "file").exists())
        shutil.rmtree(node.out())
        node.out().write_text("no folder")
        (node.room() / "out" / "go").touch()
        assert process.wait(timeout=PATIENCE_S) == 1
    assert (node.result()["reason"], node.result()["exit_code"]) == ("program-error", 1)
    assert str(node.result()["note"]).startswith(f"not all of /out was brought from {node.room()} on node1: ")
    assert (node.room() / "out" / "file").read_text() == "1\n"


def test_a_full_disk_of_the_node_is_told(tmp_path: Path) -> None:
    node = Disk(tmp_path)
    # A stand-in for a full disk.
    (node.folder / "df").write_text("#!/bin/sh\nprintf 'Avail\\n    3M\\n'\n")
    (node.folder / "df").chmod(0o755)
    assert node.end("echo 1 >file; echo 'No space left on device' >&2; exit 1") == 1
    assert str(node.result()["note"]).startswith(f"the disk of {node.room()} on node1 is full")
    assert node.brought() == {"file": "1\n"}


def test_without_a_disk_of_its_own_it_is_scratch(tmp_path: Path) -> None:
    node = Disk(tmp_path / "node", local=tmp_path / "local")
    shutil.rmtree(node.local)
    assert node.run("sh", "-c", "exit 4") == 4
    assert "/out is on scratch, not on paths.node_local" in node.log()
    assert not node.local.exists()


def test_a_link_of_a_chain_has_what_the_last_one_brought(tmp_path: Path) -> None:
    node = Disk(tmp_path, chain=3)
    scontrol = "#!/bin/sh\ncase $* in *show*) echo 'JobId=7 JobState=RUNNING Reason=None ';; esac\n"
    (node.folder / "scontrol").write_text(scontrol)
    (node.folder / "scontrol").chmod(0o755)
    with node.begin("trap 'echo 1 >step; exit 0' USR1; touch here; while :; do sleep 0.1; done") as process:
        until(lambda: (node.room() / "out" / "here").exists())
        process.send_signal(signal.SIGUSR1)
        assert process.wait(timeout=PATIENCE_S) == 0
    assert (node.result()["reason"], node.result()["continues"]) == ("time-limit", True)
    assert node.brought() == {"here": "", "step": "1\n"}
