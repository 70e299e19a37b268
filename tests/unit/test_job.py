import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path, PurePosixPath

import pytest

from slipway.errors import ConfigError, JobError
from slipway.job import (
    Job,
    check_partition,
    container_command,
    directives,
    minutes,
    render_script,
    words_file,
)
from slipway.profile import Resources
from slipway.site import Container, Login, Paths, Queue, Site

TEMPLATE = (Path(__file__).parents[2] / "cluster" / "job.sh").read_text()
SITE = Site(name="hpc", login=Login(host="h"), paths=Paths(scratch="/s"))


def job(**changes: object) -> Job:
    values = {
        "run_id": "k3f9-cpu-20260131-142530",
        "run_dir": PurePosixPath("/s/slipway/runs/k3f9-cpu-20260131-142530"),
        "image": PurePosixPath("/s/slipway/images/a-1.sif"),
        "code": PurePosixPath("/s/slipway/code/c0de"),
        "data": PurePosixPath("/s/slipway/data"),
        "weights": PurePosixPath("/s/slipway/weights"),
        "resources": Resources(),
    }
    return Job(**{**values, **changes})  # type: ignore[arg-type]


def test_directives_of_a_job_that_asks_for_nothing() -> None:
    assert directives(job(), SITE) == [
        "--job-name=k3f9-cpu-20260131-142530",
        "--output=/s/slipway/runs/k3f9-cpu-20260131-142530/slurm.log",
        "--open-mode=append",
        "--requeue",
        "--signal=B:USR1@120",
        "--nodes=1",
        "--ntasks=1",
    ]


def test_directives_of_a_job_that_asks_for_all() -> None:
    wanted = Resources(
        time="1:00:00", cpus=4, mem="16G", gpus="a100:2", partition="gpu", account="lab", qos="high"
    )
    assert directives(job(resources=wanted), SITE)[7:] == [
        "--time=1:00:00",
        "--cpus-per-task=4",
        "--mem=16G",
        "--partition=gpu",
        "--account=lab",
        "--qos=high",
        "--gres=gpu:a100:2",
    ]


@pytest.mark.parametrize(
    ("request_by", "gpus", "options"),
    [
        ("gres", "1", ["--gres=gpu:1"]),
        ("gpus", "a100:2", ["--gpus=a100:2"]),
        ("none", "1", []),
        ("gres", "0", []),
    ],
)
def test_gpus_are_asked_for_as_the_site_wants(request_by: str, gpus: str, options: list[str]) -> None:
    site = SITE.model_copy(update={"gpu_request": request_by})
    assert directives(job(resources=Resources(gpus=gpus)), site)[7:] == options


def test_container_command() -> None:
    container = Container(command="singularity", flags=("--nvccli",), binds=("/etc/pki:/etc/pki:ro",))
    site = SITE.model_copy(update={"container": container})
    assert container_command(job(resources=Resources(gpus="1")), site) == [
        "singularity",
        "exec",
        "--cleanenv",
        "--no-home",
        "--pwd",
        "/code",
        "--nv",
        "--nvccli",
        "--bind",
        "/s/slipway/code/c0de:/code:ro",
        "--bind",
        "/s/slipway/data:/data:ro",
        "--bind",
        "/s/slipway/weights:/weights:ro",
        "--bind",
        "/etc/pki:/etc/pki:ro",
    ]


def test_the_head_of_a_script() -> None:
    site = SITE.model_copy(update={"modules": ("apptainer/1.3", "cuda"), "before": "ulimit -c 0\n"})
    script = render_script(job(), site, TEMPLATE)
    assert script.startswith(
        "#!/bin/bash -l\n"
        "# A job of Slipway: one program in one container. docs/design.md says what it promises.\n"
        "#SBATCH --job-name=k3f9-cpu-20260131-142530\n"
        "#SBATCH --output=/s/slipway/runs/k3f9-cpu-20260131-142530/slurm.log\n"
        "#SBATCH --open-mode=append\n"
        "#SBATCH --requeue\n"
        "#SBATCH --signal=B:USR1@120\n"
        "#SBATCH --nodes=1\n"
        "#SBATCH --ntasks=1\n"
        "\n"
        "# What is to run, filled in by `invoke job`.\n"
        "run_id=k3f9-cpu-20260131-142530\n"
        "run_dir=/s/slipway/runs/k3f9-cpu-20260131-142530\n"
        "image=/s/slipway/images/a-1.sif\n"
        "container=(apptainer exec --cleanenv --no-home --pwd /code --bind /s/slipway/code/c0de:/code:ro "
        "--bind /s/slipway/data:/data:ro --bind /s/slipway/weights:/weights:ro)\n"
        "\n"
    )
    lines = script.splitlines()
    place = lines.index("# The site's modules, and its lines to run before the program.")
    assert lines[place + 1 : place + 4] == [
        "module load apptainer/1.3 || finish 1 launch-failure",
        "module load cuda || finish 1 launch-failure",
        "ulimit -c 0",
    ]


