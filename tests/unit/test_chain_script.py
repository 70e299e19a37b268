"""Jobs that go on after their time limit, and what the GPUs do: the rendered script under real bash.

`scontrol` and `nvidia-smi` are stand-ins: no scheduler runs here, and no GPU. The real SLURM is in
tests/integration/test_chain.py.
"""

import signal
import subprocess
import time
from pathlib import Path

import pytest

from slipway.scheduler.slurm.resources import SlurmResources
from slipway.scheduler.slurm.site import SlurmSite
from tests.unit.node import SITE, Node
from tests.waiting import PATIENCE_S

# It answers as SLURM 24.11 does, and notes what it was asked for.
SCONTROL = r"""#!/bin/bash
here=$(dirname "$0")
case $* in
*"show job "*) echo "JobId=7 JobName=a JobState=$(cat "$here/state") Restarts=0" ;;
*"show config"*) echo 'KillWait                = 9 sec' ;;
"requeue "*)
    echo "$2" >>"$here/requeued"
    if [ -e "$here/refuse" ]; then echo "Requested operation is presently disabled for job 7"; exit 1; fi >&2
    ;;
esac
"""
SAVES = """
import os, signal, sys, time
def save(*_):
    with open(os.environ["TARGET"] + "/" + sys.argv[1], "w") as file:
        file.write(sys.argv[2])
    sys.exit(0)
signal.signal(signal.SIGUSR1, save)
print("running", flush=True)
time.sleep(600)
"""


class Chain(Node):
    """A node on which a job goes on after its time limit."""

    def __init__(self, folder: Path, most: int = 3, site: SlurmSite = SITE) -> None:
        super().__init__(folder, site, resources=SlurmResources(continue_after_limit=most))
        (folder / "scontrol").write_text(SCONTROL)
        (folder / "scontrol").chmod(0o755)
        self.say("RUNNING Reason=None")

    def say(self, state: str) -> None:
        (self.folder / "state").write_text(state)

    @property
    def requeued(self) -> list[str]:
        """The jobs that SLURM was asked to requeue."""
        file = self.folder / "requeued"
        return file.read_text().split() if file.exists() else []

    def begin(self, attempt: int, *argv: str, **variables: str) -> subprocess.Popen[bytes]:
        """Start an attempt, and wait until its program runs."""
        out = self.run_dir / f"attempt-{attempt}" / "out"
        restarts = {"SLURM_RESTART_COUNT": str(attempt - 1)} if attempt > 1 else {}
        process = self.start(*argv, environment=(f"TARGET={out}",), **restarts, **variables)
        deadline = time.monotonic() + PATIENCE_S
        log = self.run_dir / f"attempt-{attempt}" / "log"
        while not (log.exists() and "running" in log.read_text()):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        return process

    def link(self, attempt: int, name: str, content: str) -> None:
        """An attempt that saves, and ends, as the limit comes near."""
        with self.begin(attempt, "python3", "-c", SAVES, name, content) as process:
            process.send_signal(signal.SIGUSR1)
            assert process.wait(timeout=PATIENCE_S) == 0

    def told(self, attempt: int) -> tuple[object, ...]:
        result = self.result(attempt)
        return result["reason"], result["link"], result["links"], result["continues"], result["note"]


@pytest.fixture
def chain(tmp_path: Path) -> Chain:
    return Chain(tmp_path / "node")


def test_a_job_that_saved_before_its_limit_begins_again(chain: Chain) -> None:
    chain.link(1, "step", "1")
    assert chain.requeued == ["7"]
    assert chain.told(1) == ("time-limit", 1, 4, True, "")
    assert "the time limit ended link 1; the next one follows" in chain.log(1)
    chain.link(2, "step", "2")
    # Preempted: that is no link.
    (chain.run_dir / "attempt-3" / "out").mkdir(parents=True)
    assert chain.run("sh", "-c", "echo $SLIPWAY_PREVIOUS", SLURM_RESTART_COUNT="3") == 0
    assert chain.told(4) == ("ok", 3, 4, False, "")
    assert len(chain.requeued) == 2


