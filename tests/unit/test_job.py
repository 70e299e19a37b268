import itertools
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import pytest

from slipway.errors import ConfigError, JobError
from slipway.job.bundles import Bundles
from slipway.job.run import Shell
from slipway.job.script import container_command, directives, render_script, words_file
from slipway.model import read_values
from slipway.quantity import mebibytes, minutes
from slipway.scheduler.limits import ResourceRequest, check_partition
from slipway.scheduler.slurm.resources import SlurmResources
from slipway.site import Container, Queue
from tests.campaign import LONG
from tests.unit.node import SITE, TEMPLATE, job


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
    wanted = SlurmResources(
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
    assert directives(job(resources=SlurmResources(gpus=gpus)), site)[7:] == options


def test_several_nodes_have_the_program_once_each() -> None:
    wanted = SlurmResources(nodes=2, gpus="a100:2", exclusive=True, constraint="ib&a100")
    site = SITE.model_copy(update={"gpu_request": "gpus"})
    assert directives(job(resources=wanted), site)[5:] == [
        "--nodes=2",
        "--ntasks-per-node=1",
        "--constraint=ib&a100",
        "--exclusive",
        "--gpus-per-node=a100:2",
    ]


def test_arrays_conditions_and_other_options() -> None:
    wanted = SlurmResources(
        array="0-9%2", dependency="afterok:12", sbatch=("--hold", "--comment=it's # mine")
    )
    assert directives(job(resources=wanted), SITE)[7:] == [
        "--array=0-9%2",
        "--dependency=afterok:12",
        "--kill-on-invalid-dep=yes",
        "--hold",
        "--comment=it's # mine",
    ]
    assert "#SBATCH --comment=it\\'s\\ \\#\\ mine\n" in render_script(job(resources=wanted), SITE, TEMPLATE)


def test_gpus_are_asked_for_once() -> None:
    wanted = SlurmResources(gpus="a100:2", sbatch=("--gres=tmpdir:9",))
    with pytest.raises(JobError, match=r"write --gpus 0 and --sbatch --gres=tmpdir:9,gpu:a100:2, or leave"):
        directives(job(resources=wanted), SITE)
    assert directives(job(resources=wanted), SITE.model_copy(update={"gpu_request": "none"}))[7:] == [
        "--gres=tmpdir:9"
    ]


@pytest.mark.parametrize(("time", "seconds"), [("1", 30), ("1:30", 45), ("1:00:00", 120), ("0", 120)])
def test_the_warning_never_comes_in_the_first_half(time: str, seconds: int) -> None:
    assert directives(job(resources=SlurmResources(time=time)), SITE)[4] == f"--signal=B:USR1@{seconds}"


def test_container_command() -> None:
    container = Container(command="singularity", flags=("--nvccli",), binds=("/etc/pki:/etc/pki:ro",))
    site = SITE.model_copy(update={"container": container})
    assert container_command(job(resources=SlurmResources(gpus="1")), site) == [
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


def test_packed_data_are_guarded_as_an_image_is() -> None:
    site = SITE.model_copy(update={"container": Container(flags=("--unsquash",))})
    packed = {"room": PurePosixPath("/s/my data/packed/room-1.sqsh")}
    script = render_script(job(packed=packed), site, TEMPLATE)
    assert "guard_image" in script
    assert "data=/s/slipway/data\npacked=('room=/s/my data/packed/room-1.sqsh')\n" in script


def test_the_home_folder_is_there_only_on_demand() -> None:
    assert "--no-home" in container_command(job(), SITE)
    assert "--no-home" not in container_command(job(home=True), SITE)


def test_the_head_of_a_script() -> None:
    site = SITE.model_copy(update={"modules": ("apptainer/1.3", "cuda"), "before": "ulimit -c 0\n"})
    script = render_script(job(), site, TEMPLATE)
    assert script.startswith(
        "#!/bin/bash -l\n"
        "# A job of Slipway: one program in one container. docs/jobs.md says what it promises. "
        "What it does, in order:\n"
    )
    outline, _, rest = script.partition("\n#\n#SBATCH ")
    assert all(line.startswith("#") for line in outline.splitlines())
    assert len(outline.splitlines()) <= 12
    assert rest.startswith(
        "--job-name=k3f9-cpu-20260131-142530\n"
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


def test_the_node_fills_in_where_its_disk_is() -> None:
    site = SITE.model_copy(
        update={"paths": SITE.paths.model_copy(update={"node_local": "/local/$SLURM_JOB_ID"})}
    )
    assert 'node_local="/local/$SLURM_JOB_ID"\n' in render_script(job(), site, TEMPLATE)


def test_a_template_without_its_marks_is_named() -> None:
    with pytest.raises(ConfigError, match="no line `# @modules@`"):
        render_script(job(), SITE, replace(TEMPLATE, main=TEMPLATE.main.replace("# @modules@", "")))
    with pytest.raises(ConfigError, match=r"cluster/job/slurm.sh is missing"):
        render_script(job(), SITE, replace(TEMPLATE, blocks={}))


@dataclass(frozen=True, kw_only=True)
class Uses:
    """What a job uses of the template."""

    nodes: int = 1
    cache: bool = False
    node_local: bool = False
    guard: bool = False
    gpus: bool = False
    chain: bool = False
    output: bool = False
    shell: bool = False
    elements: bool = False
    packed: bool = False
    tries: bool = False
    # How many tasks share a job, side by side.
    lanes: int = 0
    command: str = "apptainer"

    def render(self) -> str:
        site = SITE.model_copy(
            update={
                "paths": SITE.paths.model_copy(update={"node_local": "/local" if self.node_local else None}),
                "container": read_values(
                    Container, {"command": self.command, "flags": () if self.guard else ("--unsquash",)}
                ),
                "output": "node-local" if self.output else "scratch",
            }
        )
        cached = PurePosixPath("/s/slipway/cache/mine") if self.cache else None
        wanted = SlurmResources(
            nodes=self.nodes,
            gpus="1" if self.gpus else None,
            continue_after_limit=3 if self.chain else None,
        )
        shell = Shell.ENDS if self.shell else None
        packed = {"room": PurePosixPath("/s/slipway/packed/room-1.sqsh")} if self.packed else {}
        tries = (PurePosixPath("/s/slipway/runs/a b"),) if self.tries else ()
        what = job(
            resources=wanted,
            cache=cached,
            shell=shell,
            elements=self.elements,
            packed=packed,
            tries=tries,
            bundles=Bundles(jobs=(tuple((lane,) for lane in range(self.lanes)),)) if self.lanes else None,
        )
        return render_script(what, site, TEMPLATE)


# Not all of them: shellcheck takes half a second for each.
COMBINATIONS = [
    Uses(
        nodes=nodes,
        cache=cache,
        node_local=node_local,
        guard=guard,
        gpus=cache is guard,
        chain=node_local is (nodes == 2),
        output=node_local and guard,
        elements=cache is node_local,
        tries=cache is guard,
    )
    for nodes, cache, node_local, guard in itertools.product([1, 2], *[[False, True]] * 3)
] + [
    Uses(),
    Uses(packed=True, nodes=2, guard=True),
    Uses(cache=True, node_local=True, guard=True, gpus=True, chain=True, output=True),
    Uses(elements=True, lanes=1, cache=True, node_local=True, guard=True, gpus=True, output=True),
    Uses(elements=True, lanes=4),
    Uses(shell=True),  # noqa: S604 - it is no call that runs anything
]


def test_every_rendered_script_is_clean_shell(tmp_path: Path) -> None:
    # The last ones have each of all parts once.
    combinations = COMBINATIONS if LONG else COMBINATIONS[-6:]
    scripts = [tmp_path / f"{number}.sh" for number in range(len(combinations))]
    for script, combination in zip(scripts, combinations, strict=True):
        script.write_text(combination.render())
    # SC2329: the traps call these functions. SC2100: program-error is a word, not a sum.
    shellcheck = Path(sys.executable).with_name("shellcheck")
    subprocess.run(
        [str(shellcheck), "--shell=bash", "--exclude=SC2329,SC2100", *map(str, scripts)], check=True
    )


@pytest.mark.parametrize("uses", COMBINATIONS, ids=str)
def test_a_script_holds_what_its_job_uses_and_nothing_else(uses: Uses) -> None:
    script = uses.render()
    assert ("srun" in script) is ("each_node" in script) is (uses.nodes > 1)
    assert ("XDG_CACHE_HOME" in script) is uses.cache
    assert ("copy_image" in script) is ("exec 9>&-" in script) is uses.node_local
    assert ("bring_cache_back" in script) is (uses.cache and uses.node_local)
    assert ("guard_image" in script) is ("shield" in script) is uses.guard
    assert ("bind_data" in script) is ("image-src" in script) is uses.packed
    assert (":/data:ro" in script) is not uses.packed
    assert ("nvidia-smi" in script) is ("usage" in script) is uses.gpus
    assert ("scontrol requeue" in script) is ("continues" in script) is ("ALRM" in script) is uses.chain
    assert ("wait_for_shells" in script) is ("joined" in script) is uses.shell
    assert ("read_element" in script) is ("elements.index" in script) is uses.elements
    assert ('"$run_dir/argv"' in script) is not uses.elements
    assert ("find_earlier" in script) is ("tries=(" in script) is uses.tries
    # /out is one folder for all nodes of a job.
    assert ("bring_at_end" in script) is ("exec 5>&-" in script) is (uses.output and uses.nodes == 1)
    assert ("plain" in script.replace("plain_commands", "")) is (
        uses.chain or uses.shell or uses.lanes > 0 or "bring_at_end" in script
    )
    assert ("run_bundle" in script) is ("job_s=" in script) is ("watch_time" in script) is (uses.lanes > 0)
    assert ("take_share" in script) is ("side_by_side=" in script) is (uses.lanes > 1)
    assert "# @" not in script
    assert "# only:" not in script
    assert "\n\n\n" not in script


def test_what_is_of_slurm_is_one_block() -> None:
    script = Uses(
        nodes=2, cache=True, node_local=True, guard=True, gpus=True, chain=True, output=True
    ).render()
    head, _, rest = script.partition("# ---- SLURM: ")
    _, _, other = rest.partition("# ---- End of what is SLURM's ")
    assert head
    assert other
    # A user's own words there are the directives and the site's.
    for word in ("SLURM", "SLURMD", "scontrol", "srun"):
        assert word not in other
        assert word not in head.replace("#SBATCH", "")


def test_a_zero_byte_is_refused() -> None:
    with pytest.raises(JobError, match="has a zero byte"):
        words_file(["a\0b"])


def test_what_linux_gives_no_program_is_refused() -> None:
    with pytest.raises(JobError, match=r"'aaa.*… has 131072 bytes; Linux gives a program at most 131071"):
        words_file(["a" * 131_072])
    with pytest.raises(JobError, match=r"^30 words of 3000270 bytes are more than"):
        words_file(["a" * 100_000] * 30)


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        ("90", 90),
        ("1:30", 1.5),
        ("1:30:00", 90),
        ("2-0", 2880),
        ("1-01:30", 1530),
        ("1-01:30:30", 1530.5),
        ("0", float("inf")),
    ],
)
def test_minutes(time: str, expected: float) -> None:
    assert minutes(time) == expected


def test_what_would_never_start_is_refused() -> None:
    site = SITE.model_copy(update={"queues": {"debug": Queue(max_time="0:30:00"), "long": Queue()}})
    check_partition(ResourceRequest(resources=SlurmResources(partition="debug", time="30")), site)
    check_partition(ResourceRequest(resources=SlurmResources(partition="long", time="30-0")), site)
    check_partition(ResourceRequest(resources=SlurmResources(partition="any", time="30-0")), SITE)
    with pytest.raises(
        JobError, match=r"time 0:30:01 is longer than the 0:30:00 that partition debug of hpc"
    ):
        check_partition(ResourceRequest(resources=SlurmResources(partition="debug", time="0:30:01")), site)
    with pytest.raises(
        JobError, match=r"hpc has no partition 'gpu'; queues in cluster/hpc.yaml has: debug, long"
    ):
        check_partition(ResourceRequest(resources=SlurmResources(partition="gpu")), site)


@pytest.mark.parametrize(
    ("memory", "expected"), [("500", 500), ("512K", 0.5), ("4G", 4096), ("1t", 1024 * 1024)]
)
def test_mebibytes(memory: str, expected: float) -> None:
    assert mebibytes(memory) == expected


BIG = Queue(max_time="1-0", max_nodes=2, max_cpus=8, max_mem="16G", max_gpus={"a100": 4, "v100": 2})


@pytest.mark.parametrize(
    "wanted",
    [
        SlurmResources(time="24:00:00", nodes=2, cpus=8, mem="16384M", gpus="4"),
        SlurmResources(gpus="v100:2"),
        SlurmResources(gpus="0"),
        SlurmResources(),
    ],
)
def test_what_a_partition_has_may_be_asked_for(wanted: SlurmResources) -> None:
    check_partition(
        ResourceRequest(resources=wanted.over(SlurmResources(partition="big"))),
        SITE.model_copy(update={"queues": {"big": BIG}}),
    )


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (SlurmResources(time="0"), "time 0 is longer than the 1-0 that partition big of hpc allows"),
        (SlurmResources(nodes=3), "3 nodes are more than the 2 that partition big of hpc allows"),
        (SlurmResources(cpus=9), "9 cpus are more than the 8 on a node that partition big"),
        (SlurmResources(mem="17G"), "mem 17G is more than the 16G on a node that partition big"),
        (
            SlurmResources(gpus="5"),
            "gpus 5 are not on any node of partition big of hpc, which have at most: a100:4, v100:2",
        ),
        (SlurmResources(gpus="v100:3"), "gpus v100:3 are not on any node"),
        (SlurmResources(gpus="h100"), "gpus h100 are not on any node"),
        (SlurmResources(partition="bag"), r"no partition 'bag' \(did you mean big\?\)"),
    ],
)
def test_what_no_node_of_a_partition_has_is_refused(wanted: SlurmResources, message: str) -> None:
    site = SITE.model_copy(update={"queues": {"big": BIG}})
    with pytest.raises(JobError, match=message):
        check_partition(ResourceRequest(resources=wanted.over(SlurmResources(partition="big"))), site)


