"""The box, with a real engine, sshd, SLURM and Apptainer."""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from slipway.box import container as boxes
from slipway.box.container import BoxStatus, box_recipe
from slipway.box.spec import make_keys
from slipway.errors import SshError
from slipway.host.host import Host, connect
from slipway.image.base import ensure_base
from slipway.image.build import build_image
from slipway.image.engine import engine
from slipway.profile import load_profile
from slipway.progress import NullProgress
from slipway.project import Project
from slipway.sif.store import TOOLS_IMAGE, tools_recipe
from slipway.site import Login
from tests.conftest import Tell
from tests.integration.inside import end_inside
from tests.waiting import PATIENCE_S, wait_until

ROOT = Path(__file__).parents[2]
LOGIN = Login(host="box", ssh_config="box/ssh_config")
# A root file system with a shell and what it links to, as small as a .sif gets.
TINY_SIF = """
mkdir -p /r/usr/bin /r/etc /r/proc /r/sys /r/dev /r/tmp /r/home && ln -s usr/bin usr/lib usr/lib64 /r/
cp /bin/sh /r/usr/bin/sh && touch /r/etc/passwd /r/etc/group
for file in $(ldd /bin/sh | grep -o "/[^ ]*"); do
  mkdir -p /r/usr"${file%/*}" && cp "$file" /r/usr"$file"
done
apptainer --quiet build /tiny.sif /r
"""


@dataclass(frozen=True)
class Made:
    """A box of these tests' own, and a connection to it."""

    client: Any
    state: Path
    image: str
    status: BoxStatus
    remote: Host

    @property
    def container(self) -> Any:
        return self.client.containers.get(self.status.box.name)

    def sh(self, script: str, timeout_s: float = PATIENCE_S) -> str:
        """What a script prints on the login node, where it may not fail."""
        return self.remote.check(["bash", "-c", script], timeout_s=timeout_s).stdout

    def job(self, script: str, *options: str) -> tuple[str, str]:
        """Run a job to its end; returns its id and what it printed."""
        submitted = self.remote.check(
            ["sbatch", "--parsable", "--output=/scratch/researcher/%j", *options],
            stdin=f"#!/bin/bash -l\n{script}\n",
        )
        job_id = submitted.stdout.strip()
        self.wait_for(f'[ -z "$(squeue --noheader --job {job_id} 2>/dev/null)" ]')
        self.wait_for(f"sacct -nXP -o end -j {job_id} | grep -q T")
        return job_id, self.sh(f"cat /scratch/researcher/{job_id}")

    def accounted(self, job_id: str, field: str, *options: str) -> list[str]:
        words = [
            "sacct",
            "--noheader",
            "--parsable2",
            "--allocations",
            f"--format={field}",
            f"--jobs={job_id}",
        ]
        return self.remote.check([*words, *options]).stdout.split()

    def wait_for(self, condition: str) -> None:
        wait_until(
            lambda: self.remote.run(["bash", "-c", condition]).ok,
            lambda: f"{condition}; {self.sh('squeue; sinfo')}",
        )


@pytest.fixture(scope="session")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    client = engine()
    state = tmp_path_factory.mktemp("a box")  # with a space
    project, profile = Project.find(ROOT), load_profile(ROOT / "env", "cpu")
    try:
        ensure_base(client, profile.base_image, profile.debian_mirror, NullProgress())
        build_image(client, tools_recipe(project, profile), NullProgress())
        image, _ = build_image(client, box_recipe(project, profile), NullProgress())
        # By its id: the name may be given to another build meanwhile.
        status = boxes.up(client, state, image.id, progress=NullProgress())
        with connect(LOGIN, state) as remote:
            yield Made(client=client, state=state, image=image.id, status=status, remote=remote)
    finally:
        boxes.down(client, state)
        client.close()


