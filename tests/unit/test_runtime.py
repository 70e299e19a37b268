"""What starts containers on nodes: whole command lines, and whole scripts that are clean shell."""

import subprocess
import sys
from pathlib import Path, PurePosixPath

import pytest

from slipway.errors import JobError
from slipway.job.script import container_command, render_script
from slipway.model import WrongValueError, read_values
from slipway.runtime.base import Image
from slipway.runtime.engine import admit_command, engine_tag, forget_command
from slipway.scheduler.host.site import HostSite
from slipway.scheduler.slurm.resources import SlurmResources
from slipway.site import Container
from tests.campaign import LONG
from tests.unit.node import SITE, TEMPLATE, Node, job
from tests.unit.test_job import Uses

TAR = PurePosixPath("/s/slipway/images/slipway-cpu-0123456789abcdef.tar")
ENGINES = ("docker", "podman")


def site(command: str, **keys: object):  # type: ignore[no-untyped-def]
    container = read_values(Container, {"command": command, **keys})
    return SITE.model_copy(update={"container": container})


def test_docker_is_told_all_that_a_job_wants() -> None:
    wanted = job(resources=SlurmResources(gpus="2", mem="8G"))
    where = site("docker", flags=("--ulimit=memlock=-1",), binds=("/etc/pki:/etc/pki:ro",))
    assert container_command(wanted, where) == [
        "docker",
        "run",
        "--memory=8192m",
        "--memory-swap=8192m",
        "--rm",
        "--init",
        "--interactive",
        "--pull=never",
        "--network=host",
        "--ipc=host",
        "--security-opt=label=disable",
        "--no-healthcheck",
        "--log-driver=none",
        "--workdir=/code",
        "--tmpfs",
        "/home/slipway:exec,mode=1777",
        "--env",
        "HOME=/home/slipway",
        "--ulimit=memlock=-1",
        "--mount",
        "type=bind,source=/s/slipway/code/c0de,target=/code,readonly",
        "--mount",
        "type=bind,source=/s/slipway/data,target=/data,readonly",
        "--mount",
        "type=bind,source=/s/slipway/weights,target=/weights,readonly",
        "--volume",
        "/etc/pki:/etc/pki:ro",
    ]


def test_podman_stays_in_the_cgroup_of_the_job() -> None:
    wanted = job(resources=SlurmResources(gpus="2", mem="8G"))
    same = container_command(job(), site("docker"))[2:]
    assert container_command(wanted, site("podman")) == ["podman", "run", "--cgroups=disabled", *same]


def test_enroot_is_told_all_that_a_job_wants() -> None:
    where = site("enroot", flags=("--ipc",), binds=("/etc/pki:/etc/pki:none:x-create=dir,rbind,ro",))
    assert container_command(job(resources=SlurmResources(gpus="2", mem="8G")), where) == [
        "enroot",
        "start",
        "--env",
        "HOME=/tmp",
        "--ipc",
        "--mount",
        "/s/slipway/code/c0de:/code:none:x-create=dir,rbind,ro",
        "--mount",
        "/s/slipway/data:/data:none:x-create=dir,rbind,ro",
        "--mount",
        "/s/slipway/weights:/weights:none:x-create=dir,rbind,ro",
        "--mount",
        "/etc/pki:/etc/pki:none:x-create=dir,rbind,ro",
    ]
    assert "--env" not in container_command(job(home=True), where)


def test_pyxis_has_its_options_in_srun() -> None:
    where = site("pyxis", binds=("/etc/pki:/etc/pki:ro",))
    mounts = ["/s/slipway/code/c0de:/code:ro", "/s/slipway/data:/data:ro", "/s/slipway/weights:/weights:ro"]
    assert container_command(job(), where) == [
        "srun",
        "--nodes=1",
        "--ntasks=1",
        "--ntasks-per-node=1",
        "--overlap",
        "--export=ALL",
        "--no-container-entrypoint",
        "--no-container-remap-root",
        "--container-readonly",
        "--no-container-mount-home",
        "--container-mounts=" + ",".join([*mounts, "/etc/pki:/etc/pki:ro"]),
    ]
    assert "--container-mount-home" in container_command(job(home=True), where)