def test_a_partition_without_gpus() -> None:
    site = SITE.model_copy(update={"queues": {"cpu": Queue(max_gpus={})}})
    with pytest.raises(JobError, match="at most: none"):
        check_partition(ResourceRequest(resources=SlurmResources(partition="cpu", gpus="1")), site)


def test_a_refusal_says_where_it_was_asked_for() -> None:
    site = SITE.model_copy(update={"queues": {"big": BIG}})
    origins = {"time": "TIME in env/.env.lab:3", "partition": "--partition"}
    with pytest.raises(
        JobError,
        match=r"time 2-0 \(TIME in env/.env.lab:3\) is longer than the 1-0 that .*"
        r" \(queues.big in cluster/hpc.yaml\)",
    ):
        check_partition(
            ResourceRequest(resources=SlurmResources(partition="big", time="2-0"), origins=origins), site
        )


def test_one_of_several_partitions_has_to_suffice() -> None:
    site = SITE.model_copy(update={"queues": {"big": BIG, "long": Queue()}})
    check_partition(ResourceRequest(resources=SlurmResources(partition="big,long", time="2-0")), site)
    with pytest.raises(JobError, match="no partition 'lung'"):
        check_partition(ResourceRequest(resources=SlurmResources(partition="big,lung")), site)
    with pytest.raises(JobError, match="9 cpus are more"):
        check_partition(ResourceRequest(resources=SlurmResources(partition="big,big", cpus=9)), site)