@pytest.fixture(scope="session")
def sif(box: Made, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A tiny .sif on the box, made in the tools image."""
    container = box.client.containers.create(TOOLS_IMAGE, ["sh", "-c", TINY_SIF], network_mode="none")
    try:
        container.start()
        assert container.wait(timeout=PATIENCE_S)["StatusCode"] == 0, container.logs().decode()
        chunks, _ = container.get_archive("/tiny.sif")
        assert box.container.put_archive("/scratch/researcher", b"".join(chunks))
    finally:
        container.remove(force=True)
    return "/scratch/researcher/tiny.sif"


def ssh(config: Path, command: str) -> subprocess.CompletedProcess[str]:
    argv = ["ssh", "-F", str(config), "-o", "BatchMode=yes", "box", command]
    return subprocess.run(argv, capture_output=True, text=True, timeout=PATIENCE_S, check=False)


def test_the_box_says_how_long_it_took_to_start(box: Made, tell: Tell) -> None:
    assert box.status.started_s is not None
    tell(f"the box was ready after {box.status.started_s:.1f} s")


def test_plain_ssh_gets_in(box: Made) -> None:
    done = ssh(box.status.box.ssh_config, 'echo "$(id -un) $SCRATCH $LANG"')
    assert (done.returncode, done.stdout) == (0, "researcher /scratch/researcher C.UTF-8\n"), done.stderr
    assert "Accepted publickey for researcher" in box.sh("cat /var/log/sshd.log")


def test_a_box_with_another_host_key_is_refused(box: Made, tmp_path: Path) -> None:
    state = tmp_path / "state"
    make_keys(state / "box")  # the user's key is the right one, the pinned host key is another one
    (state / "box" / "id_ed25519").write_bytes((box.status.box.folder / "id_ed25519").read_bytes())
    config = box.status.box.ssh_config.read_text()
    config = config.replace(str(box.status.box.folder), str(state / "box"))
    config = config.replace(str(box.status.box.folder).replace(" ", "\\ "), str(state / "box"))
    (state / "box" / "ssh_config").write_text(config)
    done = ssh(state / "box" / "ssh_config", "true")
    assert done.returncode == 255
    assert "REMOTE HOST IDENTIFICATION HAS CHANGED" in done.stderr
    with pytest.raises(SshError), connect(LOGIN, state):
        pass


def test_three_nodes_are_idle(box: Made) -> None:
    assert box.sh("sinfo --noheader -N -p debug -o '%N %t %c %G'").splitlines() == [
        f"node{number} idle 2 gpu:a100:1,gpu:v100:1" for number in (1, 2, 3)
    ]
    partitions = box.sh("sinfo --noheader -o '%P %l'").splitlines()
    assert partitions == ["debug* 1:00:00", "long 7-00:00:00", "scavenge 1-00:00:00", "priority 1:00:00"]


def test_a_job_runs_and_is_accounted(box: Made) -> None:
    script = "module load apptainer && module list 2>&1 | grep -o apptainer/1.4 && echo $SCRATCH $LANG"
    job_id, said = box.job(script, "--export=NONE")
    assert said == "apptainer/1.4\n/scratch/researcher C.UTF-8\n"
    assert box.accounted(job_id, "state,account,qos,partition") == ["COMPLETED|lab|normal|debug"]


@pytest.mark.parametrize(
    ("request_", "devices"), [("gpu:1", "0"), ("gpu:2", "0,1"), ("gpu:a100:1", "0"), ("gpu:v100:1", "1")]
)
def test_gpus_are_given_to_jobs(box: Made, request_: str, devices: str) -> None:
    assert box.sh(f"srun --gres={request_} printenv CUDA_VISIBLE_DEVICES </dev/null") == f"{devices}\n"


def test_limits_of_accounting_are_enforced(box: Made) -> None:
    for options in ("--account=nobody", "--qos=none", "--qos=quick --time=0:30:00", "--gres=gpu:3"):
        assert not box.remote.run(["bash", "-c", f"sbatch {options} --wrap true"]).ok, options
    assert box.remote.run(["bash", "-c", "srun --account=other --qos=quick true </dev/null"]).ok


def test_containers_run_without_root(box: Made, sif: str) -> None:
    job_id, said = box.job(f"apptainer --quiet exec {sif} sh -c 'echo inside; exit 7'")
    assert said == "inside\n"
    assert box.accounted(job_id, "state,exitcode") == ["FAILED|7:0"]


def test_too_much_memory_ends_a_job(box: Made, sif: str) -> None:
    if box.status.memory_limits is None:
        pytest.skip(f"this host lets nobody enforce memory limits: {box.status.notes}")
    job_id, said = box.job("python3 -c 'bytearray(300 << 20)'; echo $?", "--mem=100M")
    assert "137\n" in said
    assert box.accounted(job_id, "state,exitcode") == ["OUT_OF_MEMORY|0:125"]
    # What stays below the limit is left alone.
    job_id, said = box.job("python3 -c 'bytearray(50 << 20)'; echo $?", "--mem=100M")
    assert said == "0\n"


def test_priority_requeues_scavenge(box: Made) -> None:
    sbatch = "sbatch --parsable --nodes=3 --exclusive --output=/scratch/researcher/preempted.%j"
    loser = box.sh(f"{sbatch} --partition=scavenge --requeue --wrap 'sleep 300'").strip()
    try:
        box.wait_for(f'[ "$(squeue -h -j {loser} -o %t)" = R ]')
        winner, _ = box.job("true", "--partition=priority", "--nodes=3", "--exclusive")
        assert box.accounted(winner, "state") == ["COMPLETED"]
        box.wait_for(f"scontrol show job {loser} | grep -q Restarts=1")
        assert box.accounted(loser, "state", "--duplicates")[0] == "PREEMPTED"
    finally:
        box.sh(f"scancel {loser}")


def test_sreport_shows_aged_jobs(box: Made) -> None:
    assert end_inside(box.container, "age-accounting") == 0
    report = box.sh("sreport -nP cluster AccountUtilizationByUser start=$(date -d '1 day ago' +%F) end=now")
    assert "box|lab|researcher" in report


def test_up_again_changes_nothing(box: Made) -> None:
    again = boxes.up(box.client, box.state, box.image, progress=NullProgress())
    assert again.started_s is None
    assert again.port == box.status.port
    assert boxes.status(box.client, box.state) == again


@pytest.mark.long
def test_another_box_is_another_one_and_leaves_nothing(box: Made, tmp_path: Path) -> None:
    state = tmp_path / "state"
    assert boxes.status(box.client, state) is None
    assert boxes.down(box.client, state) is False
    volumes = {volume.id for volume in box.client.volumes.list()}
    try:
        status = boxes.up(box.client, state, box.image, progress=NullProgress())
        assert status.box.name != box.status.box.name
        container = box.client.containers.get(status.box.name)
        with connect(LOGIN, state) as remote:
            remote.check(["sbatch", "--wrap", "sleep 600"])
            wait_until(
                lambda: remote.check(["squeue", "-h", "-t", "R"]).stdout,
                lambda: remote.check(["bash", "-c", "squeue; sinfo"]).stdout,
            )
            # It stops, as with the machine, and comes back with what it had.
            remote.check(["touch", "/scratch/researcher/kept"])
        container.stop(timeout=10)
        assert boxes.status(box.client, state) is None
        revived = boxes.up(box.client, state, box.image, progress=NullProgress())
        assert revived.started_s is not None
        with connect(LOGIN, state) as remote:
            assert remote.run(["test", "-e", "/scratch/researcher/kept"]).ok
        # Half of it dies: it is started again.
        assert end_inside(container, "pkill", "-x", "slurmctld.*") == 0
        assert boxes.up(box.client, state, box.image, progress=NullProgress()).started_s is not None
    finally:
        assert boxes.down(box.client, state) is True
    assert boxes.status(box.client, state) is None
    assert not (state / "box").exists()
    assert {volume.id for volume in box.client.volumes.list()} == volumes
    assert not [path for path in Path("/sys/fs/cgroup").glob(f"**/*{container.id}*") if path.is_dir()]
    box.wait_for('[ "$(sinfo --noheader -o %t -p debug)" = idle ]')
