"""The job script in real jobs: real sbatch, SLURM and Apptainer on the box."""

import json
import random
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

import pytest

from slipway.host.host import Host
from slipway.host.scratch import open_scratch
from slipway.job.record import parse_run
from slipway.job.request import Request
from slipway.job.run import Run
from slipway.job.submit import submit
from slipway.progress import NullProgress
from slipway.scheduler.slurm.resources import SlurmResources
from slipway.steps.box import box_up
from slipway.steps.session import Choice
from tests.integration.small_image import SmallImageBox
from tests.waiting import wait_until

PIECES = [
    *"'\"$\\*?~!#;&|<>(){}[] \n\t\r%=:,@",
    "",
    "$HOME",
    "`id`",
    "%s",
    "%j",
    "--",
    "-n",
    "é",
    "\udcff\udcfe",
]
# The program's own argv, as the kernel has it; four words come before what is given.
SHOW = ("sh", "-c", "cat /proc/$$/cmdline >/out/argv; cat /proc/$$/environ >/out/environ", "sh")


def wait_for(remote: Host, run: Run, file: str, word: str = "") -> str:
    """The content of a file of a run, once it is there and has a word in it."""
    path = PurePosixPath(run.run_dir) / file

    def read() -> bytes | None:
        content = remote.read(path)
        return content if content is not None and word.encode() in content else None

    def situation() -> str:
        listed = remote.run(["sh", "-c", f"squeue; scontrol show job {run.job_id}; tail -n 30 {path}"])
        return f"{word!r} in {file}: {listed.stdout}"

    return (wait_until(read, situation) or b"").decode(errors="replace")


def result(remote: Host, run: Run, folder: str = "attempt-1") -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(wait_for(remote, run, f"{folder}/result.json"))
    return loaded


def log(remote: Host, run: Run) -> str:
    return (remote.read(PurePosixPath(run.run_dir) / "attempt-1" / "log") or b"").decode()


def words(remote: Host, run: Run, file: str) -> list[bytes]:
    content = remote.read(PurePosixPath(run.run_dir) / "attempt-1" / "out" / file)
    assert content is not None
    return content.split(b"\0")[:-1]


def with_profile(small: SmallImageBox, **changes: object) -> SmallImageBox:
    profile = small.choice.profile.model_copy(update=changes)
    return replace(small, choice=Choice(profile=profile, site=small.choice.site))


def test_hostile_lists_of_arguments_arrive(small: SmallImageBox) -> None:
    chance = random.Random(4)  # noqa: S311  no secrets are made of it

    def word() -> str:
        return "".join(chance.choices(PIECES, k=chance.randint(0, 5)))

    # Twenty lists, four in a job.
    lists = [[word() for _ in range(chance.randint(1, 12))] + ["--list--"] for _ in range(20)]
    lists[0] += ["", "--", "--", "'" * 100_000, *(str(number) for number in range(3000))]
    jobs = [[each for some in lists[first : first + 4] for each in some] for first in range(0, 20, 4)]
    values = [word() for _ in jobs]
    with small.connect() as remote:
        runs = [
            with_profile(small, environment={"MINE": value}).submit(remote, *SHOW, *job)
            for job, value in zip(jobs, values, strict=True)
        ]
        for run, job, value in zip(runs, jobs, values, strict=True):
            assert result(remote, run)["reason"] == "ok", log(remote, run)
            assert words(remote, run, "argv")[4:] == [each.encode(errors="surrogateescape") for each in job]
            assert b"MINE=" + value.encode(errors="surrogateescape") in words(remote, run, "environ")
            record = parse_run(remote.read(PurePosixPath(run.run_dir) / "run.json") or b"")
            assert record.args == (*SHOW[1:], *job)
            assert record == run


def test_without_a_program_the_arguments_are_the_command_line(small: SmallImageBox) -> None:
    profile = small.choice.profile.model_copy(update={"program": ()})
    args = ("sh", "-c", 'echo "$0|$1"', "a b", "")
    request = Request(profile=profile, site=small.choice.site, args=args, resources=SlurmResources(cpus=1))
    with small.connect() as host:
        scratch = open_scratch(host, small.choice.site)
        run = submit(small.session.project, request, host, scratch, NullProgress())
        assert result(host, run)["reason"] == "ok", log(host, run)
        assert log(host, run) == "a b|\n"
        record = parse_run(host.read(PurePosixPath(run.run_dir) / "run.json") or b"")
        assert (record.program, record.args) == ((), args)


def test_the_program_starts_once_on_each_node(small: SmallImageBox) -> None:
    program = 'echo "$SLURM_NODEID of $SLURM_NNODES on $SLURM_JOB_NODELIST"; touch /out/$SLURM_NODEID'
    with small.connect() as remote:
        run = small.submit(remote, "sh", "-c", program, wanted=SlurmResources(nodes=2))
        ended = result(remote, run)
        assert (ended["exit_code"], ended["reason"], ended["nodes"]) == (0, "ok", 2)
        nodes = log(remote, run).splitlines()[0].rpartition(" ")[2]
        assert sorted(log(remote, run).splitlines()) == [f"{node} of 2 on {nodes}" for node in (0, 1)]
        assert sorted(remote.list(PurePosixPath(run.run_dir) / "attempt-1" / "out")) == ["0", "1"]


