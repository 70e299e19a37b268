"""The job script of PBS under real bash, with stand-ins for Apptainer (tests/unit/node.py) and for qstat."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from slipway.job.bundles import Bundles
from slipway.job.script import render_script
from slipway.scheduler.pbs.resources import PbsResources
from slipway.scheduler.pbs.site import PbsSite
from slipway.site import Login, Paths
from tests.unit.node import TEMPLATE, Node, job
from tests.waiting import PATIENCE_S, wait_until

SITE = PbsSite(name="hpc", login=Login(host="h"), paths=Paths(scratch="/s"))


class PbsNode(Node):
    """A folder in which a rendered script runs as PBS starts it, with what PBS and qsub tell it."""

    def __init__(self, folder: Path, site: PbsSite = SITE, **changes: object) -> None:
        changes.setdefault("resources", PbsResources(time="10"))
        super().__init__(folder, site, **changes)  # type: ignore[arg-type]
        self.nodefile = folder / "nodefile"
        self.nodefile.write_text("node1\nnode1\n")

    def start(
        self, *argv: str, environment: tuple[str, ...] = (), **variables: str
    ) -> "subprocess.Popen[bytes]":
        told = {
            "PBS_JOBID": "7.pbs",
            "PBS_NODEFILE": str(self.nodefile),
            "PBS_JOBCOOKIE": "SECRET",
            "PBS_O_PATH": "/other",
            "NCPUS": "2",
            "slipway_grace_s": "120",
            "slipway_limit_s": "600",
        }
        return super().start(*argv, environment=environment, **{**told, **variables})


@pytest.fixture
def node(tmp_path: Path) -> PbsNode:
    return PbsNode(tmp_path / "node")


def test_what_the_script_looks_like() -> None:
    what = job(resources=PbsResources(time="1:00:00", cpus=4, mem="2G", array="0-3"))
    script = render_script(what, SITE, TEMPLATE)
    run_dir = "/s/slipway/runs/k3f9-cpu-20260131-142530"
    directives = [line for line in script.splitlines() if line.startswith("#PBS")]
    assert directives == [
        "#PBS -N k3f9-cpu-20260131-142530",
        "#PBS -j oe",
        f"#PBS -o {run_dir}/slurm.log",
        "#PBS -r y",
        "#PBS -l select=1:ncpus=4:mem=2048mb",
        "#PBS -l place=pack",
        "#PBS -l walltime=1:00:00",
        "#PBS -J 0-3",
        "#PBS -v slipway_grace_s=120,slipway_limit_s=3600",
    ]
    assert "SLURM" not in script
    assert script.index("#PBS") < script.index("plain_commands()")


def test_the_script_is_clean_shell(tmp_path: Path) -> None:
    bundles = Bundles(jobs=(((0,), (1,)), ((2,), (3,))), minutes=dict.fromkeys(range(4), 10))
    jobs = [
        job(resources=PbsResources(time="10", array="1,3,5")),
        job(resources=PbsResources(nodes=2)),
        job(resources=PbsResources(time="60", array="0-1"), bundles=bundles),
    ]
    scripts = [tmp_path / f"{number}.sh" for number in range(len(jobs))]
    for script, what in zip(scripts, jobs, strict=True):
        script.write_text(render_script(what, SITE, TEMPLATE))
    # As in test_job.py.
    shellcheck = Path(sys.executable).with_name("shellcheck")
    subprocess.run([shellcheck, "--shell=bash", "--exclude=SC2329,SC2100", *scripts], check=True)


def test_a_program_ends_well(node: PbsNode) -> None:
    assert node.run("sh", "-c", "env | sort; exit 0") == 0
    result = node.result()
    assert (result["reason"], result["exit_code"], result["job_id"]) == ("ok", 0, "7.pbs")
    assert (result["task"], result["nodes"], result["cpus"]) == (None, 1, 2)
    log = node.log()
    assert "PBS_JOBID=7.pbs" in log
    assert "NCPUS=2" in log
    assert "SECRET" not in log
    assert "PBS_O_" not in log


def test_a_program_that_fails(node: PbsNode) -> None:
    assert node.run("sh", "-c", "exit 3") == 3
    assert node.result()["reason"] == "program-error"


def test_each_start_is_an_attempt(node: PbsNode) -> None:
    node.run("sh", "-c", "echo one >>/out/a")
    assert node.run("sh", "-c", "cat /previous/a; exit 4") in (1, 4)
    assert node.result(1)["attempt"] == 1
    assert node.result(2)["attempt"] == 2
    assert len((node.run_dir / "starts").read_text().splitlines()) == 2


@pytest.mark.parametrize(
    ("variables", "task"),
    [
        ({"PBS_ARRAY_INDEX": "4"}, 4),
        ({"PBS_ARRAYID": "4"}, 4),
        ({"PBS_ARRAY_INDEX": "2", "slipway_tasks": "1+3+7-9"}, 7),
        ({"PBS_ARRAY_INDEX": "4", "slipway_tasks": "1+3+7-9"}, 9),
        ({"slipway_tasks": "5"}, 5),
    ],
)
def test_the_task_of_an_array(node: PbsNode, variables: dict[str, str], task: int) -> None:
    assert node.run("sh", "-c", 'echo "task $PBS_ARRAY_INDEX"', **variables) == 0
    folder = node.run_dir / f"task-{task}" / "attempt-1"
    assert json.loads((folder / "result.json").read_text())["task"] == task
    assert f"task {task}" in (folder / "log").read_text()
    assert (node.run_dir / f"starts-{task}").exists()


# It says when it was warned, and ends then.
SAVES = "trap 'echo warned; exit 0' USR1; echo ready; while :; do sleep 0.1; done"
ENDURES = "trap 'echo told; exit 143' TERM; echo ready; while :; do sleep 0.1; done"


def test_a_program_is_warned_before_the_limit(node: PbsNode) -> None:
    assert node.run("sh", "-c", SAVES, slipway_grace_s="5", slipway_limit_s="8") == 0
    assert node.result()["reason"] == "time-limit"
    assert "warned" in node.log()


def test_the_limit_of_the_queue_where_none_was_asked_for(tmp_path: Path) -> None:
    node = PbsNode(tmp_path / "node", resources=PbsResources())
    qstat = tmp_path / "node" / "qstat"
    printed = "Job Id: 7.pbs\n    Resource_List.select = 1\n    Resource_List.walltime = 00:00:06\n"
    qstat.write_text(f"#!/bin/sh\necho '{printed}'\n")
    qstat.chmod(0o755)
    (tmp_path / "node" / ".bash_profile").write_text(f"PATH={tmp_path}/node:$PATH\n")
    assert node.run("sh", "-c", SAVES, slipway_grace_s="5", slipway_limit_s="") == 0
    assert node.result()["reason"] == "time-limit"


def ended_by_sigterm(node: PbsNode, after_s: float = 0, **variables: str) -> dict[str, object]:
    with node.start("sh", "-c", ENDURES, **variables) as process:
        log = node.run_dir / "attempt-1" / "log"
        wait_until(lambda: log.exists() and "ready" in log.read_text(), "the program is not ready")
        time.sleep(after_s)
        process.terminate()
        assert process.wait(timeout=PATIENCE_S) == 143
    assert "told" in node.log()
    return node.result()


def test_sigterm_long_before_the_limit_is_qdel(node: PbsNode) -> None:
    assert ended_by_sigterm(node)["reason"] == "cancelled"


def test_sigterm_at_the_limit_is_the_limit(node: PbsNode) -> None:
    # The program has no handler for the warning, so it runs on.
    assert ended_by_sigterm(node, 2, slipway_grace_s="0", slipway_limit_s="2")["reason"] == "time-limit"


def test_no_limit_at_all(tmp_path: Path) -> None:
    node = PbsNode(tmp_path / "node", resources=PbsResources())
    assert node.run("true", slipway_limit_s="") == 0
    assert node.result()["reason"] == "ok"


def test_gpus_of_torque(node: PbsNode) -> None:
    name = os.uname().nodename
    file = node.folder / "gpus"
    file.write_text(f"{name}-gpu1\n{name}.example.org-gpu3\nother-gpu0\n")
    assert node.run("sh", "-c", 'echo "gpus $CUDA_VISIBLE_DEVICES"', PBS_GPUFILE=str(file)) == 0
    assert "gpus 1,3\n" in node.log()
    assert node.result()["gpus"] == "1,3"


def test_gpus_that_pbs_itself_has_set(node: PbsNode) -> None:
    file = node.folder / "gpus"
    file.write_text("x-gpu1\n")
    node.run("sh", "-c", 'echo "gpus $CUDA_VISIBLE_DEVICES"', PBS_GPUFILE=str(file), CUDA_VISIBLE_DEVICES="6")
    assert "gpus 6\n" in node.log()


def test_tasks_that_share_a_job(tmp_path: Path) -> None:
    bundles = Bundles(jobs=(((2, 0),), ((3, 1),)), minutes=dict.fromkeys(range(4), 10))
    node = PbsNode(tmp_path / "node", bundles=bundles)
    (node.run_dir / "bundles").write_bytes(bundles.file())
    assert node.run("sh", "-c", 'echo "task $PBS_ARRAY_INDEX of $NCPUS"', PBS_ARRAY_INDEX="1") == 0
    for task in (3, 1):
        folder = node.run_dir / f"task-{task}" / "attempt-1"
        assert json.loads((folder / "result.json").read_text())["reason"] == "ok"
        assert f"task {task} of 2" in (folder / "log").read_text()
    assert len((node.run_dir / "starts-1").read_text().splitlines()) == 1


def test_several_nodes(tmp_path: Path) -> None:
    """A stand-in for pbs_tmrsh runs here what is for each node: PBS has two hosts in one machine nowhere."""
    node = PbsNode(tmp_path / "node", resources=PbsResources(time="10", nodes=2))
    node.nodefile.write_text("node1\nnode1\nnode2\n")
    tmrsh = tmp_path / "node" / "pbs_tmrsh"
    tmrsh.write_text('#!/bin/bash\nhost=$1; shift\nexec env -i HOME="$HOME" PBS_JOBID="$PBS_JOBID" "$@"\n')
    tmrsh.chmod(0o755)
    (tmp_path / "node" / ".bash_profile").write_text(f"PATH={tmp_path}/node:$PATH\n")
    assert node.run("sh", "-c", "echo ran") == 0
    result = node.result()
    assert (result["reason"], result["nodes"], result["attempt"]) == ("ok", 2, 1)
    assert node.log().count("ran\n") == 2
    assert len((node.run_dir / "starts").read_text().splitlines()) == 1


def test_one_of_several_nodes_fails(tmp_path: Path) -> None:
    node = PbsNode(tmp_path / "node", resources=PbsResources(time="10", nodes=2))
    node.nodefile.write_text("node1\nnode2\n")
    tmrsh = tmp_path / "node" / "pbs_tmrsh"
    tmrsh.write_text(
        '#!/bin/bash\nhost=$1; shift\nexec env -i HOME="$HOME" PBS_JOBID="$PBS_JOBID" PBS_HOST="$host" "$@"\n'
    )
    tmrsh.chmod(0o755)
    (tmp_path / "node" / ".bash_profile").write_text(f"PATH={tmp_path}/node:$PATH\n")
    began = time.monotonic()
    assert node.run("sh", "-c", 'if [ "$PBS_HOST" = node2 ]; then exit 5; fi; sleep 60') == 5
    assert time.monotonic() - began < 50
    assert (node.result()["exit_code"], node.result()["reason"]) == (5, "program-error")
