"""What `doctor --job` makes of a node's answers; tests/integration/test_doctor.py has a real node."""

import json
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from slipway.doctor.catalog import CHECKS
from slipway.doctor.check import Answer, JobEnding
from slipway.doctor.finding import Finding, Verdict
from slipway.doctor.node.container import judge_gpus
from slipway.doctor.node.gpu import covers, judge_architecture, judge_driver, judge_glibc, read_compiled
from slipway.doctor.node.job import judge_job, render, trial_resources
from slipway.doctor.node.limit import given_bytes, judge_memory
from slipway.errors import ConnectionLostError
from slipway.scheduler.limits import ResourceRequest
from slipway.scheduler.slurm.resources import SlurmResources
from slipway.site import Paths
from tests.unit.test_doctor import facts, run, site

BY_NAME = {one.name: one for one in CHECKS}
OK, WARNING, FAILED, SKIPPED = Verdict.OK, Verdict.WARNING, Verdict.FAILED, Verdict.SKIPPED
GPU = ResourceRequest(resources=SlurmResources(gpus="1"))
# As nvidia-smi prints it with an A100. What images say is of this project's own, and of a PyTorch wheel.
A100 = """\
begun yes
glibc glibc 2.35
writes yes
gpu NVIDIA A100-SXM4-80GB, 535.104.05, 81920 MiB
capability 8.0
cuda
"""
VERSIONS = {
    "cuda": "12.6",
    "architectures": "7.0;8.0;9.0+PTX",
    "torch_architectures": "sm_50 sm_60 sm_70 sm_75 sm_80 sm_86 sm_90",
}


def look(name: str, answers: dict[str, str] | None = None, code: int = 0, **more: Any) -> Finding:
    """What a check finds, where the scripts have printed this."""
    told = {key: Answer(exit_code=code, text=text) for key, text in (answers or {}).items()}
    found = BY_NAME[name].look(
        facts(more.pop("where", None), answers=told, **more), told.get(name, Answer(exit_code=0))
    )
    if found.verdict in (FAILED, WARNING):
        assert found.consequence, found
        assert found.fix, found
    return found


# --- The test job


def test_the_test_job_asks_for_the_same_and_is_short() -> None:
    wanted = SlurmResources(
        time="2-00:00:00",
        cpus=8,
        mem="16G",
        gpus="a100:2",
        nodes=4,
        partition="gpu",
        account="lab",
        qos="quick",
        array="0-9",
        dependency="afterok:1",
        continue_after_limit=3,
        constraint="ib",
        sbatch=("--comment=x",),
    )
    assert trial_resources(wanted) == SlurmResources(
        time="0:10:00",
        cpus=8,
        mem="16G",
        gpus="a100:2",
        partition="gpu",
        account="lab",
        qos="quick",
        constraint="ib",
        sbatch=("--comment=x",),
    )


@pytest.mark.parametrize(
    ("wanted", "asked"),
    [("5", "5"), ("0:09:59", "0:09:59"), ("0:10:01", "0:10:00"), ("1-0", "0:10:00"), (None, "0:10:00")],
)
def test_a_short_time_stays_since_a_partition_may_allow_no_more(wanted: str | None, asked: str) -> None:
    assert trial_resources(SlurmResources(time=wanted)).time == asked


def test_its_answers_get_their_name_when_they_are_whole() -> None:
    text = render(facts(), {"one": "true"}, "mark", PurePosixPath("/s/slipway/doctor/slipway-doctor-1"))
    assert text.startswith("here='/s/slipway/doctor/slipway-doctor-1'\nexec >\"$here/answers.part\"\n")
    assert text.endswith('mv -- "$here/answers.part" "$here/answers"\n')


@pytest.mark.parametrize(
    ("ending", "verdict", "words"),
    [
        (JobEnding(job_id="7", answers={}, waited_s=12.3), OK, "job 7, 12 s with its wait"),
        (JobEnding(refusal="Invalid account"), FAILED, "it was refused: Invalid account"),
        (JobEnding(problem=ConnectionLostError("the connection was lost; try again")), FAILED, "was lost"),
        (JobEnding(why_not="“scratch” is not well"), SKIPPED, "“scratch” is not well"),
        (
            JobEnding(job_id="7", ended="FAILED", log="slurmstepd: error: Could not open stdout file"),
            FAILED,
            "job 7 ended (FAILED) and left no answer; it says: slurmstepd: error: Could not open stdout file",
        ),
        (JobEnding(job_id="7", ended="CANCELLED by 0"), FAILED, "job 7 ended (CANCELLED by 0)"),
    ],
)
def test_job(ending: JobEnding, verdict: Verdict, words: str) -> None:
    found = judge_job(ending)
    assert (found.verdict, words in found.seen) == (verdict, True), found