def test_a_job_of_several_nodes_ends_as_the_first_that_failed(small: SmallImageBox) -> None:
    # The other one is killed for it (137), which is not how the job ended.
    program = "[ $SLURM_NODEID = 0 ] && exec sleep 600; exit 3"
    # That one has saved and ended is no reason to kill the one that is saving.
    saver = (
        "trap 'sleep $SLURM_NODEID; echo saved $SLURM_NODEID; exit 5' USR1;"
        "echo running; while :; do sleep 0.1; done"
    )
    with small.connect() as remote:
        run = small.submit(remote, "sh", "-c", program, wanted=SlurmResources(nodes=2))
        warned = small.submit(remote, "sh", "-c", saver, wanted=SlurmResources(nodes=2, cpus=1))
        ended = result(remote, run)
        assert (ended["exit_code"], ended["reason"]) == (3, "program-error"), log(remote, run)
        wait_for(remote, warned, "attempt-1/log", "running\nrunning")
        # As SLURM does before the time limit: only the batch script is told.
        remote.check(["bash", "-lc", f"scancel --batch --signal=USR1 {warned.job_id}"])
        ended = result(remote, warned)
        assert (ended["exit_code"], ended["reason"]) == (5, "time-limit"), log(remote, warned)
        assert {"saved 0", "saved 1"} <= set(log(remote, warned).splitlines())


def test_cancelling_reaches_the_program_on_all_nodes(small: SmallImageBox) -> None:
    saver = (
        "trap 'sleep $SLURM_NODEID; echo saved >/out/$SLURM_NODEID; exit 7' TERM;"
        "echo running; while :; do sleep 0.1; done"
    )
    with small.connect() as remote:
        run = small.submit(remote, "sh", "-c", saver, wanted=SlurmResources(nodes=2))
        wait_for(remote, run, "attempt-1/log", "running\nrunning")
        remote.check(["bash", "-lc", f"scancel {run.job_id}"])
        ended = result(remote, run)
        assert (ended["exit_code"], ended["reason"]) == (7, "cancelled"), log(remote, run)
        assert sorted(remote.list(PurePosixPath(run.run_dir) / "attempt-1" / "out")) == ["0", "1"]


def test_a_program_can_save_when_every_process_is_sent_sigterm(small: SmallImageBox) -> None:
    # It reads the whole of the image's /usr/bin and libraries then, which were not loaded yet.
    saver = (
        "trap 'cat /usr/bin/* /usr/lib/x86_64-linux-gnu/*.so* | wc -c >/out/saved; exit 7' TERM;"
        "echo running; while :; do sleep 0.1; done"
    )
    with small.connect() as remote:
        run = small.submit(remote, "bash", "-c", saver)
        wait_for(remote, run, "attempt-1/log", "running")
        # As SLURM does where it does not track processes by cgroups (proctrack/linuxproc): all below the
        # batch script. This box has cgroups, so its owner does it. First of all goes who serves the image.
        small.as_root(
            "bash",
            "-c",
            "tree() { for child in $(pgrep -P $1); do echo $child; tree $child; done; };"
            f"top=$(pgrep -f '^slurmstepd: .{run.job_id}.batch'); pids=$(tree $top);"
            "kill -TERM $(pgrep -x squashfuse_ll); sleep 0.3; kill -TERM $pids; true",
        )
        assert (result(remote, run)["exit_code"], result(remote, run)["reason"]) == (7, "cancelled")
        saved = remote.read(PurePosixPath(run.run_dir) / "attempt-1" / "out" / "saved")
        assert saved is not None
        assert int(saved) > 10_000_000
        left = remote.list(PurePosixPath(run.run_dir) / "attempt-1")
        assert sorted(left) == ["log", "out", "result.json"]
        wait_until(lambda: small.is_so("! pgrep -x squashfuse_ll"), lambda: small.as_root("ps", "-ef"))


