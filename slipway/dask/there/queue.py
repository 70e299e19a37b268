"""dask-jobqueue's ``SLURMCluster``: the scheduler here on the login node, each worker in a job.

The container has no ``sbatch``. What dask-jobqueue would run is written to a folder, where a loop of ``sh``
outside of the container finds it, runs it, and puts its answer beside it.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import shutil
from pathlib import Path
from typing import Any

from dask_jobqueue import SLURMCluster
from dask_jobqueue.slurm import SLURMJob

from . import place
from .lead import Lead

_DOOR = "door"
_LOOK_S = 0.2
_PATIENCE_S = 300
_COUNT = itertools.count()


async def run_outside(argv: list[str]) -> str:
    """Run one of SLURM's commands outside of the container; returns what it printed.

    Raises:
        RuntimeError: it has failed.
    """
    name = f"{next(_COUNT)}"
    folder = place.FOLDER / _DOOR
    part = folder / f"{name}.part"
    part.write_bytes(b"".join(word.encode() + b"\0" for word in argv))
    part.rename(folder / f"{name}.request")
    code = folder / f"{name}.code"
    for _ in range(int(_PATIENCE_S / _LOOK_S)):
        if code.exists():
            break
        await asyncio.sleep(_LOOK_S)
    else:
        raise RuntimeError(f"{argv[0]} has not answered within {_PATIENCE_S} s")
    out, err = ((folder / f"{name}.{kind}").read_text(errors="replace") for kind in ("out", "err"))
    ending = code.read_text().strip()
    for kind in ("code", "out", "err"):
        (folder / f"{name}.{kind}").unlink(missing_ok=True)
    if ending != "0":
        raise RuntimeError(f"{argv[0]} has failed: {(err or out).strip()}")
    return out


class Job(SLURMJob):  # type: ignore[misc]
    """dask-jobqueue's own, whose commands are run outside of the container."""

    # Where the folder of the cluster is outside.
    outside = ""

    async def _submit_job(self, script_filename: str) -> str:
        script = Path(place.LOGS) / f"{self.name}.sh"
        shutil.copyfile(script_filename, place.FOLDER / script)
        return await run_outside(["sbatch", "--parsable", f"{self.outside}/{script}"])

    @staticmethod
    async def _call(cmd: list[str], **_: Any) -> str:
        return await run_outside(cmd)


class QueueLead(Lead):
    """A cluster whose workers are jobs."""

    def make(self) -> Any:
        """The cluster, without a worker."""
        Job.outside = self.order["folder"]
        return SLURMCluster(
            job_cls=Job,
            asynchronous=True,
            scheduler_options=self.order["scheduler_options"],
            name=self.order["name"],
            python=self.order["python"],
            # All options of sbatch are ours.
            job_directives_skip=["#SBATCH"],
            job_extra_directives=self.order["directives"],
            processes=1,
            **self.order["job"],
        )

    async def start(self) -> None:
        """Start the scheduler, and submit a job for each worker."""
        await self.cluster
        self.cluster.scale(jobs=len(self.order["workers"]))
        await self.cluster._correct_state()
        if not self.cluster.workers:
            raise ValueError("SLURM has taken no job of a worker")

    async def look_after(self) -> None:
        """Nothing: a job that is lost with its node is begun again by SLURM."""

    async def note_problems(self) -> None:
        """Note how the jobs of workers stand that the scheduler does not know."""
        known = {str(one.name) for one in self.cluster.scheduler.workers.values()}
        jobs = {str(name): str(job.job_id) for name, job in self.cluster.workers.items()}
        missing = {name: job for name, job in jobs.items() if name not in known}
        try:
            rows = await _ask(list(missing.values())) if missing else {}
        except RuntimeError as error:
            logging.warning("%s", error)
            return
        self.problems = {name: f"job {job}: {rows.get(job, 'it has ended')}" for name, job in missing.items()}


async def _ask(jobs: list[str]) -> dict[str, str]:
    printed = await run_outside(
        ["squeue", "--noheader", f"--jobs={','.join(jobs)}", "--format=dask %i %T %r"]
    )
    rows = (line.split(" ", 2) for line in printed.splitlines() if line.startswith("dask "))
    return {row[1]: row[2] for row in rows if len(row) == 3}
