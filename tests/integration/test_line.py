"""What a user does, with real Docker, Apptainer, sshd, rsync and SLURM."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from slipway.job.request import Request
from slipway.job.submit import submit
from slipway.job.watch import follow
from slipway.progress import NullProgress
from slipway.project import Project
from slipway.scheduler.slurm.resources import SlurmResources
from slipway.steps.session import Session
from tests.integration.task_runner import FRAMES, ROOT, SHARED, TaskRunner
from tests.waiting import PATIENCE_S, wait_until


def test_the_demo_ends_with_a_good_trajectory(line: TaskRunner) -> None:
    run = line.status()[0]
    assert (run["state"], run["reason"], run["exit_code"]) == ("COMPLETED", "ok", 0)
    assert run["args"] == ["--task", "infer", "--dataset", "room"]
    assert set(run) == {
        "run_id",
        "name",
        "job_id",
        "site",
        "profile",
        "state",
        "reason",
        "exit_code",
        "signal",
        "native_state",
        "slurm_state",
        "script_reason",
        "note",
        "home",
        "link",
        "links",
        "submitted",
        "elapsed_s",
        "limit_s",
        "started_s",
        "ended_s",
        "expected_s",
        "node",
        "args",
        "parent",
        "usage",
        "kept",
        "removed_s",
        "tasks",
    }
    out = line.results / run["run_id"] / "out"
    summary = json.loads((out / "summary.json").read_text())
    ate = json.loads((out / "ate.json").read_text())
    assert summary["frames"] == FRAMES
    assert summary["frames_registered"] >= 0.95 * summary["frames"]
    assert ate["rmse"] < 0.01 * ate["path_length"]
    assert len((out / "trajectory.tum").read_text().splitlines()) >= 0.95 * FRAMES
    assert (out / "trajectory.png").read_bytes().startswith(b"\x89PNG")
    assert (out / "cloud.ply").read_bytes().startswith(b"ply\nformat binary_little_endian 1.0\n")
    # No more threads than the job was given.
    assert summary["threads"] <= 2


def test_the_demo_leaves_a_page(line: TaskRunner) -> None:
    run = line.status()[0]["run_id"]
    page = line.results / run / "index.html"
    page.unlink()
    shown = line.invoke("show", run[:6], "--no-open")
    assert shown.stdout.strip() == str(page)
    words = page.read_text()
    # The payload's ground truth lies beside its estimate, and so the page has the error over time.
    for part in (
        'id="view"',
        'id="error"',
        'id="log"',
        'id="pictures"',
        "COMPLETED",
        "ATE rmse",
        "ground truth",
    ):
        assert part in words, part


def test_nothing_is_done_twice(line: TaskRunner) -> None:
    built = line.invoke("build", "--profile", "cpu").stdout
    assert "unchanged, nothing built" in built
    pushed = line.invoke("push", "--profile", "cpu", "--site", "box").stdout
    assert "unchanged, not converted  there already, nothing sent" in pushed


def test_a_failing_program_fails_the_job(line: TaskRunner) -> None:
    run = line.job("sh -c", "echo out; echo err >&2; exit 3", code=3)
    assert (run["state"], run["reason"], run["exit_code"]) == ("FAILED", "program-error", 3)
    assert line.invoke("logs", "--run", run["run_id"][:6]).stdout == "out\nerr\n"


def test_arguments_arrive_exactly_as_typed(line: TaskRunner) -> None:
    hostile = [
        "a b",
        "",
        "\udcff\udcfe",
        '"',
        "'",
        "$HOME",
        "`id`",
        "\\",
        "*",
        "a\nb",
        "--",
        "-n",
        "é",
        "~",
        "#x",
        ";",
        "%j",
        "a,b",
    ]
    run = line.job("python3 -c 'import sys, json; print(json.dumps(sys.argv[1:]))'", *hostile)
    assert run["args"] == hostile
    assert json.loads(line.invoke("logs").stdout) == hostile


def test_the_container_is_clean(line: TaskRunner) -> None:
    show = "import json, os; print(json.dumps([dict(os.environ), os.getcwd(), os.listdir('/out')]))"
    line.job(f'python3 -c "{show}"', options=("--set", "ENV_MINE=a $b 'c'", "--gpus", "1", "--cpus", "1"))
    environment, folder, out = json.loads(line.invoke("logs").stdout.splitlines()[-1])
    assert environment["MINE"] == "a $b 'c'"
    assert environment["SLIPWAY_ATTEMPT"] == "1"
    assert environment["SLIPWAY_OUT"] == "/out"
    assert environment["CUDA_VISIBLE_DEVICES"] in ("0", "1")
    assert environment["OMP_NUM_THREADS"] == "1"
    assert environment["SLURM_JOB_NAME"] == environment["SLIPWAY_RUN"]
    assert "SCRATCH" not in environment
    assert folder == "/code"
    assert out == []


def test_inputs_are_read_only(line: TaskRunner) -> None:
    line.job("sh -c", "for folder in /code /data /weights; do touch $folder/x && exit 9; done; exit 0")


def start(line: TaskRunner, *words: str) -> str:
    told = line.invoke("job", "--profile", "cpu", "--site", "box", *words).stdout
    return str(re.findall(r"run (\S+)", told)[0])


def test_a_queued_job_keeps_its_code(line: TaskRunner, tmp_path: Path) -> None:
    blocker = start(line, "--set", "PROGRAM=sleep", "--nodes", "3", "--exclusive", "--", "600")
    (tmp_path / "main.py").write_text("print('first')\n")
    flags = ("--set", f"CODE_DIR={tmp_path}", "--set", "PROGRAM=python3 main.py")
    queued = start(line, *flags)
    assert line.status("--run", queued)[0]["state"] == "PENDING"
    (tmp_path / "main.py").write_text("print('second')\n")
    line.invoke("cancel", "--run", blocker)
    line.invoke("logs", "--run", queued, "--follow")
    assert line.invoke("logs", "--run", queued).stdout == "first\n"


@pytest.mark.long
def test_an_unchanged_tree_is_not_sent_again(line: TaskRunner, tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text("print('once')\n")
    flags = ("--set", f"CODE_DIR={tmp_path}")
    line.job("python3 main.py", options=flags)
    before = line.on_box("ls -A --full-time $SCRATCH/slipway/code")
    line.job("python3 main.py", options=flags)
    assert line.on_box("ls -A --full-time $SCRATCH/slipway/code") == before


@pytest.mark.long
def test_each_task_logs_in_once(line: TaskRunner) -> None:
    def logins() -> int:
        return int(line.on_box("grep -c 'Accepted publickey' /var/log/sshd.log"))

    flags = ["--profile", "cpu", "--site", "box"]
    line.invoke("job", *flags, "--wait", "--set", "PROGRAM=true")
    for words in (["job", *flags, "--wait", "--set", "PROGRAM=true"], ["push", *flags], ["pull"], ["status"]):
        before = logins()
        line.invoke(*words)
        # One is the task's, and one is of the question itself; `status` has nothing to ask for.
        assert logins() - before == (1 if words == ["status"] else 2), words


@pytest.mark.long
def test_cancel(line: TaskRunner) -> None:
    run_id = start(line, "--set", "PROGRAM=sleep", "--", "600")
    wait_until(lambda: line.status("--run", run_id)[0]["state"] == "RUNNING", run_id)
    assert run_id in line.invoke("cancel", "--run", run_id).stdout
    line.invoke("logs", "--run", run_id, "--follow", code=143)
    run = line.status("--run", run_id)[0]
    assert (run["state"], run["reason"]) == ("CANCELLED", "cancelled")
    assert "it was over already" in line.invoke("cancel", "--run", run_id).stdout


def test_a_dry_run_shows_the_script_and_touches_nothing(line: TaskRunner, tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text(f"# {tmp_path}\n")
    before = line.on_box("find $SCRATCH | sort"), line.status()
    flags = [
        "--profile",
        "cpu",
        "--site",
        "box",
        "--set",
        f"CODE_DIR={tmp_path}",
        "--dry-run",
        "--time",
        "0:05:00",
    ]
    script = line.invoke("job", *flags, "--", "x").stdout
    assert script.startswith("#!/bin/bash -l\n")
    assert "#SBATCH --time=0:05:00\n" in script
    assert "module load apptainer || finish 1 launch-failure\n" in script
    assert (line.on_box("find $SCRATCH | sort"), line.status()) == before


def test_what_is_not_staged_is_said(line: TaskRunner, tmp_path: Path) -> None:
    folder = tmp_path / "a:b c"
    folder.mkdir()
    (folder / "file").write_text("x")
    (folder / "inside").symlink_to("file")
    (folder / "outside").symlink_to("/etc/hostname")
    told = line.invoke("stage", str(folder), "--name", "odd", "--site", "box", code=91)
    assert "outside: the link to /etc/hostname leads out of the folder" in told.stderr
    assert line.on_box("cd $SCRATCH/slipway/data && find odd | sort") == "odd\nodd/file\nodd/inside\n"


@pytest.mark.parametrize("broken", [{"before": "exit 0"}, {"modules": ("no-such-module",)}])
def test_what_ends_a_job_before_its_program_is_no_success(
    line: TaskRunner, broken: dict[str, object]
) -> None:
    session = Session(
        project=Project(root=ROOT, state=line.state, results=line.results), progress=NullProgress()
    )
    choice = session.choose("cpu", "box", ["PROGRAM=true"])
    site = choice.site.model_copy(update=broken)
    request = Request(profile=choice.profile, site=site, args=(), resources=SlurmResources())
    with session.open_scratch(site) as (host, scratch):
        run = submit(session.project, request, host, scratch, NullProgress())
        run = follow(host, run, lambda text: None, lambda run: None)
    assert (run.status.state.value, run.status.reason) == ("FAILED", "launch-failure")
    assert run.status.wait_code == 1


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["build", "--profile", "cup"], 64, "there is no profile 'cup'"),
        (
            ["build", "--set", "DOCKERFILE=docker/Dockerfile.bsae"],
            65,
            "docker/Dockerfile.bsae, which does not exist",
        ),
        (["stage", "no-such-folder", "--site", "box"], 73, "no-such-folder is not a folder"),
        (["stage", "docs", "--site", "box", "--name", "a/b"], 73, "--name 'a/b'"),
    ],
)
def test_mistakes_are_explained(line: TaskRunner, words: list[str], code: int, message: str) -> None:
    told = line.invoke(*words, code=code).stderr
    assert message in " ".join(told.split())
    assert told.count("error:") == 1


@pytest.mark.long
@pytest.mark.skipif(not SHARED.is_dir(), reason=f"the photographs are not in {SHARED}")
def test_photographs_of_a_door(line: TaskRunner) -> None:
    from evo.core import metrics, sync
    from evo.tools import file_interface

    line.invoke("stage", str(SHARED / "lund_door"), "--name", "lund_door", "--site", "box")
    flags = ["--profile", "cpu", "--site", "box", "--wait"]
    line.invoke("job", *flags, "--", "--task", "infer", "--dataset", "lund_door", timeout_s=6 * PATIENCE_S)
    line.invoke("pull")
    out = line.results / line.status()[0]["run_id"] / "out"
    assert json.loads((out / "summary.json").read_text())["frames_registered"] == 12
    # As `evo_ape tum groundtruth.txt trajectory.tum -as` has it.
    truth = file_interface.read_tum_trajectory_file(str(SHARED / "lund_door" / "groundtruth.txt"))
    estimate = file_interface.read_tum_trajectory_file(str(out / "trajectory.tum"))
    truth, estimate = sync.associate_trajectories(truth, estimate)
    estimate.align(truth, correct_scale=True)
    ape = metrics.APE(metrics.PoseRelation.translation_part)
    ape.process_data((truth, estimate))
    assert ape.get_statistic(metrics.StatisticsType.rmse) < 0.01


def test_listing_imports_nothing_heavy() -> None:
    heavy = {"docker", "paramiko", "spython", "pydantic", "rich"}
    code = f"import sys, tasks; print(sorted({heavy!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True)
    assert done.stdout == "[]\n"
    # invoke's own --list, with the import times of everything.
    argv = [sys.executable, "-X", "importtime", "-m", "invoke", "--list"]
    listed = subprocess.run(argv, cwd=ROOT, check=True, capture_output=True, text=True)
    imported = {line.rpartition("|")[2].strip().split(".")[0] for line in listed.stderr.splitlines()}
    assert "invoke" in imported
    assert not heavy & imported