# In the place of `srun` or `enroot`: it says what it was told, and has no image to run.
NOTES = """#!/bin/bash
printf '%s\\n' "$@" >"$0.told"
env >"$0.environment"
exit 1
"""


@pytest.mark.parametrize(("command", "program"), [("pyxis", "srun"), ("enroot", "enroot")])
def test_what_the_script_adds_to_a_command(tmp_path: Path, command: str, program: str) -> None:
    image = PurePosixPath("/s/slipway/images/slipway-cpu-0123456789abcdef.sqsh")
    node = Node(tmp_path / "node", site(command), image=image)
    stand_in = node.folder / program
    stand_in.write_text(NOTES)
    stand_in.chmod(0o755)
    assert node.run("true", PRIVATE="1") == 1
    assert node.result()["reason"] == "launch-failure"
    words = stand_in.with_name(f"{program}.told").read_text()
    out = f"{node.run_dir}/attempt-1/out"
    if command == "pyxis":
        assert f",/s/slipway/weights:/weights:ro,{out}:/out:rw\n--container-image={image}\n" in words
        assert "\n--nodelist=node1\n--cpus-per-task=2\n/bin/sh\n" in words
        environment = stand_in.with_name(f"{program}.environment").read_text()
        assert "SLURM_JOB_ID=7\n" in environment
        assert "PRIVATE" not in environment
    else:
        assert f"\n--mount\n{out}:/out:none:x-create=dir,rbind,rw\n{image}\n/bin/sh\n" in words
    assert ".slipway-entry-0" in words


def test_pyxis_is_slurms() -> None:
    with pytest.raises(WrongValueError, match="pyxis is a plugin of SLURM"):
        read_values(HostSite, {"name": "here", "paths": {"scratch": "/s"}, "container": {"command": "pyxis"}})


@pytest.mark.parametrize("engine", ENGINES)
def test_the_users_home_folder_takes_the_place_of_its_own(engine: str) -> None:
    assert "--tmpfs" not in container_command(job(home=True), site(engine))
    script = render_script(job(home=True, image=TAR), site(engine), TEMPLATE)
    assert "\nwith_home=yes\n" in script
    assert "\nwith_gpus=\n" in script


def test_all_of_a_nodes_memory_is_no_limit() -> None:
    words = container_command(job(resources=SlurmResources(mem="0")), site("docker"))
    assert not [word for word in words if "memory" in word]


@pytest.mark.parametrize("engine", ENGINES)
def test_a_script_names_the_image_by_its_id(engine: str) -> None:
    script = render_script(job(image=TAR, image_id="sha256:ab"), site(engine), TEMPLATE)
    assert f"\nengine={engine}\nimage_id=sha256:ab\nimage_tag={engine_tag(TAR)}\n" in script


def test_an_engine_has_a_name_of_its_own_for_what_is_sent() -> None:
    tag = engine_tag(TAR)
    assert tag.startswith("slipway-cpu:0123456789abcdef-")
    assert len(tag) == len("slipway-cpu:0123456789abcdef-") + 8
    assert engine_tag(PurePosixPath("/other") / TAR.name) != tag
    assert engine_tag(TAR.with_name("slipway-cpu.image")).startswith("slipway-cpu:newest-")


@pytest.mark.parametrize("engine", [*ENGINES, "enroot", "pyxis"])
def test_packed_data_are_refused(engine: str) -> None:
    packed = {"room": PurePosixPath("/s/slipway/packed/room-1.sqsh")}
    with pytest.raises(JobError, match=f"room: packed data, which {engine} cannot bind"):
        render_script(job(packed=packed), site(engine), TEMPLATE)