def test_a_template_without_its_marks_is_named() -> None:
    with pytest.raises(ConfigError, match="no line `# @modules@`"):
        render_script(job(), SITE, TEMPLATE.replace("# @modules@", ""))


def test_a_rendered_script_is_clean_shell(tmp_path: Path) -> None:
    script = tmp_path / "job.sh"
    script.write_text(render_script(job(), SITE, TEMPLATE))
    # SC2329: the traps call these functions. SC2100: program-error is a word, not a sum.
    shellcheck = Path(sys.executable).with_name("shellcheck")
    subprocess.run([str(shellcheck), "--shell=bash", "--exclude=SC2329,SC2100", str(script)], check=True)


def test_a_zero_byte_is_refused() -> None:
    with pytest.raises(JobError, match="has a zero byte"):
        words_file(["a\0b"])


@pytest.mark.parametrize(
    ("time", "expected"),
    [("90", 90), ("1:30", 1.5), ("1:30:00", 90), ("2-0", 2880), ("1-01:30", 1530), ("1-01:30:30", 1530.5)],
)
def test_minutes(time: str, expected: float) -> None:
    assert minutes(time) == expected


def test_what_would_never_start_is_refused() -> None:
    site = SITE.model_copy(update={"queues": {"debug": Queue(max_time="0:30:00"), "long": Queue()}})
    check_partition(Resources(partition="debug", time="30"), site)
    check_partition(Resources(partition="long", time="30-0"), site)
    check_partition(Resources(partition="any", time="30-0"), SITE)
    with pytest.raises(
        JobError, match=r"time 0:30:01 is longer than the 0:30:00 that partition debug of hpc"
    ):
        check_partition(Resources(partition="debug", time="0:30:01"), site)
    with pytest.raises(JobError, match=r"hpc has no partition 'gpu'; cluster/hpc.yaml lists: debug, long"):
        check_partition(Resources(partition="gpu"), site)


# A stand-in for Apptainer, which needs a cluster's node: it takes apptainer's options, and runs the program
# here with an empty environment. The real one runs in tests/integration.
APPTAINER = r"""#!/bin/bash
while [ "$1" != /image.sif ]; do
    case $1 in --bind) case $2 in *:/out) export STAND_IN_OUT=${2%:/out} ;; esac ;; esac
    shift
done
shift
[ -z "$NO_LAUNCH" ] || { echo 'FATAL: could not open image' >&2; exit 255; }
exec env -i "PATH=$PATH" "$1" "$2" "${3//\/out/$STAND_IN_OUT}"
"""


