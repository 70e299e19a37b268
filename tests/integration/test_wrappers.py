"""A site whose programs talk: wrappers that print a header or a notice before the real ones say anything."""

import shlex
from collections.abc import Callable, Iterator

import pytest

from slipway.errors import JobError, RemoteError
from slipway.host.scratch import open_scratch
from slipway.job import watch
from slipway.job.run import Run
from slipway.progress import NullProgress
from slipway.push.prune import prune_images
from slipway.scheduler.base import State
from slipway.scheduler.find import find_scheduler
from slipway.scheduler.slurm.resources import SlurmResources
from slipway.steps.refresh import refresh
from tests.integration.small_image import SmallImageBox, fakes

Fake = Callable[[str, str], None]
TALK = "echo; echo 'Welcome | to | the | cluster'; echo 'JOBID NAME STATE'; echo 'a notice' >&2"
PROGRAMS = (
    "sbatch",
    "squeue",
    "sacct",
    "scontrol",
    "sinfo",
    "sacctmgr",
    "scancel",
    "srun",
    "apptainer",
    "df",
)


@pytest.fixture
def fake(small: SmallImageBox) -> Iterator[Fake]:
    with fakes(small) as fake:
        yield fake


def state_of(small: SmallImageBox, run: Run) -> Run:
    with small.connect() as host:
        return refresh(small.session, host, [run])[0]


def ended(small: SmallImageBox, run: Run) -> Run:
    with small.connect() as host:
        return watch.follow(host, run, lambda _: None, lambda _: None)


def test_all_programs_talk(small: SmallImageBox, fake: Fake) -> None:
    for name in PROGRAMS:
        fake(name, f'{TALK}; exec /usr/bin/{name} "$@"')
    module = shlex.quote(f"module() {{ {TALK}; }}")
    # Another test may have left the image on the nodes' disk.
    small.on_box(f"echo {module} >>~/.bash_profile; rm -rf /dev/shm/slipway-*/images")
    site = small.choice.site
    paths = site.paths.model_copy(update={"node_local": "/dev/shm"})
    local = site.model_copy(update={"paths": paths, "queues": {}})
    with small.connect() as host:
        one = small.submit(host, "sh", "-c", "echo fine", site=local)
        two = small.submit(host, "true", wanted=SlurmResources(nodes=2))
        held = small.submit(host, "true", wanted=SlurmResources(sbatch=("--hold",)))
        assert state_of(small, held).status.pending_reason == "JobHeldUser"
        scratch = open_scratch(host, site)
        progress = NullProgress()
        prune_images(host, scratch, small.choice.profile.image, find_scheduler("slurm"), progress)
        assert watch.cancel(host, held).status.state is State.CANCELLED
        log = f"{one.run_dir}/attempt-1/log"
        for run in (one, two):
            assert (ended(small, run).status.reason, run.job_id is not None) == ("ok", True)
        assert "image copied to /dev/shm/" in small.on_box(f"cat {log}")
        with pytest.raises(JobError, match=r"(?s)emory.*  partitions: debug .*  your account lab with qos: "):
            small.submit(host, "true", wanted=SlurmResources(mem="900G"), site=local)


@pytest.mark.long
def test_an_id_that_is_swallowed_is_found_by_the_jobs_name(small: SmallImageBox, fake: Fake) -> None:
    fake("sbatch", '/usr/bin/sbatch "$@" >/dev/null; echo Thank you')
    with small.connect() as host:
        run = small.submit(host, "true")
        assert str(run.job_id).isdigit()
        # It has also swallowed the exit code of a refusal.
        with pytest.raises(JobError, match=r"SLURM refused the job: .*account"):
            small.submit(host, "true", wanted=SlurmResources(account="nobodys"))
    assert ended(small, run).status.reason == "ok"


@pytest.mark.long
def test_without_the_queue_others_say_how_a_run_stands(small: SmallImageBox, fake: Fake) -> None:
    # It has columns of its own, whatever is asked for.
    fake("squeue", "echo JOBID PARTITION NAME; exec /usr/bin/squeue --noheader")
    with small.connect() as host:
        run = small.submit(host, "sleep", "2")
    now = state_of(small, run)
    assert now.status.state in (State.PENDING, State.RUNNING)
    assert "squeue printed 'JOBID PARTITION" in str(now.status.note)
    assert ended(small, now).status.reason == "ok"


def test_where_nothing_can_be_read_following_ends(
    small: SmallImageBox, fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("squeue", "sacct", "scontrol"):
        fake(name, "echo out of order")
    monkeypatch.setattr(watch, "EQUAL_FAILURES", 3)
    with small.connect() as host:
        run = small.submit(host, "sleep", "60")
    with pytest.raises(RemoteError, match="3 times in a row: squeue printed 'out of order'"):
        ended(small, run)
    small.as_root("scancel", str(run.job_id))