@pytest.mark.long
def test_the_image_is_copied_once_a_node_and_caches_come_back(small: SmallImageBox) -> None:
    site = small.choice.site
    small.as_root("install", "-d", "-m", "1777", "/local")
    site = site.model_copy(update={"paths": site.paths.model_copy(update={"node_local": "/local"})})
    mine = with_profile(small, cache="kernels")
    program = (
        "echo $XDG_CACHE_HOME; cat /cache/* 2>/dev/null; echo $SLIPWAY_RUN >/cache/$SLIPWAY_RUN; sleep 1"
    )
    with small.connect() as remote:
        wanted = SlurmResources(sbatch=("--nodelist=node1",))
        runs = [mine.submit(remote, "sh", "-c", program, wanted=wanted, site=site) for _ in range(2)]
        for run in runs:
            assert result(remote, run)["reason"] == "ok", log(remote, run)
            assert "used from scratch" not in log(remote, run)
        assert (
            sum("image copied to /local/slipway-researcher/images/" in log(remote, run) for run in runs) == 1
        )
        images = small.as_root("find", "/local", "-name", "*.sif*").split()
        assert [name.rpartition(".")[2] for name in sorted(images)] == ["sif", "lock"]
        # The job is over for SLURM only when its caches are home.
        listed = f"squeue --noheader --jobs={runs[0].job_id},{runs[1].job_id}"
        wait_until(lambda: not small.on_box(listed), lambda: small.situation(runs[1]))
        small.as_root("rm", "-rf", "/local/slipway-researcher/cache")
        last = mine.submit(remote, "sh", "-c", program, wanted=wanted, site=site)
        assert result(remote, last)["reason"] == "ok"
        assert sorted(log(remote, last).splitlines()) == sorted(["/cache", *(run.run_id for run in runs)])


def test_an_array_is_one_run_of_many_tasks(small: SmallImageBox) -> None:
    with small.connect() as remote:
        program = "echo $SLURM_ARRAY_TASK_ID >/out/index; exit $((SLURM_ARRAY_TASK_ID == 5))"
        run = small.submit(remote, "sh", "-c", program, wanted=SlurmResources(array="1,5,7%2"))
        codes = {task: result(remote, run, f"task-{task}/attempt-1")["exit_code"] for task in (1, 5, 7)}
        assert codes == {1: 0, 5: 1, 7: 0}
        index = PurePosixPath(run.run_dir) / "task-7" / "attempt-1" / "out" / "index"
        assert remote.read(index) == b"7\n"


def test_what_is_asked_for_goes_before_the_login_shell(small: SmallImageBox) -> None:
    comment = 'it\'s "mine" \\ # 100% $HOME'
    wanted = SlurmResources(account="lab", constraint=None, sbatch=("--hold", f"--comment={comment}"))
    profile = "/home/researcher/.bash_profile"
    with small.connect() as remote:
        remote.check(["sh", "-c", f"echo export SBATCH_ACCOUNT=other SBATCH_TIMELIMIT=59 >{profile}"])
        try:
            run = small.submit(remote, "true", wanted=wanted)
        finally:
            remote.check(["rm", profile])
        job = remote.check(["scontrol", "show", "job", str(run.job_id)]).stdout
        remote.check(["scancel", str(run.job_id)])
        assert "Account=lab" in job
        assert "TimeLimit=00:10:00" in job
        assert f"Comment={comment}" in job
        # The script that is kept means the same by itself.
        alone = remote.check(["sbatch", "--parsable", f"{run.run_dir}/job.sh"]).stdout.strip()
        job = remote.check(["scontrol", "show", "job", alone]).stdout
        remote.check(["scancel", alone])
        assert f"Comment={comment}" in job
        assert f"JobName={run.run_id}" in job


def test_a_condition_that_cannot_come_true_ends_the_job(small: SmallImageBox) -> None:
    with small.connect() as remote:
        failed = small.submit(remote, "false")
        wanted = SlurmResources(dependency=f"afterok:{failed.job_id}")
        waiting = small.submit(remote, "true", wanted=wanted)
        assert result(remote, failed)["exit_code"] == 1
        accounted = ["sacct", "-nXo", "State", "-j", str(waiting.job_id)]
        wait_until(lambda: "CANCELLED" in remote.check(accounted).stdout, lambda: small.situation(waiting))


def test_the_script_tells_what_ended_the_program(small: SmallImageBox) -> None:
    eater = 'print "running\\n"; my $x = "a" x 500_000_000'
    saver = "trap 'exit 7' TERM; echo running; while :; do sleep 0.1; done"
    with small.connect() as remote:
        eating = small.submit(remote, "perl", "-e", eater, wanted=SlurmResources(mem="100M"))
        requeued = small.submit(remote, "sh", "-c", saver)
        wait_for(remote, requeued, "attempt-1/log", "running")
        remote.check(["scontrol", "requeue", str(requeued.job_id)])
        assert (result(remote, requeued)["exit_code"], result(remote, requeued)["reason"]) == (7, "preempted")
        remote.check(["scancel", str(requeued.job_id)])
        assert box_up(small.session).memory_limits, "this machine's box cannot limit memory"
        assert (result(remote, eating)["exit_code"], result(remote, eating)["reason"]) == (
            137,
            "out-of-memory",
        )


@pytest.mark.parametrize("home", [False, True])
def test_the_home_folder_is_there_only_on_demand(small: SmallImageBox, home: bool) -> None:
    small.as_root("touch", "/home/researcher/secret")
    with small.connect() as remote:
        run = with_profile(small, mount_home=home).submit(remote, "test", "-e", "/home/researcher/secret")
        assert result(remote, run)["exit_code"] == (0 if home else 1)
