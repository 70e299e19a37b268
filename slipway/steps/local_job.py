"""A job's program in a container on this machine, and the record of it."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, NoReturn

from slipway.errors import SlipwayError, UsageError
from slipway.image.engine import engine
from slipway.image.inputs import explain_stale_here
from slipway.job.input import named_datasets
from slipway.job.inputs import read_code, resolve_inputs
from slipway.job.request import Request
from slipway.job.run import LOCAL, Run, Status, new_run_id
from slipway.local.container import remove_of_run
from slipway.local.job import ENTRY, Ending, Limits, LocalJob, entry_text, unpack_code
from slipway.local.machine import find_machine
from slipway.local.mounts import DATA, LocalFolders, environment, find_mounts
from slipway.local.spec import RUN, LocalContainer, container_name
from slipway.profile import Profile
from slipway.project import Project
from slipway.push.upload import PushedSif
from slipway.quantity import mebibytes, minutes
from slipway.resources import Resources
from slipway.scheduler.base import State
from slipway.scheduler.choose import FIELDS
from slipway.scheduler.slurm.site import SlurmSite
from slipway.signals import asked_to_end
from slipway.site import Login, Paths
from slipway.steps.container import find_built
from slipway.steps.engine_image import refuse_definition
from slipway.steps.local_runs import Place, end_here, end_left, sweep
from slipway.steps.session import Session
from slipway.tty import terminal_session

if TYPE_CHECKING:
    from docker import DockerClient

    from slipway.image.engine import Image
    from slipway.job.inputs import Code, Inputs


def make_local_request(
    profile: Profile, args: tuple[str, ...], resources: Resources, name: str | None
) -> Request:
    """What a user asks for who wants a job's program run here.

    Raises:
        UsageError: there is no program.
    """
    # Of a site there is nothing but its name.
    site = SlurmSite(
        name=LOCAL, login=Login(host="localhost"), scheduler="slurm", paths=Paths(scratch="/", home="/")
    )
    # What the profile asks a cluster for is nothing to this machine, but for GPUs.
    own = profile.model_copy(update={"resources": FIELDS(gpus=profile.resources.gpus)})
    return Request(profile=own, site=site, args=args, resources=resources, name=name)


def run_here(session: Session, request: Request, on_text: Callable[[str], None]) -> Run:
    """Run a job's program to its end; what it leaves is in the folder of results.

    Args:
        session: the checkout's.
        request: what is asked for.
        on_text: is given what the program prints.

    Returns:
        The run as it ended, written down.

    Raises:
        ImageError: the profile's image was not built.
        EngineError: the engine does not start it; nothing is left of it.
        KeyboardInterrupt: somebody has ended it before it started; nothing is left of it.
    """
    refuse_definition(request.profile, "`invoke job --local`")
    sweep(session)
    project, profile, client = session.project, request.profile, engine()
    image = find_built(client, profile)
    if stale := explain_stale_here(project, profile, image):
        session.progress.note(stale)
    submitted = datetime.now(timezone.utc)
    run_id = new_run_id(profile.name, submitted)
    with asked_to_end(_interrupt):
        session.progress.step(f"Copying the code in {profile.code_dir}")
        code = read_code(project, profile, LOCAL, whole=True)
        pushed = PushedSif(path=PurePosixPath("/"), image_id=image.id, sha256="", size_bytes=0)
        inputs = resolve_inputs(project, request, pushed, code)
        run = _record(request, inputs, project, run_id, submitted)
        # The lock shows others that this command is at it, and is gone with it, however it ends.
        with session.store.submitting(run):
            ending = _run(session, client, request, image, run, code, on_text)
            return end_here(session, run, ending, diff=inputs.revision.diff)


def _run(
    session: Session,
    client: DockerClient,
    request: Request,
    image: Image,
    run: Run,
    code: Code,
    on_text: Callable[[str], None],
) -> Ending:
    """Run the program of a run that is written down; where it does not start, nothing is left of that."""
    place, job = Place.of(session.project, run.run_id), None
    try:
        with code.snapshot as snapshot:
            for note in snapshot.notes:
                session.progress.note(note)
            unpack_code(snapshot.package.archive, place.code)
        job = _make_job(session, client, request, image, place, run.run_id)
        session.progress.step(f"Running {run.run_id}")
        return job.run(place.log, on_text)
    except BaseException:
        if job is not None and job.has_started:
            end_left(session, run)
        else:
            with suppress(SlipwayError):
                remove_of_run(client, run.run_id)
            session.store.forget(run)
            shutil.rmtree(place.home, ignore_errors=True)
        raise
    finally:
        shutil.rmtree(place.code, ignore_errors=True)
        place.wish.unlink(missing_ok=True)


def _interrupt(*_: object) -> NoReturn:
    """As Ctrl-C: the program is told to end, and its end is written down."""
    raise KeyboardInterrupt


def limits_of(resources: Resources, grace_s: int) -> Limits:
    """What of a request holds here too."""
    return Limits(
        time_s=minutes(resources.time) * 60 if resources.time else None,
        grace_s=grace_s,
        cpus=resources.cpus,
        memory_mib=mebibytes(resources.mem) if resources.mem else None,
    )


def _make_job(
    session: Session, client: DockerClient, request: Request, image: Image, place: Place, run_id: str
) -> LocalJob:
    project, profile = session.project, request.profile
    resources = request.resource_request.resources
    folders = LocalFolders(project.state, profile.name)
    machine = find_machine(client, folders.folder, session.progress.note, x11=profile.x11)
    if not resources.gpu_count:
        machine = replace(machine, gpus=None)
    elif machine.gpus is None:
        session.progress.note("This machine's engine has no GPUs to give; the program has none")
    mounts = find_mounts(profile, project.root, folders, machine, code=place.code, out=place.out)
    for note in missing_data(request.args, next(one.here for one in mounts if one.there == DATA)):
        session.progress.note(note)
    # ENV_… may be any bytes, which the engine does not take.
    plain = profile.model_copy(update={"environment": {}, "ports": ()})
    wanted = LocalContainer(
        name=container_name(project.state, profile.name, f"-{run_id[:4]}"),
        profile=plain,
        image=image,
        mounts=mounts,
        environment=environment(plain, machine),
        machine=machine,
        state=project.state,
        labels={RUN: run_id},
    )
    _write_entry(request, place, run_id)
    limits = limits_of(resources, request.site.grace_s)
    return LocalJob(client, wanted, limits, place.out, place.wish.exists)


def missing_data(args: Sequence[str], data: Path) -> Iterator[str]:
    """A note for each dataset that arguments name and that is not in the folder that is seen as ``/data``."""
    for name in named_datasets(args):
        if not (data / name).exists():
            yield (
                f"/data has no {name!r} here, which the program's arguments name. What was staged is on the "
                "cluster; here /data is the profile's DATA_DIR, else data/ of the project"
            )


def _write_entry(request: Request, place: Place, run_id: str) -> None:
    profile, cpus = request.profile, request.resource_request.resources.cpus
    settings: Mapping[str, str] = {
        "OMP_NUM_THREADS": str(cpus or os.cpu_count() or 1),
        **profile.environment,
        "SLIPWAY_RUN": run_id,
        "SLIPWAY_ATTEMPT": "1",
        "SLIPWAY_OUT": "/out",
    }
    descriptor = os.open(place.out / ENTRY, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(entry_text([*profile.program, *request.args], settings))


def _record(request: Request, inputs: Inputs, project: Project, run_id: str, submitted: datetime) -> Run:
    return Run(
        run_id=run_id,
        site=LOCAL,
        profile=inputs.profile,
        submitted=submitted,
        program=inputs.program,
        args=inputs.args,
        commit=inputs.revision.commit,
        dirty=inputs.revision.dirty,
        image_id=inputs.image.image_id,
        sif=request.profile.image,
        sif_sha256="",
        code=inputs.code,
        resources=request.resource_request.resources.model_dump(mode="json"),
        resource_origins=dict(request.resource_request.origins),
        profile_values=inputs.profile_values,
        site_values={},
        run_dir=str(Place.of(project, run_id).home),
        session=terminal_session(),
        name=request.name,
        status=Status(state=State.RUNNING, started_s=int(submitted.timestamp()), node=socket.gethostname()),
    )


def refuse_others(values: Mapping[str, object]) -> None:
    """Refuse options that only a cluster has an answer to.

    Raises:
        UsageError: there is one.
    """
    given = [f"--{name.replace('_', '-')}" for name, value in values.items() if value]
    if given:
        raise UsageError(
            f"--local runs the program on this machine, which has no {', '.join(given)}; leave it out. "
            "--time, --cpus, --mem, --gpus and --name go with it"
        )
