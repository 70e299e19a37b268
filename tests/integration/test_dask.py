"""A Dask cluster on four hosts that share nothing: Dask's own SSHCluster, with all of it in containers."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from slipway.errors import ImageError, RemoteError, UsageError
from slipway.image.engine import engine
from slipway.progress import NullProgress
from slipway.project import Project
from slipway.push.upload import push_sif
from slipway.steps.dask import end, look
from slipway.steps.dask_start import UpRequest
from slipway.steps.dask_up import Up
from slipway.steps.session import Choice, Session
from slipway.steps.ssh_setup import Setup
from slipway.steps.submit import Push, make_request, submitted
from tests.integration.dask_hosts import IMAGE, ROOT, SCRATCH, Hosts, make_image, open_hosts
from tests.waiting import wait_until

FOLDER = f"{SCRATCH}/slipway/dask"
# The seam of the payload's `infer` with work that needs no engine: one sequence takes three seconds.
MINE = """
import os, socket, sys, time
from pathlib import Path
from slam.batch import finish, run_each
from slam.dataset.catalog import Staged
from slam.spread import is_asked, spread

class Work:
    def __call__(self, folder, out):
        raise AssertionError("this is done on workers")

    def at(self, root, threads):
        return self.count

    def count(self, folder, out):
        time.sleep(3)
        out.mkdir(parents=True)
        frames = len(list(folder.iterdir()))
        (out / "summary.json").write_text(f'{{"frames": {frames}, "host": "{socket.gethostname()}"}}')

def main():
    root, out = Path("/data"), Path(os.environ["SLIPWAY_OUT"])
    assert is_asked(os.environ)
    staged = [Staged(name=one.name, folder=one) for one in sorted((root / "set").iterdir()) if one.is_dir()]
    each = lambda waiting, count: spread(waiting, out, Work(), root, count)
    finish(*run_each(staged, out, None, each=each), out)
"""
SEQUENCES = 20


@dataclass(frozen=True)
class Lab:
    hosts: Hosts
    session: Session
    choice: Choice

    def up(self, *, copy: bool = True) -> Up:
        request = UpRequest(options=self.choice.site.dask, copy=copy, weights=True, push=Push.NEVER)
        return Up(session=self.session, choice=self.choice, request=request)

    def processes(self, name: str) -> list[str]:
        """What runs there of a cluster."""
        return self.hosts.sh(name, "pgrep -af '[d]istributed|[s]lipway_dask' || true").splitlines()


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("lab")
    keys = folder / "keys"
    for one in (keys, folder / "env", folder / "cluster", folder / "code"):
        one.mkdir()
    shutil.copytree(ROOT / "docker" / "payload" / "slam", folder / "code" / "slam")
    (folder / "code" / "mine.py").write_text(MINE)
    text = f"IMAGE={IMAGE}\nDOCKERFILE=Dockerfile\nCODE_DIR=code\nENV_MINE=it's $HOME\n"
    (folder / "env" / ".env.base").write_text(text)
    project = Project(root=folder, state=folder / "state", results=folder / "results")
    session = Session(project=project)
    with open_hosts(keys) as hosts:
        (folder / "cluster" / "lab.yaml").write_text(
            hosts.site_text(scheduler="host", dask="{threads: 1, memory: 1G}")
        )
        choice = session.choose("base", "lab")
        yield Lab(hosts=hosts, session=session, choice=choice)


@pytest.mark.long
def test_what_a_cluster_needs_is_told_before_it_is_started(lab: Lab) -> None:
    """One after the other: an image, the ways between the hosts, the image on the others."""
    with pytest.raises(ImageError, match="invoke push"):
        lab.up().run()
    project = Project(root=ROOT, state=lab.session.project.state, results=lab.session.project.results)
    sif = make_image(engine(), project)
    with lab.session.open_scratch(lab.choice.site) as (host, scratch):
        push_sif(host, scratch, sif, lab.session.project.client, NullProgress())
    with pytest.raises(
        RemoteError, match=r"gpu1: gpu1 does not get on itself by ssh: .*`invoke ssh\.setup lab`"
    ):
        lab.up().run()
    setup = Setup(session=lab.session, site=lab.choice.site, yes=True)
    assert setup.error(setup.run()) is None

    assert look(lab.session, lab.choice.site).state.state == "none"
    assert not end(lab.session, lab.choice.site).was_there


@pytest.mark.long
def test_a_host_that_dies_costs_its_tasks_only_a_little_time(lab: Lab, tmp_path: Path) -> None:
    weights = f"{SCRATCH}/slipway/weights/net/my 'w'.pth"
    lab.hosts.sh("gpu1", f'mkdir -p "$(dirname "{weights}")"; echo weights >"{weights}"')
    started = lab.up().run()
    assert started.error is None
    assert lab.hosts.sh("gpu4", f'cat "{weights}"') == "weights\n"
    assert started.state.address.startswith("tcp://")
    with pytest.raises(UsageError, match="has a Dask cluster already"):
        lab.up().run()
    standing = look(lab.session, lab.choice.site)
    assert [worker.name for worker in standing.state.workers] == lab.hosts.names
    assert {worker.threads for worker in standing.state.workers} == {1}
    assert {worker.limit_bytes for worker in standing.state.workers} == {1 << 30}
    assert standing.lost == ()

    look_at = "import urllib.request as r; print(r.urlopen('http://127.0.0.1:8787/status').read().decode())"
    assert "<title>Dask" in lab.hosts.sh("gpu1", f'python3 -c "{look_at}"')

    # The first host alone has the data.
    data = f"{SCRATCH}/slipway/data/set"
    lab.hosts.sh(
        "gpu1",
        f"for one in $(seq {SEQUENCES}); do mkdir -p {data}/s$one; seq $one >{data}/s$one/rgb.txt; done",
    )
    argv = ("python3", "-c", "import mine; mine.main()")
    request = make_request(lab.choice, argv, lab.choice.site.defaults)
    with submitted(lab.session, request, Push.NEVER, engine="dask") as done:
        folder = f"{done.run.run_dir}/attempt-1"
    # It has just begun with its second one.
    wait_until(lambda: log(lab, folder).count("on gpu3") == 2, lambda: log(lab, folder), pause_s=0.05)
    lab.hosts.containers["gpu3"].kill()
    wait_until(lambda: "files  " in log(lab, folder), lambda: log(lab, folder))
    table = json.loads(lab.hosts.sh("gpu1", f"cat {folder}/out/table.json"))
    assert {row["sequence"]: row["result"] for row in table["rows"]} == {
        f"s{one}": "ok" for one in range(1, SEQUENCES + 1)
    }
    assert log(lab, folder).count("lost  ") == 1
    hosts = lab.hosts.sh("gpu1", f"cat {folder}/out/*/summary.json")
    assert all(hosts.count(f'"{name}"') >= 1 for name in ("gpu1", "gpu2", "gpu4"))
    assert hosts.count("frames") == SEQUENCES

    def lost() -> bool:
        return look(lab.session, lab.choice.site).lost == ("gpu3",)

    wait_until(lost, lambda: look(lab.session, lab.choice.site))
    ended = end(lab.session, lab.choice.site)
    assert ended.was_there
    assert [*ended.unreached] == ["gpu3"]
    assert {name: lab.processes(name) for name in ("gpu1", "gpu2", "gpu4")} == {
        "gpu1": [],
        "gpu2": [],
        "gpu4": [],
    }


def log(lab: Lab, folder: str) -> str:
    return lab.hosts.sh("gpu1", f"cat {folder}/log 2>/dev/null || true")