# --- Disks


def test_scratch_of_the_node() -> None:
    there = "scratch /s/ada\nnearest /s/ada\n"
    seen = "scratch /s/ada\ntoken abc\nwritten yes\n"
    assert look("node-scratch", {"scratch": there, "node-scratch": seen}).verdict is OK
    other = look("node-scratch", {"scratch": there, "node-scratch": seen.replace("/s/ada", "/local/ada")})
    assert other.verdict is WARNING
    assert "$SCRATCH is /local/ada on the node, and /s/ada on the login node" in other.seen
    gone = "scratch /s/ada\ntoken \ncat: /s/ada/token: No such file or directory\n"
    assert look("node-scratch", {"scratch": there, "node-scratch": gone}).verdict is FAILED


DF = "Filesystem 1024-blocks Used Available Capacity Mounted on\n/dev/sda1 9000000 1 8000000 1% /local\n"


@pytest.mark.parametrize(
    ("code", "text", "output", "verdict", "words"),
    [
        (0, f"folder /local\n{DF}", "scratch", OK, "8.2 GB free in /local"),
        (3, "folder \n", "scratch", WARNING, "is not there on the node"),
        (4, "folder /local\n", "scratch", WARNING, "/local is not there on the node"),
        (4, "folder /local\n", "node-local", FAILED, "/local is not there on the node"),
        (5, "folder /local\nmktemp: Permission denied\n", "node-local", FAILED, "cannot be written to"),
    ],
)
def test_own_disk(code: int, text: str, output: str, verdict: Verdict, words: str) -> None:
    where = site(paths=Paths(scratch="/s", node_local="/local"), output=output)
    found = look("node-local", {"node-local": text}, code, where=where)
    assert (found.verdict, words in found.seen) == (verdict, True), found


def test_no_own_disk_is_skipped() -> None:
    assert look("node-local", {"node-local": ""}).verdict is SKIPPED


# --- Limits


MIB = 1 << 20


@pytest.mark.parametrize(
    ("limit", "given", "verdict", "words"),
    [
        (2000 * MIB, 2000 * MIB, OK, "2,000 MiB, held by the kernel"),
        (2000 * MIB + 4096, 2000 * MIB, OK, "held by the kernel"),
        (None, 2000 * MIB, WARNING, "the kernel has no limit"),
        (64000 * MIB, 2000 * MIB, WARNING, "a limit of 64,000 MiB"),
        (1000 * MIB, 2000 * MIB, WARNING, "the kernel allows 1,000 MiB"),
        (None, None, SKIPPED, "asked for no memory"),
    ],
)
def test_memory(limit: int | None, given: int | None, verdict: Verdict, words: str) -> None:
    found = judge_memory(limit, given)
    assert (found.verdict, words in found.seen) == (verdict, True), found


@pytest.mark.parametrize(
    ("text", "given"),
    [
        ("node 2000\ncpu  2\n", 2000 * MIB),
        ("node \ncpu 500 4\n", 2000 * MIB),
        ("node 0\ncpu  2\n", None),
        ("", None),
    ],
)
def test_memory_that_was_given(text: str, given: int | None) -> None:
    assert given_bytes(Answer(exit_code=0, text=text)) == given


def test_limits_of_all_cgroups_above_are_read() -> None:
    # As version 1 has it: nothing set in the step, something in the job, nothing above.
    text = "node 2000\ncpu  2\nlimit 9223372036854771712\nlimit 2097152000\nlimit 9223372036854771712\n"
    assert look("memory", {"memory": text}).verdict is OK
    assert look("memory", {"memory": "node 2000\ncpu  2\nlimit max\nlimit max\n"}).verdict is WARNING


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("proxy \nreached github.com\n", "reaches github.com"),
        ("proxy \n", "reaches nothing outside"),
    ],
)
def test_network_is_told_and_no_failure(text: str, words: str) -> None:
    found = look("network", {"network": text})
    assert found.verdict is OK
    assert words in found.seen


def test_a_proxy_that_nobody_has_tried_is_not_said_to_be_well() -> None:
    assert look("network", {"network": "proxy http://p:3128\n"}).verdict is SKIPPED


# --- The container


