"""A Dask cluster on a site with SLURM: dask-jobqueue's SLURMCluster, its workers jobs on the box."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from slipway.errors import RemoteError, UsageError
from slipway.progress import NullProgress
from slipway.project import Project
from slipway.push.upload import push_sif
from slipway.scheduler.slurm.resources import SlurmResources
from slipway.steps.box import box_down, box_up
from slipway.steps.dask import end, look, with_address
from slipway.steps.dask_queue import QueueUp
from slipway.steps.dask_start import UpRequest
from slipway.steps.session import Choice, Session
from slipway.steps.submit import Push, make_request, submitted
from tests.integration.dask_hosts import IMAGE, ROOT, build_images, make_image
from tests.waiting import wait_until

PROGRAM = """
import os, sys
from distributed import Client
import mine
with Client() as client:
    client.wait_for_workers(2, timeout=240)
    print(sorted(client.gather(client.map(mine.work, range(20), pure=False))), flush=True)
"""
CODE = (
    "import os\nimport time\n\ndef work(n):\n    time.sleep(0.2)\n    return n, os.environ['SLURM_JOB_ID']\n"
)


@dataclass(frozen=True)
class Lab:
    session: Session
    choice: Choice

    def up(self, **wanted: str) -> QueueUp:
        options = self.choice.site.dask.model_copy(update={"workers": 2, "threads": 1})
        return QueueUp(
            session=self.session,
            choice=self.choice,
            request=UpRequest(options=options, push=Push.NEVER),
            resources=SlurmResources(**wanted),  # type: ignore[arg-type]
        )

    def on_box(self, command: str) -> str:
        with self.session.connect(self.choice.site) as host:
            return host.run(["bash", "-lc", command]).stdout


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("queued")
    (folder / "code").mkdir()
    (folder / "code" / "mine.py").write_text(CODE)
    (folder / "code" / "run.py").write_text(PROGRAM)
    project = Project(root=ROOT, state=folder / "state", results=folder / "results")
    session = Session(project=project)
    # A worker starts a Python, which is more than the few cores of a machine for tests take at once.
    choice = session.choose(
        "cpu", "box", [f"IMAGE={IMAGE}", f"CODE_DIR={folder}/code", "PROGRAM=", "MEM=600M"]
    )
    client = build_images()
    try:
        box_up(session)
        sif = make_image(client, project)
        with session.open_scratch(choice.site) as (host, scratch):
            push_sif(host, scratch, sif, project.client, NullProgress())
        yield Lab(session=session, choice=choice)
    finally:
        box_down(session, purge=False)
        client.close()


@pytest.mark.long
def test_workers_are_jobs_and_a_program_finds_them(lab: Lab, tmp_path: Path) -> None:
    request = make_request(lab.choice, ("python3", "run.py"), SlurmResources(time="10", cpus=1))
    with (
        lab.session.open_scratch(lab.choice.site) as (host, scratch),
        pytest.raises(UsageError, match=r"no Dask cluster that runs \(none\); `invoke dask\.up box`"),
    ):
        with_address(request, host, scratch)
    started = lab.up(time="30").run()
    assert started.error is None
    with pytest.raises(UsageError, match="has a Dask cluster already"):
        lab.up().run()
    assert lab.on_box("squeue -h -o '%j %l'").splitlines() == [f"{started.state.cluster} 30:00"] * 2
    wait_until(
        lambda: not look(lab.session, lab.choice.site).lost, lambda: look(lab.session, lab.choice.site)
    )
    standing = look(lab.session, lab.choice.site)
    assert [worker.name for worker in standing.state.workers] == ["worker-0", "worker-1"]
    with submitted(lab.session, request, Push.NEVER, engine="dask") as done:
        log = f"{done.run.run_dir}/attempt-1/log"
    wait_until(lambda: "]" in lab.on_box(f"cat {log}"), lambda: lab.on_box(f"cat {log}; squeue"))
    pairs = eval(lab.on_box(f"cat {log}").strip().splitlines()[-1])  # noqa: S307 - our own program's
    assert [number for number, _ in pairs] == list(range(20))
    assert len({job for _, job in pairs}) == 2
    assert end(lab.session, lab.choice.site).was_there
    assert look(lab.session, lab.choice.site).state.state == "none"
    wait_until(lambda: not lab.on_box("squeue -h").strip(), lambda: lab.on_box("squeue"))
    assert "slipway_dask" not in lab.on_box("pgrep -af '[s]lipway_dask' || true")


@pytest.mark.long
def test_what_slurm_refuses_is_told_and_leaves_nothing(lab: Lab) -> None:
    with pytest.raises(RemoteError, match=r"sbatch has failed: .*Invalid account[^\n]*\Z"):
        lab.up(account="nobody").run()
    assert lab.on_box("squeue -h").strip() == ""
    assert look(lab.session, lab.choice.site).state.state == "none"
