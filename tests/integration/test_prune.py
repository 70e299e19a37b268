"""Which images go, on a real SLURM; and what happens where the disk there is full."""

import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from slipway.errors import JobError
from slipway.image.build import build_image
from slipway.image.engine import engine, find_image
from slipway.image.recipe import Recipe
from slipway.job.request import Request
from slipway.job.run import Run
from slipway.job.submit import submit
from slipway.profile import load_profile
from slipway.progress import NullProgress
from slipway.project import Project
from slipway.push.upload import PushedSif, push_sif
from slipway.scheduler.choose import parse_resources
from slipway.sif.kept import Sif, sha256
from slipway.sif.store import make_sif, tools_recipe
from tests.integration.proxy import Proxy
from tests.integration.push_box import OPTIONS, ROOT, PushBox, start_push_box
from tests.waiting import PATIENCE_S, wait_until

FULL = 84


@pytest.fixture(scope="module")
def pushes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PushBox]:
    with start_push_box(tmp_path_factory.mktemp("yard")) as pushes:
        yield pushes


@pytest.fixture(scope="module")
def versions(pushes: PushBox) -> list[Sif]:
    """A real image in four versions: what is behind its end does not matter to Apptainer."""
    client, project = engine(), Project(root=ROOT, state=pushes.folder / "state", results=pushes.folder)
    profile = load_profile(project.profiles, "cpu")
    image = find_image(client, profile.base_image)
    assert image is not None
    made, _ = make_sif(client, image, project, tools_recipe(project, profile), NullProgress())
    client.close()
    content = made.path.read_bytes()
    files = [pushes.file(f"base-{number}", content + b"x" * number) for number in range(1, 5)]
    return [
        replace(made, path=file, name="base", sha256=sha256(file), size_bytes=file.stat().st_size)
        for file in files
    ]


def push_version(pushes: PushBox, sif: Sif) -> PushedSif:
    with pushes.open() as (host, scratch):
        return push_sif(host, scratch, sif, "0123abcd", NullProgress())[0]


def submit_sleep(pushes: PushBox, progress: NullProgress, *options: str) -> Run:
    project = Project(root=ROOT, state=pushes.folder / "state", results=pushes.folder)
    profile = load_profile(project.profiles, "cpu", ["PROGRAM=sleep", "IMAGE=base"])
    wanted = parse_resources({"time": "0:05:00", "cpus": "1", "mem": "500M", "partition": "debug"}, options)
    request = Request(profile=profile, site=pushes.site, args=("300",), resources=wanted)
    with pushes.open() as (host, scratch):
        return submit(project, request, host, scratch, progress)


def state_of(pushes: PushBox, run: Run) -> str:
    return pushes.there(f"squeue --noheader --format=%T --jobs={run.job_id} 2>/dev/null || true").strip()


def images(pushes: PushBox) -> set[str]:
    return {name for name in pushes.listing() if re.fullmatch(r"\.?base-.*", name)}


def with_records(*sifs: Sif) -> set[str]:
    return {name for sif in sifs for name in (sif.file_name, sif.file_name.replace(".sif", ".json"))}


def test_images_that_jobs_use_stay(pushes: PushBox, versions: list[Sif]) -> None:
    first, second, third, fourth = versions
    push_version(pushes, first)
    running = submit_sleep(pushes, NullProgress())
    wait_until(lambda: state_of(pushes, running) == "RUNNING", lambda: pushes.there("squeue; sinfo"))
    push_version(pushes, second)
    waiting = submit_sleep(pushes, NullProgress(), "--begin=now+1hour")
    push_version(pushes, third)
    (pushes.folder / "state").mkdir(exist_ok=True)
    done = pushes.push(fourth.path, "base", "--prune")
    assert state_of(pushes, waiting) == "PENDING"
    assert images(pushes) == with_records(first, second, fourth)
    assert f"1 older image removed, {third.size_bytes / 1e6:.1f} MB freed" in done.stderr
    assert f"{first.file_name} is used by {running.run_id}" in done.stderr
    assert f"{second.file_name} is used by {waiting.run_id}" in done.stderr
    # The image that a job has open is whole, and starts further programs.
    seen = pushes.there(f"runuser -u researcher -- apptainer exec {running.sif} cat /etc/debian_version")
    assert seen.strip()
    pushes.there(f"scancel {running.job_id} {waiting.job_id}")
    wait_until(
        lambda: not state_of(pushes, running) and not state_of(pushes, waiting),
        lambda: pushes.there("squeue; sinfo"),
    )
    # It is not known of the second whether it is under way, since nothing has ended it; in a while it is.
    pushes.push(fourth.path, "base", "--prune")
    assert images(pushes) == with_records(second, fourth)
    pushes.there(f"touch -d '1 hour ago' {waiting.run_dir}/run.json")
    # As is a record beside an image that is gone.
    stale = first.file_name.replace(".sif", ".json")
    pushes.there(f"echo '{{}}' >{pushes.images}/{stale}")
    pushes.push(fourth.path, "base", "--prune")
    assert images(pushes) == with_records(fourth)


@pytest.mark.long
def test_the_old_image_runs_after_a_cut(pushes: PushBox, versions: list[Sif]) -> None:
    push_version(pushes, versions[0])
    pushes.proxy.count()
    pushes.proxy.when(6_000, pushes.proxy.reset)
    assert pushes.finish(pushes.start(versions[1].path, "base")).code == 82
    inside = f"{pushes.images}/base.sif"
    assert "Debian" in pushes.there(f"runuser -u researcher -- apptainer exec {inside} cat /etc/os-release")
    assert pushes.there(f"runuser -u researcher -- apptainer inspect {inside}").strip()
    assert versions[1].file_name not in pushes.listing()