@pytest.mark.parametrize(
    ("text", "code", "verdict", "words"),
    [
        ("begun yes\nglibc glibc 2.41\nwrites yes\n", 0, OK, "glibc 2.41"),
        (
            "begun yes\nglibc glibc 2.41\nsh: can't create /out/inside: Read-only file system\n",
            0,
            FAILED,
            "/out",
        ),
        ("bash: line 9: exec: apptainer: not found\n", 127, FAILED, "apptainer: not found"),
        ("", 6, SKIPPED, "is not there yet"),
        (
            "INFO:    Mounting\nFATAL:   container creation failed: not allowed to create user namespace\n",
            255,
            FAILED,
            "not allowed to create user namespace",
        ),
    ],
)
def test_container_starts(text: str, code: int, verdict: Verdict, words: str) -> None:
    found = look("node-container", {"node-container": text}, code)
    assert (found.verdict, words in found.seen) == (verdict, True), found


def test_the_container_is_started_as_a_jobs_is() -> None:
    ask = BY_NAME["node-container"].ask
    assert ask is not None
    where = site(container={"flags": ("--nvccli",), "binds": ("/etc/pki:/etc/pki:ro",)})
    text = ask(facts(where, request=GPU))
    assert (
        'exec apptainer exec --cleanenv --no-home --pwd /code --nv --nvccli --bind "$here":/code:ro '
        '--bind "$here":/data:ro --bind "$here":/weights:ro --bind /etc/pki:/etc/pki:ro '
        '--bind "$here:/out" "$image" /bin/sh -c '
    ) in text
    assert "nvidia-smi" in text
    assert "nvidia-smi" not in ask(facts(where))


@pytest.mark.parametrize(
    ("text", "wanted", "verdict", "words"),
    [
        (A100, 1, OK, "1 in the container: NVIDIA A100-SXM4-80GB"),
        (A100, 2, FAILED, "1 of 2 are seen"),
        ("begun yes\nno-smi yes\n", 1, FAILED, "there is no nvidia-smi"),
        ("gpu No devices were found\n", 1, FAILED, "No devices were found"),
        (
            "gpu NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.\n",
            1,
            FAILED,
            "couldn't communicate",
        ),
    ],
)
def test_gpus(text: str, wanted: int, verdict: Verdict, words: str) -> None:
    found = judge_gpus(Answer(exit_code=0, text=text), wanted)
    assert (found.verdict, words in found.seen) == (verdict, True), found


def test_gpus_that_nobody_asks_for_are_skipped() -> None:
    assert look("gpu").verdict is SKIPPED


NVIDIA_SMI = """#!/bin/sh
case $1 in
*compute_cap*) echo 8.0 ;;
*) echo 'NVIDIA A100-SXM4-80GB, 535.104.05, 81920 MiB' ;;
esac
"""


PYTHON = """#!/bin/sh
case $2 in 'import torch; print("torch"'*) echo torch 12.6 sm_70 sm_80 ;; esac
"""


def test_what_is_asked_in_the_container_reaches_its_shell(tmp_path: Path) -> None:
    """With stand-ins for Apptainer, NVIDIA's tool and PyTorch, which this machine has not."""
    programs = {
        "apptainer": '#!/bin/sh\nwhile [ "$1" != -c ]; do shift; done\nexec sh -c "$2"\n',
        "nvidia-smi": NVIDIA_SMI,
        "python3": PYTHON,
    }
    for name, text in programs.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    known = facts(site(paths=Paths(scratch=str(tmp_path))), request=GPU)
    image = tmp_path / "slipway" / "images" / f"{known.profile.image}.sif"
    image.parent.mkdir(parents=True)
    image.touch()
    ask = BY_NAME["node-container"].ask
    assert ask is not None
    answer = run({"one": ask(known)}, known.there, PATH=f"{tmp_path}:/usr/bin:/bin", here=str(tmp_path))[
        "one"
    ]
    assert answer.value("begun") == "yes", answer
    assert judge_gpus(answer, 1).seen == "1 in the container: NVIDIA A100-SXM4-80GB"
    compiled = read_compiled(answer)
    assert compiled is not None
    assert (compiled.cuda, list(compiled.torch)) == ("12.6", ["sm_70", "sm_80"])
    told = {"node-container": answer.text}
    assert look("architecture", told).verdict is OK
    assert look("driver", told).verdict is OK


# --- What the image was compiled for


@pytest.mark.parametrize(
    ("flags", "runs_on", "not_on"),
    [
        ("sm_80", [(8, 0), (8, 6), (8, 9)], [(7, 5), (9, 0), (10, 0)]),
        ("sm_86", [(8, 6), (8, 9)], [(8, 0)]),
        ("compute_80", [(8, 0), (9, 0), (12, 0)], [(7, 5)]),
        ("sm_90a", [(9, 0)], [(9, 1), (10, 0), (8, 0)]),
        ("sm_100", [(10, 0), (10, 3)], [(12, 0)]),
    ],
)
def test_code_runs_where_the_compiler_says(
    flags: str, runs_on: list[tuple[int, int]], not_on: list[tuple[int, int]]
) -> None:
    assert [covers([flags], *gpu) for gpu in (*runs_on, *not_on)] == [True] * len(runs_on) + [False] * len(
        not_on
    )


