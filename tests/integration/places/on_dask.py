"""Two hosts with a Dask cluster as a place: each program finds the cluster, and counts its workers first."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slipway.image.engine import engine
from slipway.job.run import Run
from slipway.progress import NullProgress
from slipway.project import Project
from slipway.push.upload import push_sif
from slipway.scheduler.slurm.resources import SlurmResources
from slipway.steps.dask import end
from slipway.steps.dask_start import UpRequest
from slipway.steps.dask_up import Up
from slipway.steps.ssh_setup import Setup
from slipway.steps.submit import Push, make_request, submitted
from tests.integration.dask_hosts import IMAGE, ROOT, make_image, open_hosts
from tests.integration.places.place import Place, checkout

# What does not get at both workers ends as no test expects.
_CLUSTER = """
from distributed import Client
with Client() as client:
    assert len(client.scheduler_info(n_workers=-1)["workers"]) == 2
    assert client.submit(sum, [1, 2]).result() == 3
"""
_FIRST = 'python3 -c "$DASK_CHECK" || exit 99\n'


@dataclass(frozen=True, kw_only=True)
class DaskPlace(Place):
    """Jobs as `job --engine dask` submits them."""

    def run(self, script: str, *words: str, **wanted: Any) -> Run:
        """Submit a script that first has the cluster compute something."""
        choice = self.choice
        profile = choice.profile.model_copy(
            update={
                "program": ("/bin/sh", "-c", _FIRST + script, "sh"),
                "environment": {**choice.profile.environment, "DASK_CHECK": _CLUSTER},
            }
        )
        resources = SlurmResources(**wanted).over(self.wanted)
        request = make_request(type(choice)(profile=profile, site=choice.site), words, resources)
        with submitted(self.session, request, Push.NEVER, engine="dask") as done:
            return done.run


@contextmanager
def two_hosts(folder: Path) -> Iterator[Place]:
    """The cluster is up as long as the scenarios last."""
    keys = folder.parent / "keys"
    keys.mkdir()
    with open_hosts(keys, count=2) as hosts:
        text = hosts.site_text(scheduler="host", places="4", grace_s="10", dask="{threads: 1, memory: 1G}")
        session, choice = checkout(folder, folder / "state", "lab", [f"IMAGE={IMAGE}"], lab=text)
        project = Project(root=ROOT, state=session.project.state, results=session.project.results)
        sif = make_image(engine(), project)
        with session.open_scratch(choice.site) as (host, scratch):
            push_sif(host, scratch, sif, session.project.client, NullProgress())
        setup = Setup(session=session, site=choice.site, yes=True)
        assert setup.error(setup.run()) is None
        request = UpRequest(options=choice.site.dask, copy=True, weights=False, push=Push.NEVER)
        started = Up(session=session, choice=choice, request=request).run()
        assert started.error is None
        # Memory that the cluster's client takes is no part of what the scenarios give.
        wanted = SlurmResources(cpus=1, mem="400M", time="10")
        yield DaskPlace(session=session, choice=choice, limit="1", wanted=wanted)
        end(session, choice.site)
