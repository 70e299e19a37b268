"""A Dask cluster on four hosts that share nothing: Dask's own SSHCluster, with all of it in containers."""

import time
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
from slipway.steps.dask_up import Up, UpRequest
from slipway.steps.session import Choice, Session
from slipway.steps.ssh_setup import Setup
from slipway.steps.submit import Push
from tests.integration.dask_hosts import IMAGE, ROOT, SCRATCH, Hosts, make_image, open_hosts
from tests.waiting import wait_until

FOLDER = f"{SCRATCH}/slipway/dask"
# One task a second, on whichever worker is free; how many worker processes had to do it, the tasks say.
PROGRAM = """
import sys, time
from distributed import Client
import mine
with Client(sys.argv[1], set_as_default=False) as client:
    print("begins", flush=True)
    futures = client.map(mine.work, range(24), pure=False)
    print(sorted(client.gather(futures)), flush=True)
"""
CODE = "import socket\nimport time\n\ndef work(n):\n    time.sleep(1)\n    return n, socket.gethostname()\n"


@dataclass(frozen=True)
class Lab:
    hosts: Hosts
    session: Session
    choice: Choice

    def up(self, *, copy: bool = True) -> Up:
        request = UpRequest(options=self.choice.site.dask, copy=copy, push=Push.NEVER)
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
    (folder / "code" / "mine.py").write_text(CODE)
    text = f"IMAGE={IMAGE}\nDOCKERFILE=Dockerfile\nCODE_DIR=code\nENV_MINE=it's $HOME\n"
    (folder / "env" / ".env.base").write_text(text)
    project = Project(root=folder, state=folder / "state", results=folder / "results")
    session = Session(project=project)
    with open_hosts(keys) as hosts:
        (folder / "cluster" / "lab.yaml").write_text(hosts.site_text(dask="{threads: 1, memory: 1G}"))
        choice = session.choose("base", "lab")
        yield Lab(hosts=hosts, session=session, choice=choice)


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


def test_a_host_that_dies_costs_its_tasks_only_a_little_time(lab: Lab, tmp_path: Path) -> None:
    started = lab.up().run()
    assert started.error is None
    assert started.state.address.startswith("tcp://")
    with pytest.raises(UsageError, match="has a Dask cluster already"):
        lab.up().run()
    standing = look(lab.session, lab.choice.site)
    assert [worker.name for worker in standing.state.workers] == lab.hosts.names
    assert {worker.threads for worker in standing.state.workers} == {1}
    assert {worker.limit_bytes for worker in standing.state.workers} == {1 << 30}
    assert standing.lost == ()

    lab.hosts.sh("gpu1", f"cat >/tmp/program.py <<'END'\n{PROGRAM}\nEND")
    lab.hosts.sh(
        "gpu1", f"nohup {FOLDER}/python /tmp/program.py {started.state.address} >/tmp/said 2>&1 </dev/null &"
    )
    wait_until(lambda: "begins" in said(lab), lambda: said(lab))
    time.sleep(2)
    lab.hosts.containers["gpu3"].kill()
    wait_until(lambda: "]" in said(lab), lambda: said(lab))
    done = eval(said(lab).strip().splitlines()[-1])  # noqa: S307 - our own program's
    assert [number for number, _ in done] == list(range(24))
    assert {"gpu1", "gpu2", "gpu4"} <= {host for _, host in done}

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


def said(lab: Lab) -> str:
    return lab.hosts.sh("gpu1", "cat /tmp/said")
