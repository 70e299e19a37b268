"""A Dask cluster on a site with SLURM: its scheduler on the login node, each worker a job."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import PurePosixPath

from slipway.code.upload import send_code
from slipway.dask import folder as there
from slipway.dask.options import DaskOptions
from slipway.dask.order import WorkerJobs, render_queue_order
from slipway.dask.wrapper import PYTHON
from slipway.errors import UsageError
from slipway.host.host import Host
from slipway.host.scratch import Scratch
from slipway.job.inputs import find_image, read_code
from slipway.job.request import resource_request
from slipway.push.upload import PushedSif
from slipway.resources import Resources
from slipway.scheduler.find import find_scheduler
from slipway.site import Site
from slipway.steps.dask_start import (
    Started,
    UpRequest,
    cluster_files,
    refuse_second,
    require_packages,
)
from slipway.steps.session import Choice, Session
from slipway.steps.submit import prepared

_NEEDED = ("dask", "distributed", "dask_jobqueue")
# Of the options of a job: the worker has no handler for a warning, which would end it.
_LEFT_OUT = ("--signal", "--job-name")


@dataclass(frozen=True, kw_only=True)
class QueueUp:
    """One bringing up of a cluster whose workers are jobs.

    Attributes:
        resources: what the command line asks for, for each of them.
    """

    session: Session
    choice: Choice
    request: UpRequest
    resources: Resources

    def run(self) -> Started:
        """Bring it up.

        Raises:
            UsageError: there is a cluster already, or nobody says how much memory a worker has.
            ImageError: the image was never pushed, or lacks what Dask needs.
            JobError: the request would never start.
            RemoteError: it does not start, as where SLURM takes no job.
        """
        site, profile = self.choice.site, self.choice.profile
        wanted = resource_request(profile, site, self.resources)
        jobs = worker_jobs(wanted.resources, self.request.options, site)
        with prepared(self.session, profile, site, self.request.push) as ready:
            ready.code.snapshot.package.archive.close()
            host, scratch = ready.host, ready.scratch
            image = ready.image or find_image(host, scratch, profile, site)
            refuse_second(site, host, scratch)
            find_scheduler(site.scheduler).check(host, wanted, site, self.session.progress)
            cluster = f"dask-{secrets.token_hex(4)}"
            self._send(cluster, image, host, scratch, gpus=wanted.resources.gpu_count)
            self.session.progress.step(f"Starting {image.path.name} on {site.name}")
            require_packages(image, there.ask_versions(host, there.cluster_folder(scratch)), _NEEDED)
            return self._begin(cluster, jobs, host, scratch)

    def _send(self, cluster: str, image: PushedSif, host: Host, scratch: Scratch, *, gpus: int) -> None:
        site, profile = self.choice.site, self.choice.profile
        with read_code(self.session.project, profile, site.name, whole=True).snapshot as snapshot:
            tree = snapshot.tree.name
            if not host.is_folder(scratch.code / tree):
                send_code(host, scratch, snapshot, self.session.progress)
        options = self.request.options.model_copy(update={"gpus": gpus})
        files = cluster_files(self.choice, cluster, image, scratch, tree, options)
        there.send(host, there.cluster_folder(scratch), files)

    def _begin(self, cluster: str, jobs: WorkerJobs, host: Host, scratch: Scratch) -> Started:
        site, options = self.choice.site, self.request.options
        folder = there.cluster_folder(scratch)
        options_of_job = [
            f"--job-name={cluster}",
            f"--output={folder}/logs/worker-%j.log",
            *jobs.directives,
        ]
        jobs = WorkerJobs(threads=jobs.threads, memory=jobs.memory, directives=options_of_job)
        host.write(
            folder / "order.json",
            render_queue_order(cluster, folder, folder / PYTHON, jobs, options),
        )
        self.session.progress.step(f"Starting Dask, with {options.workers} jobs")
        try:
            there.begin(host, folder, cluster, with_slurm=True)
            state = there.wait_for_begin(host, folder, cluster)
        except BaseException:
            there.end_jobs(host, cluster)
            there.end_processes(host, cluster)
            there.forget(host, folder)
            raise
        return Started(state=state, site=site, port=options.dashboard, hosts=1, left_out={})


def worker_jobs(wanted: Resources, options: DaskOptions, site: Site) -> WorkerJobs:
    """The job of each worker: its threads and memory are the job's, where nothing else is said.

    Raises:
        UsageError: nobody says how much memory it has.
    """
    threads, memory = options.threads or wanted.cpus or 1, options.memory or wanted.mem
    if memory is None:
        raise UsageError(
            f"how much memory has a worker? Add --memory 4G, or dask.memory or defaults.mem in {site.file}"
        )
    asked = wanted.model_copy(update={"cpus": wanted.cpus or threads, "mem": wanted.mem or memory})
    log = PurePosixPath("/dev/null")
    options_of_job = find_scheduler(site.scheduler).directives(
        name="dask", log=log, resources=asked, site=site
    )
    kept = [one for one in options_of_job if not one.startswith((*_LEFT_OUT, "--output"))]
    return WorkerJobs(threads=threads, memory=memory, directives=kept)