def test_it_begins_again_so_often_at_most(tmp_path: Path) -> None:
    chain = Chain(tmp_path / "node", most=1)
    chain.link(1, "step", "1")
    chain.link(2, "step", "2")
    assert chain.told(2) == ("time-limit", 2, 2, False, "the time limit ended all 2 links")
    assert len(chain.requeued) == 1


def test_two_links_that_wrote_nothing_new_are_the_end(chain: Chain) -> None:
    chain.link(1, "step", "1")
    # The same again, as of a program that takes over what it found and gets no further.
    chain.link(2, "step", "1")
    chain.link(3, "step", "2")
    chain.link(4, "step", "2")
    assert [chain.told(attempt)[3] for attempt in (1, 2, 3, 4)] == [True, True, True, False]
    most = Chain(chain.folder / "other", most=9)
    most.link(1, "step", "1")
    most.link(2, "step", "1")
    most.link(3, "step", "1")
    assert most.told(3) == ("time-limit", 3, 10, False, "two links in a row wrote nothing new to /out")


def test_what_the_limit_ended_outright_begins_again(chain: Chain) -> None:
    with chain.begin(1, "sh", "-c", "echo running; exec sleep 600") as process:
        chain.say("COMPLETING Reason=TimeLimit")
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=PATIENCE_S) == 143
    assert chain.told(1) == ("time-limit", 1, 4, True, "")
    assert chain.requeued == ["7"]


def test_it_asks_before_a_program_that_saves_for_too_long_is_killed(chain: Chain) -> None:
    with chain.begin(1, "sh", "-c", "trap '' TERM; echo running; sleep 60") as process:
        chain.say("COMPLETING Reason=TimeLimit")
        process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + PATIENCE_S
        while not chain.requeued:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert process.poll() is None
        process.kill()
    assert (chain.run_dir / "attempt-1" / "continues").exists()


@pytest.mark.parametrize("warned", [False, True])
def test_what_was_cancelled_does_not_begin_again(chain: Chain, warned: bool) -> None:
    saves = "trap '' TERM; trap 'sleep 1; exit 0' USR1; echo running; while :; do sleep 0.1; done"
    with chain.begin(1, "sh", "-c", saves if warned else "echo running; exec sleep 600") as process:
        if warned:
            process.send_signal(signal.SIGUSR1)
            time.sleep(0.3)
        chain.say("COMPLETING Reason=None")
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=PATIENCE_S)
    assert chain.requeued == []
    assert chain.result()["continues"] is False
    assert chain.result()["note"] == ("no next link: it was cancelled" if warned else "")


def test_what_has_to_make_room_as_its_limit_comes_near_is_no_link(chain: Chain) -> None:
    with chain.begin(1, "sh", "-c", "echo running; exec sleep 600") as process:
        process.send_signal(signal.SIGUSR1)
        time.sleep(0.3)
        chain.say("RUNNING Reason=None PreemptTime=2026-01-31T14:25:30")
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=PATIENCE_S) == 143
    assert chain.told(1) == ("preempted", 1, 4, False, "")
    assert chain.requeued == []


def test_a_link_that_was_asked_for_as_it_was_cancelled_ends_at_once(chain: Chain) -> None:
    chain.link(1, "step", "1")
    (chain.run_dir / "cancelled").touch()
    assert chain.run("echo", "reached", SLURM_RESTART_COUNT="1") == 143
    assert chain.told(2) == ("cancelled", 2, 4, False, "")
    assert "reached" not in chain.log(2)


def test_a_requeue_that_is_refused_is_told(chain: Chain) -> None:
    (chain.folder / "refuse").touch()
    chain.link(1, "step", "1")
    note = "no next link: Requested operation is presently disabled for job 7"
    assert chain.told(1) == ("time-limit", 1, 4, False, note)


def test_each_task_of_an_array_goes_on_by_itself(chain: Chain) -> None:
    slurm = {"SLURM_ARRAY_TASK_ID": "3", "SLURM_ARRAY_JOB_ID": "5"}
    # The tasks' own ids are not what is asked with: the last one's is that of the whole array.
    with chain.start("sh", "-c", "trap 'exit 0' USR1; while :; do sleep 0.1; done", **slurm) as process:
        time.sleep(1.5)
        process.send_signal(signal.SIGUSR1)
        process.wait(timeout=PATIENCE_S)
    assert chain.requeued == ["5_3"]
    assert (chain.run_dir / "task-3" / "attempt-1" / "continues").read_text() == "nothing\n"