# Both take the squashfs of a .sif.
UNPACKED = ("enroot", "pyxis")
COMBINATIONS = [
    Uses(command=command, nodes=nodes, cache=cache, node_local=local, gpus=cache, output=local, chain=local)
    for command in (*ENGINES, *UNPACKED)
    for nodes, cache, local in [(1, False, False), (2, True, True), (1, True, True)]
] + [
    Uses(command=command, elements=True, shell=shell, lanes=0 if shell else 4)
    for command in (*ENGINES, *UNPACKED)
    for shell in (True, False)
]


def test_every_rendered_script_is_clean_shell(tmp_path: Path) -> None:
    # Each command with all that a job may use, and with shared elements.
    combinations = COMBINATIONS if LONG else [one for one in COMBINATIONS if one.nodes == 2 or one.lanes]
    scripts = [tmp_path / f"{number}.sh" for number in range(len(combinations))]
    for script, combination in zip(scripts, combinations, strict=True):
        script.write_text(combination.render())
    # As in test_job.py. SC2054: the commas are the engine's.
    shellcheck = Path(sys.executable).with_name("shellcheck")
    subprocess.run(
        [str(shellcheck), "--shell=bash", "--exclude=SC2329,SC2100,SC2054", *map(str, scripts)], check=True
    )


@pytest.mark.parametrize("uses", COMBINATIONS, ids=str)
def test_a_script_holds_nothing_of_another_runtime(uses: Uses) -> None:
    script = uses.render()
    is_engine = uses.command in ENGINES
    assert "--bind" not in script
    assert ("guard_image" in script) is (uses.command == "enroot")
    assert ("image_here" in script) is not is_engine
    assert ("copy_image" in script) is (uses.node_local and not is_engine)
    assert ("tail -s 1 --pid=$$" in script) is ("kill -KILL -1" in script) is (is_engine and not uses.shell)
    assert "# @" not in script
    assert "# only:" not in script
    assert "\n\n\n" not in script


# A stand-in for an engine, which notes what it was told, and knows what is in a file.
ENGINE = r"""#!/bin/sh
echo "$*" >>"$0.told"
case "$1 $2" in
"image inspect") grep -qxF -- "$3" "$0.knows" ;;
"load --quiet") echo "Loaded image ID: sha256:new" && echo sha256:new >>"$0.knows" ;;
tag*) grep -qxF -- "$2" "$0.knows" && echo "$3" >>"$0.knows" ;;
rmi*) exit 1 ;;
esac
"""


@pytest.fixture
def engine(tmp_path: Path) -> Path:
    file = tmp_path / "engine"
    file.write_text(ENGINE)
    file.chmod(0o755)
    file.with_name("engine.knows").write_text("")
    return file


def told(engine: Path) -> list[str]:
    return engine.with_name("engine.told").read_text().splitlines()


def admit(engine: Path, image_id: str, file: PurePosixPath = TAR) -> int:
    command = admit_command(str(engine), Image(path=file, image_id=image_id))
    return subprocess.run(command, check=False, timeout=60).returncode


def test_what_an_engine_has_is_not_loaded(engine: Path) -> None:
    engine.with_name("engine.knows").write_text("sha256:old\n")
    assert admit(engine, "sha256:old") == 0
    assert told(engine)[-1] == f"tag sha256:old {engine_tag(TAR)}"
    assert not [line for line in told(engine) if line.startswith("load")]
    assert admit(engine, "sha256:old") == 0
    assert told(engine)[-1] == f"image inspect {engine_tag(TAR)}"


def test_what_is_loaded_may_get_another_id(engine: Path) -> None:
    assert admit(engine, "sha256:old") == 0
    assert told(engine)[-1] == f"tag sha256:new {engine_tag(TAR)}"


def test_an_id_alone_cannot_be_loaded(engine: Path) -> None:
    assert admit(engine, "sha256:old", TAR.with_suffix(".id")) == 3


def test_what_an_engine_does_not_know_is_forgotten_already(engine: Path) -> None:
    assert subprocess.run(forget_command(str(engine), [TAR]), check=False, timeout=60).returncode == 0
    assert told(engine) == [f"rmi {engine_tag(TAR)}"]