def test_an_image_that_goes_before_its_job_is_submitted(pushes: PushBox, versions: list[Sif]) -> None:
    pushed = push_version(pushes, versions[0])

    class Remover(NullProgress):
        def step(self, text: str) -> None:
            if text.startswith("Sending the code in "):
                pushes.there('rm -f -- "$1"', str(pushed.path))

    before = set(pushes.there(f"ls {pushes.scratch}/slipway/runs").split())
    pushes.there(f"rm -rf {pushes.scratch}/slipway/code/*")
    with pytest.raises(JobError, match="the image has been removed just now; nothing was submitted"):
        submit_sleep(pushes, Remover())
    assert set(pushes.there(f"ls {pushes.scratch}/slipway/runs").split()) == before


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PushBox]:
    """A host without SLURM whose scratch has 40 MB."""
    client, folder = engine(), tmp_path_factory.mktemp("small")
    profile = load_profile(ROOT / "env", "cpu")
    dockerfile = ROOT / "tests" / "integration" / "sshd" / "Dockerfile"
    recipe = Recipe(
        name="slipway-test-sshd", dockerfile=dockerfile, platform="", build_args=profile.build_args
    )
    build_image(client, recipe, NullProgress())
    key = folder / "id"
    subprocess.run(["ssh-keygen", "-qN", "", "-t", "ed25519", "-f", str(key)], check=True, timeout=PATIENCE_S)
    public = Path(f"{key}.pub").read_text()
    container = client.containers.run(
        recipe.name,
        environment={"AUTHORIZED": public, "CA": public, "PASSWORD": "unused", "SECRET": "AAAA"},
        tmpfs={"/scratch": "size=40m,mode=1777"},
        ports={"22/tcp": ("127.0.0.1", None)},
        init=True,
        detach=True,
    )
    try:
        wait_until(lambda: b"Server listening" in container.logs(), container.logs)
        container.reload()
        proxy = Proxy(int(container.ports["22/tcp"][0]["HostPort"]))
        config = folder / "ssh_config"
        config.write_text(
            f"Host box\n    HostName 127.0.0.1\n    Port {proxy.port}\n    User key\n    IdentityFile {key}\n"
            f"    UserKnownHostsFile {folder}/known_hosts\n    HostKeyAlias small\n{OPTIONS}"
        )
        pushes = PushBox(folder, container, proxy, config, scratch="/scratch")
        (folder / "known_hosts").write_text(
            "small " + pushes.there("cut -d' ' -f1,2 /etc/ssh/ssh_host_ed25519_key.pub")
        )
        yield pushes
        proxy.close()
    finally:
        container.remove(force=True, v=True)
        client.close()


@pytest.mark.fault("cluster", "disk full, or quota, at every write")
def test_no_room_is_said_before_anything_is_sent(small: PushBox) -> None:
    done = small.push(small.file("big-1", os.urandom(60_000_000)), "big", code=FULL)
    assert done.up_bytes < 50_000
    words = " ".join(done.stderr.split())
    assert re.search(r":/scratch/slipway/images has 4\d\.\d MB free, and the image takes 60\.0 MB", words), (
        words
    )
    assert "`invoke push --prune` removes older images that no job uses" in words
    assert small.listing() == set()


@pytest.mark.long
@pytest.mark.fault("cluster", "disk that fills up in the middle")
def test_a_disk_that_fills_up_meanwhile(small: PushBox) -> None:
    path = small.file("mid-1", os.urandom(30_000_000))
    small.proxy.count()
    small.proxy.when(5_000_000, lambda: small.there("cat /dev/zero >/scratch/filler 2>/dev/null || true"))
    with small.proxy.slow(10_000_000):
        done = small.finish(small.start(path, "mid"))
    assert done.code == FULL, done
    assert "What had arrived was removed" in " ".join(done.stderr.split())
    assert small.listing() == set()
    small.there("rm /scratch/filler")
    small.push(path, "mid")


@pytest.mark.long
def test_room_that_is_taken_by_remains_is_made(small: PushBox) -> None:
    small.there("rm -rf /scratch/slipway")
    first, second = (small.file(f"room-{number}", os.urandom(25_000_000)) for number in (1, 2))
    small.proxy.count()
    small.proxy.when(20_000_000, small.proxy.reset)
    with small.proxy.slow(20_000_000):
        assert small.finish(small.start(first, "room")).code == 82
    # What has arrived and the new one together do not fit.
    small.push(second, "room")
    assert small.there("sha256sum </scratch/slipway/images/room.sif").split()[0] == sha256(second)


def test_nothing_goes_where_slurm_cannot_be_asked(small: PushBox) -> None:
    small.there("rm -rf /scratch/slipway")
    for number in (1, 2):
        done = small.push(small.file(f"kept-{number}", os.urandom(100_000)), "kept", "--prune")
    assert "No older image of kept was removed: the scheduler, or a record" in " ".join(done.stderr.split())
    assert len([name for name in small.listing() if name.startswith("kept-") and name.endswith(".sif")]) == 2


def test_scratch_that_cannot_be_written_to(small: PushBox) -> None:
    small.there("mkdir -p /scratch/slipway/images && chmod 555 /scratch/slipway/images")
    try:
        done = small.push(small.file("read-1", b"x"), "read", code=83)
        assert "/scratch/slipway/images cannot be written to" in " ".join(done.stderr.split())
    finally:
        small.there("chmod 755 /scratch/slipway/images")
