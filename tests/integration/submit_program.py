"""Submits one job in a process of its own, which a test may kill. Its argument is JSON: see ``main``."""

import json
import sys
from pathlib import Path

from slipway.job.request import Request
from slipway.job.submit import submit
from slipway.progress import NullProgress
from slipway.project import Project
from slipway.scheduler.slurm.resources import SlurmResources
from slipway.steps.session import Session


def main(argument: str) -> None:
    """Submit a job: ``state``, ``overrides`` of the profile ``cpu``, ``ssh_config``, ``args``."""
    wanted = json.loads(argument)
    root, state = Path(__file__).parents[2], Path(wanted["state"])
    session = Session(project=Project(root=root, state=state, results=state), progress=NullProgress())
    choice = session.choose("cpu", "box", wanted["overrides"])
    login = choice.site.login.model_copy(update={"ssh_config": wanted["ssh_config"]})
    site = choice.site.model_copy(update={"login": login})
    resources = SlurmResources(cpus=1, mem="200M", time="10")
    request = Request(profile=choice.profile, site=site, args=tuple(wanted["args"]), resources=resources)
    with session.open_scratch(site) as (host, scratch):
        run = submit(session.project, request, host, scratch, NullProgress())
    print(run.run_id, run.job_id)


if __name__ == "__main__":
    main(sys.argv[1])