def inside(*lines: str) -> dict[str, str]:
    return {"node-container": A100 + "".join(f"{line}\n" for line in lines)}


DROID = f"versions {json.dumps(VERSIONS)}"
TORCH = "torch 12.6 sm_70 sm_75 sm_90"


def test_what_an_image_says_of_itself() -> None:
    droid = read_compiled(Answer(exit_code=0, text=inside(DROID)["node-container"]))
    assert droid is not None
    assert (droid.cuda, list(droid.own)) == ("12.6", ["sm_70", "sm_80", "sm_90", "compute_90"])
    torch = read_compiled(Answer(exit_code=0, text=inside(TORCH)["node-container"]))
    assert torch is not None
    assert (torch.cuda, list(torch.own), list(torch.torch)) == ("12.6", [], ["sm_70", "sm_75", "sm_90"])
    assert read_compiled(Answer(exit_code=0, text=A100)) is None
    only_cuda = read_compiled(Answer(exit_code=0, text="cuda 12.4.1\n"))
    assert only_cuda is not None
    assert only_cuda.cuda == "12.4.1"
    assert read_compiled(Answer(exit_code=0, text="cuda \ntorch None\n")) is None


def test_architecture() -> None:
    assert look("architecture", inside(DROID)).verdict is OK
    found = look("architecture", inside(TORCH))
    assert (found.verdict, found.seen) == (
        FAILED,
        "the GPU is 8.0, and its PyTorch was made for sm_70 sm_75 sm_90",
    )
    assert look("architecture", inside()).verdict is SKIPPED
    silent = {"node-container": inside(DROID)["node-container"].replace("capability 8.0\n", "")}
    assert look("architecture", silent).verdict is SKIPPED


def test_an_architecture_that_the_image_lacks_is_named_for_the_profile() -> None:
    compiled = read_compiled(Answer(exit_code=0, text=f"{DROID}\n"))
    assert compiled is not None
    found = judge_architecture(compiled, [(7, 5), (6, 1)])
    assert found.verdict is FAILED
    assert "add 6.1 to TORCH_CUDA_ARCH_LIST" in found.fix


@pytest.mark.parametrize(
    ("cuda", "driver", "verdict"),
    [
        ("12.6", "535.104.05", OK),
        ("12.6", "525.60.13", OK),
        ("12.6", "470.82.01", FAILED),
        ("13.0", "575.57.08", FAILED),
        ("13.1", "580.65.06", OK),
        ("11.8", "450.80.02", OK),
        ("10.2", "440.33.01", OK),
        ("10.2", "440.31", FAILED),
        ("9.0", "384.81", SKIPPED),
    ],
)
def test_driver(cuda: str, driver: str, verdict: Verdict) -> None:
    assert judge_driver(cuda, driver).verdict is verdict


def test_driver_is_read() -> None:
    assert look("driver", inside(DROID)).seen == "535.104.05, enough for CUDA 12.6"
    assert look("driver", inside()).verdict is SKIPPED


@pytest.mark.parametrize(
    ("image", "node", "needs", "verdict"),
    [
        ("glibc 2.35", "glibc 2.28", [], OK),
        ("glibc 2.28", "glibc 2.39", ["2.2.5", "2.14", "2.17"], OK),
        ("glibc 2.17", "glibc 2.39", ["2.2.5", "2.34"], FAILED),
        ("ldd (Debian GLIBC 2.31-13) 2.31", "glibc 2.39", ["2.17"], OK),
        ("musl libc (x86_64)", "glibc 2.39", [], FAILED),
        ("glibc 2.28", "glibc 2.39", [], SKIPPED),
        ("", "glibc 2.39", [], SKIPPED),
    ],
)
def test_glibc(image: str, node: str, needs: list[str], verdict: Verdict) -> None:
    assert judge_glibc(image, node, needs).verdict is verdict


def test_glibc_is_read() -> None:
    told = {**inside("needs GLIBC_2.17 GLIBC_2.2.5 ", "needs GLIBC_2.34 "), "glibc": "glibc glibc 2.39\n"}
    assert look("glibc", told).seen == "the image has 2.35, the driver's libraries want 2.34"
