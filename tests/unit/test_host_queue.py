"""The queue of a host without a scheduler: the real program, with scripts of a line or two."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from slipway.errors import JobError, ParseError, RemoteError
from slipway.host.host import Host, connect
from slipway.progress import NullProgress
from slipway.resources import Resources
from slipway.scheduler.base import Job, JobQuery, State, Submission
from slipway.scheduler.host.program import packed_program, parse_answer, queue_command
from slipway.scheduler.host.request import wanted
from slipway.scheduler.host.scheduler import HostQueue
from slipway.scheduler.host.site import HostSite
from slipway.scheduler.limits import ResourceRequest
from slipway.scheduler.slurm.resources import SlurmResources
from slipway.site import Login, Paths
from tests.waiting import wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="a host's queue needs Linux")
QUEUE = HostQueue()
# Where pyenv has it, what is on PATH may only say so.
_OLDEST = (*map(str, Path("~/.pyenv/versions").expanduser().glob("3.6.*/bin/python3.6")), "python3.6")
GPUS = "0, NVIDIA A100-SXM4-80GB, {0}, GPU-a\n1, NVIDIA A100-SXM4-80GB, {1}, GPU-b\n"


@dataclass
class Machine:
    """A queue of its own."""

    host: Host
    folder: Path
    site: HostSite

    def submit(self, name: str, script: str, **resources: Any) -> str:
        submission = self.attempt(name, script, **resources)
        assert submission.job_id is not None, submission
        return submission.job_id

    def attempt(self, name: str, script: str, **resources: Any) -> Submission:
        file = self.folder / f"{name}.sh"
        file.write_text(f"#!/bin/bash -l\n{script}\n")
        options = QUEUE.directives(
            name=name,
            log=PurePosixPath(self.folder / f"{name}.log"),
            resources=Resources(**resources),
            site=self.site,
        )
        done = self.host.run_in_login_shell(QUEUE.submit_command(PurePosixPath(file), options))
        return QUEUE.read_submission(done.exit_code, done.stdout, done.stderr)

    def jobs(self, name: str) -> dict[int | None, Job]:
        query = JobQuery(name=name, submitted=datetime.now(timezone.utc), job_id=None, tasks=[None])
        answer = QUEUE.query(self.host, [query])
        assert answer.problem is None
        return {task: job for (_, task), job in answer.jobs.items()}

    def job(self, name: str) -> Job:
        (job,) = self.jobs(name).values()
        return job

    def wait(self, name: str, *states: State) -> Job:
        def stands() -> bool:
            state = self.job(name).state
            return state in states if states else state.is_over

        wait_until(stands, lambda: f"{self.job(name)} {self.log(name)}")
        return self.job(name)

    def log(self, name: str) -> str:
        file = self.folder / f"{name}.log"
        return file.read_text() if file.exists() else ""

    def wait_for(self, name: str, line: str) -> None:
        wait_until(lambda: line in self.log(name).split("\n"), lambda: self.log(name))

    def value(self, name: str) -> dict[str, Any]:
        """What is written down of a job."""
        (file,) = self.folder.glob(f"state/slipway/queue/*/*/*.{name}/state")
        loaded: dict[str, Any] = json.loads(file.read_text())
        return loaded


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    # What a login shell reads is no part of this.
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    site = HostSite(name="lab", paths=Paths(scratch="/s"), places=2, grace_s=2)
    with connect(Login(host="this-machine"), tmp_path) as host:
        machine = Machine(host=host, folder=tmp_path, site=site)
        yield machine
        QUEUE.cancel(host, [machine.job(name).job_id for name in QUEUE.active_names(host) or ()])
        wait_until(lambda: not QUEUE.active_names(host), lambda: str(QUEUE.active_names(host)))


def nvidia_smi(machine: Machine, *, used: tuple[int, int], apps: str = "") -> None:
    """A stand-in: there is no GPU here."""
    folder = machine.folder / "bin"
    folder.mkdir(exist_ok=True)
    text = f'case $1 in --query-gpu=*) printf "{GPUS.format(*used)}" ;; *) printf "{apps}" ;; esac'
    (folder / "nvidia-smi").write_text(f"#!/bin/sh\n{text}\n")
    (folder / "nvidia-smi").chmod(0o755)
    (machine.folder / ".bash_profile").write_text(f"PATH={folder}:$PATH\n")


def test_a_job_has_its_id_its_exit_code_and_its_times(machine: Machine) -> None:
    assert (
        machine.submit("one", "echo $SLIPWAY_JOB_ID $SLIPWAY_RESTARTS $SLIPWAY_CPUS; exit 3", cpus=1) == "1"
    )
    job = machine.wait("one")
    assert (job.job_id, job.state, job.exit_code, job.signal) == ("1", State.FAILED, 3, None)
    assert job.started_s is not None
    assert job.ended_s is not None
    assert machine.log("one") == "1 0 1\n"
    usage = QUEUE.usage(
        machine.host, [JobQuery(name="one", submitted=datetime.now(timezone.utc), job_id="1", tasks=[None])]
    ).usages["one", None]
    assert (usage.cpus, usage.nodes, usage.attempts) == (1, 1, 1)


def test_it_may_have_the_processors_that_it_asked_for(machine: Machine) -> None:
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("this machine has one processor")
    machine.submit("one", "nproc", cpus=1)
    machine.wait("one")
    assert machine.log("one") == "1\n"


def test_so_many_run_at_once_and_the_others_say_what_they_wait_for(machine: Machine) -> None:
    for name in ("one", "two", "three"):
        machine.submit(name, "until [ -e go ]; do sleep 0.05; done")
    states = [machine.job(name).state for name in ("one", "two", "three")]
    assert states == [State.RUNNING, State.RUNNING, State.PENDING]
    assert machine.job("three").pending_reason == "Places (2 of 2 are taken)"
    (machine.folder / "go").touch()
    # Nobody asks meanwhile: the end of one begins the next.
    wait_until(lambda: len([*machine.folder.glob("state/slipway/queue/*/done/*")]) >= 2, lambda: "")
    wait_until(lambda: machine.job("three").state is State.COMPLETED, lambda: str(machine.job("three")))


def test_an_array_is_one_job_of_many_tasks(machine: Machine) -> None:
    script = "echo task $SLIPWAY_ARRAY_INDEX; sleep 0.3; exit $SLIPWAY_ARRAY_INDEX"
    job_id = machine.submit("many", script, array="0,2-3%1")
    assert sorted(machine.jobs("many"), key=str) == [0, 2, 3]
    seen = 0

    def over() -> bool:
        nonlocal seen
        jobs = machine.jobs("many").values()
        seen = max(seen, sum(job.state is State.RUNNING for job in jobs))
        return all(job.state.is_over for job in jobs)

    wait_until(over, lambda: str(machine.jobs("many")))
    assert seen == 1
    assert {task: job.exit_code for task, job in machine.jobs("many").items()} == {0: 0, 2: 2, 3: 3}
    assert {job.job_id for job in machine.jobs("many").values()} == {job_id}


def test_a_job_waits_for_another_and_never_begins_where_that_fails(machine: Machine) -> None:
    first = machine.submit("first", "until [ -e go ]; do sleep 0.05; done; exit 1")
    machine.submit("after", "true", dependency=f"afterok:{first}")
    machine.submit("anyway", "true", dependency=f"afterany:{first}")
    assert machine.job("after").pending_reason == "Dependency"
    (machine.folder / "go").touch()
    machine.wait("first")
    assert machine.wait("anyway").state is State.COMPLETED
    ended = machine.wait("after")
    assert (ended.state, ended.pending_reason) == (State.CANCELLED, "DependencyNeverSatisfied")
    assert machine.attempt("none", "true", dependency="afterok:99").refusal == (
        "dependency afterok:99: there is no job 99"
    )


def test_before_its_time_is_up_the_script_is_warned_and_then_told_why_it_ends(machine: Machine) -> None:
    script = (
        "trap 'echo warned' USR1; trap 'cat $SLIPWAY_STOPPED; exit 143' TERM; while :; do sleep 0.1; done"
    )
    machine.submit("long", script, time="0:04")
    job = machine.wait("long")
    assert (job.state, job.exit_code, job.limit_s) == (State.TIMEOUT, 143, 4)
    assert machine.log("long") == "warned\ntime-limit\n"


def test_cancel_tells_a_script_and_what_it_has_left_behind_is_ended(machine: Machine) -> None:
    script = (
        "setsid sleep 600 & echo $!; trap 'cat $SLIPWAY_STOPPED; exit 143' TERM; echo ready; "
        "while :; do sleep 0.1; done"
    )
    job_id = machine.submit("one", script)
    machine.wait_for("one", "ready")
    QUEUE.cancel(machine.host, [job_id])
    job = machine.wait("one")
    assert (job.state, job.exit_code) == (State.CANCELLED, 143)
    assert machine.log("one").endswith("ready\ncancelled\n")
    left = int(machine.log("one").split()[0])
    wait_until(lambda: not _runs(left), lambda: f"{left} runs")
    with pytest.raises(RemoteError, match="the queue does not know job 99"):
        QUEUE.cancel(machine.host, ["99"])


def test_those_that_wait_are_cancelled_and_those_that_run_are_not(machine: Machine) -> None:
    ids = [machine.submit(name, "until [ -e go ]; do sleep 0.05; done") for name in ("a", "b", "c")]
    QUEUE.cancel(machine.host, ids, only_waiting=True)
    assert [machine.job(name).state for name in ("a", "b", "c")] == [
        State.RUNNING,
        State.RUNNING,
        State.CANCELLED,
    ]
    (machine.folder / "go").touch()
    machine.wait("a")


def test_what_takes_more_memory_than_it_asked_for_is_ended(machine: Machine) -> None:
    program = f"{sys.executable} -c 'x = bytearray(300 << 20); import time; time.sleep(600)'"
    machine.submit("large", f"{program}; echo code $?; exit 5", mem="100M")
    job = machine.wait("large")
    assert (job.state, job.exit_code) == (State.OUT_OF_MEMORY, 5)
    assert "code 137" in machine.log("large")


def test_what_a_machine_does_not_have_is_refused(machine: Machine) -> None:
    assert re.fullmatch(
        r"2 GPUs are asked for, and \S+ has 0", str(machine.attempt("one", "true", gpus="2").refusal)
    )
    assert "MiB of memory are asked for" in str(machine.attempt("one", "true", mem="900T").refusal)
    assert "9999 cpus are asked for" in str(machine.attempt("one", "true", cpus=9999).refusal)
    with pytest.raises(JobError, match="2 nodes are asked for, and lab is one machine"):
        machine.attempt("one", "true", nodes=2)
    assert QUEUE.active_names(machine.host) == set()


def test_gpus_that_nobody_uses_are_given(machine: Machine) -> None:
    nvidia_smi(machine, used=(20_000, 3))
    machine.submit(
        "one", "echo gpu $CUDA_VISIBLE_DEVICES; until [ -e go ]; do sleep 0.05; done", gpus="a100:1"
    )
    machine.submit("two", "echo gpu $CUDA_VISIBLE_DEVICES", gpus="1")
    machine.submit("none", 'echo "gpu <$CUDA_VISIBLE_DEVICES>"')
    machine.wait_for("one", "gpu 1")
    assert machine.wait("none").state is State.COMPLETED
    # Nothing is seen by who has asked for none.
    assert machine.log("none") == "gpu <>\n"
    assert machine.job("two").pending_reason == "GPUs (0 of 2 are free)"
    nvidia_smi(machine, used=(3, 3))
    assert machine.wait("two").state is State.COMPLETED
    assert machine.log("two") == "gpu 0\n"
    (machine.folder / "go").touch()
    machine.wait("one")


def test_a_machine_that_was_started_anew_has_lost_its_jobs(machine: Machine) -> None:
    machine.submit("one", "sleep 600")
    machine.submit("two", "true", dependency="afterany:1")
    value = machine.wait("one", State.RUNNING) and machine.value("one")
    (file,) = machine.folder.glob("state/slipway/queue/*/jobs/*.one/state")
    # A machine cannot be started anew here: what is written down is of another start.
    os.killpg(value["pid"], signal.SIGKILL)
    os.kill(value["script"], signal.SIGKILL)
    file.write_text(json.dumps({**value, "boot": "another 1"}))
    assert machine.job("one").state is State.NODE_FAIL
    assert machine.wait("two").state is State.COMPLETED


def test_where_what_is_beside_a_job_is_killed_the_job_is_told_to_end(machine: Machine) -> None:
    machine.submit("one", "trap 'echo told; exit 143' TERM; echo ready; while :; do sleep 0.1; done")
    machine.wait_for("one", "ready")
    value = machine.value("one")
    os.kill(value["pid"], signal.SIGKILL)
    machine.wait_for("one", "told")
    job = machine.wait("one")
    assert (job.state, job.signal) == (State.FAILED, 9)


def test_a_script_that_nothing_is_beside_any_more_and_that_does_not_end_is_ended(machine: Machine) -> None:
    machine.submit("one", "trap '' TERM; echo ready; while :; do sleep 0.1; done")
    machine.wait_for("one", "ready")
    value = machine.value("one")
    os.kill(value["pid"], signal.SIGKILL)
    # It has its time.
    assert machine.job("one").state is State.RUNNING
    (alive,) = machine.folder.glob("state/slipway/queue/*/jobs/*.one/alive")
    os.utime(alive, (alive.stat().st_mtime - 60,) * 2)
    job = machine.wait("one")
    assert (job.state, job.signal) == (State.FAILED, 9)
    assert not _runs(value["script"])


@pytest.fixture
def small_disk(machine: Machine) -> Iterator[Path]:
    """The queue's folder on a disk of 256 KiB."""
    folder = machine.folder / "state"
    folder.mkdir(exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
    if subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        pytest.skip("a file system can be mounted by root alone, where the machine lets it")
    yield folder
    QUEUE.cancel(machine.host, [machine.job(name).job_id for name in QUEUE.active_names(machine.host) or ()])
    wait_until(lambda: subprocess.run(["umount", str(folder)], check=False).returncode == 0, lambda: "busy")


def fill(folder: Path) -> Path:
    """A file that takes all that is left, byte by byte."""
    file = folder / "fill"
    with file.open("wb", buffering=0) as out, suppress(OSError):
        while True:
            out.write(b"x" * 512)
    return file


def test_on_a_full_disk_nothing_is_taken_and_the_reason_is_one_line(
    machine: Machine, small_disk: Path
) -> None:
    machine.submit("one", "true")
    machine.wait("one")
    file = fill(small_disk)
    submission = machine.attempt("two", "true")
    assert submission.refusal is not None
    assert submission.refusal.endswith(
        "/slipway/queue/" + next(small_disk.glob("slipway/queue/*/")).name + ": No space left on device"
    )
    file.unlink()
    assert not machine.jobs("two")
    assert machine.submit("two", "true") == "2"


def test_a_job_that_ends_while_the_disk_is_full_is_told_once_there_is_room(
    machine: Machine, small_disk: Path
) -> None:
    go = machine.folder / "go"
    machine.submit("one", f"echo ready; until [ -e {go} ]; do sleep 0.1; done; echo over; exit 3")
    machine.wait_for("one", "ready")
    wait_until(lambda: "script" in machine.value("one"), lambda: "")
    script = machine.value("one")["script"]
    file = fill(small_disk)
    go.touch()
    wait_until(lambda: not _runs(script), lambda: machine.log("one"))
    assert machine.job("one").state is State.RUNNING
    file.unlink()
    job = machine.wait("one")
    assert (job.state, job.exit_code) == (State.FAILED, 3)


def test_a_job_that_cannot_be_written_down_does_not_begin_and_does_later(machine: Machine) -> None:
    machine.site = machine.site.model_copy(update={"places": 1})
    go = machine.folder / "go"
    machine.submit("one", f"until [ -e {go} ]; do sleep 0.1; done")
    machine.submit("two", "echo once")
    (folder,) = machine.folder.glob("state/slipway/queue/*/jobs/2.two")
    (folder / "state").mkdir()
    go.touch()
    machine.wait("one")
    assert machine.job("two").pending_reason == "Is a directory"
    (folder / "state").rmdir()
    assert machine.wait("two").state is State.COMPLETED
    assert machine.log("two") == "once\n"


def test_a_machine_that_goes_down_is_no_cancel(machine: Machine) -> None:
    machine.submit(
        "one", "trap 'cat $SLIPWAY_STOPPED; exit 143' TERM; echo ready; while :; do sleep 0.1; done"
    )
    machine.wait_for("one", "ready")
    os.kill(machine.value("one")["pid"], signal.SIGTERM)
    assert machine.wait("one").state is State.NODE_FAIL
    assert machine.log("one") == "ready\nnode-failure\n"


def test_a_job_begins_again_where_its_script_asks_for_that(machine: Machine) -> None:
    script = 'echo start $SLIPWAY_RESTARTS; [ "$SLIPWAY_RESTARTS" -ge 2 ] || : >"$SLIPWAY_REQUEUE"'
    machine.submit("one", script)
    job = machine.wait("one")
    assert job.state is State.COMPLETED
    assert machine.log("one") == "start 0\nstart 1\nstart 2\n"


def test_a_log_that_cannot_be_written_is_a_failure(machine: Machine) -> None:
    file = machine.folder / "one.log"
    file.mkdir()
    machine.submit("one", "true")
    assert machine.wait("one").state is State.FAILED
    file.rmdir()


def test_the_program_has_the_same_bytes_each_time_and_fits_into_an_argument() -> None:
    packed_program.cache_clear()
    first = packed_program()
    packed_program.cache_clear()
    assert packed_program() == first
    assert max(map(len, queue_command("query"))) < 60_000


def test_the_oldest_python_runs_a_job(machine: Machine) -> None:
    oldest = next((place for place in _OLDEST if shutil.which(place)), None)
    if oldest is None or not machine.host.run([oldest, "-V"]).ok:
        pytest.skip("there is no Python 3.6 here")
    bare = machine.folder / "bare"
    bare.mkdir()
    (bare / "python3").symlink_to(str(shutil.which(oldest)))
    (machine.folder / ".bash_profile").write_text(f"PATH={bare}:$PATH\n")
    machine.submit("one", "tr '\\0' ' ' </proc/$PPID/cmdline; exit 2", cpus=1, mem="1G", time="1:00")
    assert machine.wait("one").exit_code == 2
    assert "python3" in machine.log("one")


def test_a_home_folder_that_cannot_be_written_is_told(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/proc/none")
    assert "the queue's program cannot be written" in str(machine.attempt("one", "true").refusal)
    with pytest.raises(RemoteError, match="this machine: the queue does not answer: the queue's program"):
        QUEUE.queues(machine.host)


def test_a_host_without_python_says_so(machine: Machine) -> None:
    bare = machine.folder / "bare"
    bare.mkdir()
    for name in ("sh", "bash", "head", "cat"):
        (bare / name).symlink_to(str(shutil.which(name)))
    (machine.folder / ".bash_profile").write_text(f"PATH={bare}\n")
    refusal = str(machine.attempt("one", "true").refusal)
    assert refusal.startswith("no Python from 3.6 on was found")


def test_what_means_nothing_here_is_named(machine: Machine) -> None:
    notes: list[str] = []

    class Notes(NullProgress):
        def note(self, text: str) -> None:
            notes.append(text)

    resources = SlurmResources(partition="gpu", account="lab", sbatch=("--comment=x",))
    QUEUE.check(machine.host, ResourceRequest(resources=resources), machine.site, Notes())
    (note,) = notes
    assert note.startswith("lab is a host without a scheduler")
    assert note.endswith(": partition gpu, account lab, --comment=x")


def test_what_is_asked_for_is_in_the_units_of_the_program() -> None:
    site = HostSite(name="lab", paths=Paths(scratch="/s"), places=3, grace_s=60)
    resources = Resources(
        time="1:00:00", cpus=4, mem="2G", gpus="a100:2", array="0-9%3", dependency="afterok:7"
    )
    words = QUEUE.directives(name="n", log=PurePosixPath("/s/it's a log"), resources=resources, site=site)
    assert words == [
        "--name=n",
        "--log=/s/it's a log",
        "--grace=60",
        "--time=1:00:00",
        "--cpus=4",
        "--mem=2G",
        "--gpus=a100:2",
        "--array=0-9%3",
        "--dependency=afterok:7",
        "--places=3",
    ]
    assert wanted(PurePosixPath("/s/job.sh"), words) == {
        "name": "n",
        "script": "/s/job.sh",
        "log": "/s/it's a log",
        "grace_s": 60,
        "time_s": 3600,
        "cpus": 4,
        "mem_mib": 2048,
        "gpus": 2,
        "gpu_type": "a100",
        "tasks": [*range(10)],
        "throttle": 3,
        "dependency": "afterok:7",
        "places": 3,
    }
    with pytest.raises(JobError, match="a host knows after, afterany, afterok and afternotok"):
        wanted(PurePosixPath("/s"), [*words, "--dependency=aftercorr:1"])


@pytest.mark.parametrize("printed", ["", "hello\n", "slipway-queue [1]\n", "slipway-queue {\n"])
def test_an_answer_of_another_form_is_told(printed: str) -> None:
    with pytest.raises(ParseError):
        parse_answer(printed)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