class Node:
    """A folder in which a rendered script runs under real bash, as slurmd would start it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.run_dir = folder / "run"
        self.run_dir.mkdir()
        (folder / "apptainer").write_text(APPTAINER)
        (folder / "apptainer").chmod(0o755)
        # A login shell sets its own PATH, so the site's lines put the stand-in first.
        site = SITE.model_copy(update={"before": f"PATH={folder}:$PATH\nset -u\n"})
        what = job(run_dir=PurePosixPath(self.run_dir), image=PurePosixPath("/image.sif"))
        (self.run_dir / "job.sh").write_text(render_script(what, site, TEMPLATE))

    def start(
        self, *argv: str, environment: tuple[str, ...] = (), **variables: str
    ) -> subprocess.Popen[bytes]:
        (self.run_dir / "argv").write_bytes(words_file(argv))
        (self.run_dir / "environment").write_bytes(words_file(environment))
        slurm = {"SLURM_JOB_ID": "7", "SLURMD_NODENAME": "node1", "SLURM_CPUS_PER_TASK": "2", "NO_LAUNCH": ""}
        return subprocess.Popen(
            ["bash", "-l", str(self.run_dir / "job.sh")],
            env={"PATH": os.environ["PATH"], "HOME": str(self.folder), **slurm, **variables},
        )

    def run(self, *argv: str, environment: tuple[str, ...] = (), **variables: str) -> int:
        with self.start(*argv, environment=environment, **variables) as process:
            return process.wait(timeout=30)

    def result(self, attempt: int = 1) -> dict[str, object]:
        content = (self.run_dir / f"attempt-{attempt}" / "result.json").read_text()
        loaded: dict[str, object] = json.loads(content)
        return loaded

    def log(self, attempt: int = 1) -> str:
        return (self.run_dir / f"attempt-{attempt}" / "log").read_text()


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


def test_arguments_arrive_exactly(node: Node) -> None:
    hostile = [
        "''",
        "\udcff\udcfe",
        "&",
        "a b",
        "",
        '"',
        "'",
        "$HOME",
        "`id`",
        "\\",
        "\\n",
        "*",
        "a\nb",
        "--",
        "-n",
        "é",
        "~",
        "!x",
        "a=b",
        "%s",
    ]
    show = "import sys, json; print(json.dumps(sys.argv[1:]))"
    assert node.run("python3", "-c", show, *hostile) == 0
    assert json.loads(node.log()) == hostile


def test_only_the_listed_environment_gets_in(node: Node) -> None:
    show = "import os, json; print(json.dumps(dict(os.environ)))"
    hostile = "a b\n$X 'q' \"r\" `s` \\ =é"
    node.run("python3", "-c", show, environment=(f"MINE={hostile}",), PRIVATE="1", https_proxy="http://p:1")
    seen = json.loads(node.log())
    assert seen["MINE"] == hostile
    assert seen["SLURM_JOB_ID"] == "7"
    assert seen["SLIPWAY_RUN"] == "k3f9-cpu-20260131-142530"
    assert seen["SLIPWAY_ATTEMPT"] == "1"
    assert seen["SLIPWAY_OUT"] == "/out"
    assert seen["OMP_NUM_THREADS"] == "2"
    assert seen["https_proxy"] == "http://p:1"
    assert "PRIVATE" not in seen
    assert "SLIPWAY_PREVIOUS" not in seen
    assert "HOME" not in seen


@pytest.mark.parametrize(("code", "reason"), [(0, "ok"), (3, "program-error"), (200, "program-error")])
def test_the_programs_exit_code_is_the_jobs(node: Node, code: int, reason: str) -> None:
    assert node.run("sh", "-c", f"exit {code}") == code
    result = node.result()
    assert (result["exit_code"], result["reason"], result["signal"]) == (code, reason, None)
    assert result["job_id"] == "7"
    assert result["node"] == "node1"
    assert list((node.run_dir / "attempt-1" / "out").iterdir()) == []


def test_a_program_that_dies_of_a_signal(node: Node) -> None:
    assert node.run("sh", "-c", "kill -SEGV $$") == 139
    assert node.result()["signal"] == signal.SIGSEGV
    assert node.result()["reason"] == "program-error"


def test_a_container_that_does_not_start(node: Node) -> None:
    assert node.run("true", NO_LAUNCH="1") == 255
    assert node.result()["reason"] == "launch-failure"
    assert "could not open image" in node.log()
    assert list((node.run_dir / "attempt-1" / "out").iterdir()) == []


def test_a_module_that_cannot_be_loaded(node: Node) -> None:
    script = (node.run_dir / "job.sh").read_text()
    load = "module load nothing || finish 1 launch-failure\n"
    (node.run_dir / "job.sh").write_text(
        script.replace("# The site's modules", load + "# The site's modules")
    )
    assert node.run("echo", "reached") == 1
    assert node.result()["reason"] == "launch-failure"
    assert "module: command not found" in node.log()
    assert "reached" not in node.log()


def test_a_requeued_job_is_a_new_attempt_and_sees_the_last(node: Node) -> None:
    assert node.run("sh", "-c", "exit 1") == 1
    assert node.run("sh", "-c", "echo $SLIPWAY_ATTEMPT $SLIPWAY_PREVIOUS", SLURM_RESTART_COUNT="1") == 0
    assert node.result(1)["reason"] == "program-error"
    assert node.result(2)["reason"] == "ok"
    assert node.log(2) == "2 /previous\n"


def wait_for(node: Node, word: str) -> None:
    deadline = time.monotonic() + 20
    while not ((node.run_dir / "attempt-1" / "log").exists() and word in node.log()):
        assert time.monotonic() < deadline, f"{word!r} did not come"
        time.sleep(0.02)


SAVER = """
import signal, sys, time
def save(*_):
    print('saved', flush=True)
    sys.exit(int(sys.argv[1]))
signal.signal(getattr(signal, sys.argv[2]), save)
print('running', flush=True)
time.sleep(20)
"""


@pytest.mark.parametrize("code", [0, 5])
def test_before_the_time_limit_the_program_can_save(node: Node, code: int) -> None:
    with node.start("python3", "-c", SAVER, str(code), "SIGUSR1") as process:
        wait_for(node, "running")
        process.send_signal(signal.SIGUSR1)
        assert process.wait(timeout=20) == code
    assert node.result()["reason"] == "time-limit"
    assert node.result()["exit_code"] == code
    assert node.log() == "running\nsaved\n"


def test_cancelled(node: Node) -> None:
    with node.start("python3", "-c", SAVER, "4", "SIGTERM") as process:
        wait_for(node, "running")
        # As SLURM does where it tracks processes by cgroups: nobody but the script is told.
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 4
    assert node.result()["reason"] == "cancelled"
    assert node.log() == "running\nsaved\n"


def test_a_program_without_a_handler_dies_of_sigterm(node: Node) -> None:
    with node.start("sh", "-c", "echo running; exec sleep 20") as process:
        wait_for(node, "running")
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 143
    assert node.result()["reason"] == "cancelled"