def test_a_program_that_ends_by_itself_is_the_end(chain: Chain) -> None:
    assert chain.run("sh", "-c", "exit 3") == 3
    assert chain.told(1) == ("program-error", 1, 4, False, "")
    assert chain.requeued == []


@pytest.mark.parametrize("lines", ["set -eu -o pipefail", "set -f -C; shopt -s failglob", "IFS=0123456789"])
def test_lines_of_the_site_change_nothing_of_it(tmp_path: Path, lines: str) -> None:
    chain = Chain(tmp_path / "node", site=SITE.model_copy(update={"before": lines}))
    chain.link(1, "step", "1")
    assert chain.told(1) == ("time-limit", 1, 4, True, "")


def test_previous_is_of_the_last_attempt_that_wrote_anything(tmp_path: Path) -> None:
    node = Node(tmp_path / "node")
    for attempt, name in ((1, "kept"), (3, ".slipway-entry-0")):
        out = node.run_dir / f"attempt-{attempt}" / "out"
        out.mkdir(parents=True)
        (out / name).touch()
    assert node.run("echo", "fine", SLURM_RESTART_COUNT="4") == 0
    binds = (node.run_dir / "attempt-5" / "binds").read_text()
    assert f"{node.run_dir}/attempt-1/out:/previous:ro\n" in binds


NVIDIA_SMI = r"""#!/bin/bash
echo "$*" >"$(dirname "$0")/asked"
printf '0, 97, 30210, 412.55\n1, [N/A], 3, [Not Supported]\n'
"""


class Gpus(Node):
    """A node with GPUs, as far as nvidia-smi says."""

    def __init__(
        self, folder: Path, nvidia_smi: str = NVIDIA_SMI, *, nodes: int = 1, every_s: int = 1
    ) -> None:
        site = SITE.model_copy(update={"usage_sample_s": every_s})
        super().__init__(folder, site, resources=SlurmResources(gpus="2", nodes=nodes))
        (folder / "nvidia-smi").write_text(nvidia_smi)
        (folder / "nvidia-smi").chmod(0o755)


def test_what_the_gpus_do_is_noted(tmp_path: Path) -> None:
    node = Gpus(tmp_path / "node")
    assert node.run("sleep", "1.5", CUDA_VISIBLE_DEVICES="0,1") == 0
    head, *rows = (node.run_dir / "attempt-1" / "usage.csv").read_text().splitlines()
    assert head == "time,gpu,utilization_percent,memory_mb,power_w"
    assert len(rows) in (4, 6)
    assert [row.partition(",")[2] for row in rows[:2]] == ["0,97,30210,412.55", "1,,3,"]
    assert abs(int(rows[0].partition(",")[0]) - time.time()) < 60
    assert "--id=0,1" in (node.folder / "asked").read_text()
    assert node.log() == ""
    names = {path.name for path in (node.run_dir / "attempt-1").iterdir()}
    assert not [name for name in names if name.endswith(".part")]


@pytest.mark.parametrize("answer", ["exit 9", "exec sleep 600"], ids=["fails", "hangs"])
def test_an_nvidia_smi_that_does_not_answer_holds_nothing_up(tmp_path: Path, answer: str) -> None:
    node = Gpus(tmp_path / "node", f"#!/bin/bash\necho $$ >'{tmp_path}/pid'\n{answer}\n")
    began = time.monotonic()
    assert node.run("sh", "-c", "sleep 0.5; exit 3") == 3
    assert time.monotonic() - began < PATIENCE_S
    assert not (node.run_dir / "attempt-1" / "usage.csv").exists()
    assert node.result()["reason"] == "program-error"
    pid = int((tmp_path / "pid").read_text())
    deadline = time.monotonic() + PATIENCE_S
    while Path(f"/proc/{pid}").exists():
        assert time.monotonic() < deadline, "it outlived the job"
        time.sleep(0.05)


def test_nothing_is_noted_where_no_gpu_is_asked_for(tmp_path: Path) -> None:
    node = Gpus(tmp_path / "node", every_s=0)
    assert node.run("sleep", "0.3") == 0
    assert not (node.folder / "asked").exists()
