"""A job's program in a container on this machine, and the record of it."""

from __future__ import annotations

import json
import os
import shutil
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from slipway.errors import UsageError
from slipway.image.engine import engine
from slipway.job.ending import merge_status, parse_result
from slipway.job.home import Arrived, Home, now, write_home, write_whole
from slipway.job.inputs import read_code, resolve_inputs
from slipway.job.kept import keep_difference
from slipway.job.record import format_run
from slipway.job.request import Request
from slipway.job.run import LOCAL, Run, new_run_id
from slipway.local.job import ENTRY, Ending, Limits, LocalJob, entry_text, unpack_code
from slipway.local.machine import find_machine
from slipway.local.mounts import LocalFolders, environment, find_mounts
from slipway.local.spec import LocalContainer, container_name
from slipway.profile import Profile
from slipway.push.upload import PushedSif
from slipway.resources import Resources, mebibytes, minutes
from slipway.scheduler.choose import FIELDS
from slipway.scheduler.slurm.site import SlurmSite
from slipway.site import Login, Paths
from slipway.steps.container import find_built
from slipway.steps.session import Session
from slipway.tty import terminal_session

if TYPE_CHECKING:
    from docker import DockerClient

    from slipway.image.engine import Image
    from slipway.job.inputs import Inputs


@dataclass(frozen=True, kw_only=True)
class _Place:
    """Where the files of one run lie."""

    home: Path
    code: Path

    @property
    def attempt(self) -> Path:
        return self.home / "attempt-1"

    @property
    def out(self) -> Path:
        return self.attempt / "out"


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
    """
    project, profile, client = session.project, request.profile, engine()
    image = find_built(client, profile)
    submitted = datetime.now(timezone.utc).replace(microsecond=0)
    run_id = new_run_id(profile.name, submitted)
    place = _Place(home=project.results / run_id, code=project.state / "local" / ".code" / run_id)
    is_done = False
    try:
        session.progress.step(f"Copying the code in {profile.code_dir}")
        code = read_code(project, profile, LOCAL, whole=True)
        pushed = PushedSif(path=PurePosixPath("/"), image_id=image.id, sha256="", size_bytes=0)
        inputs = resolve_inputs(project, request, pushed, code)
        with code.snapshot as snapshot:
            for note in snapshot.notes:
                session.progress.note(note)
            unpack_code(snapshot.package.archive, place.code)
        job = _make_job(session, client, request, image, place, run_id)
        session.progress.step(f"Running {run_id}")
        ending = job.run(place.attempt / "log", on_text)
        is_done = True
    finally:
        shutil.rmtree(place.code, ignore_errors=True)
        if not is_done:
            shutil.rmtree(place.home, ignore_errors=True)
    run = _record(request, inputs, place, run_id, submitted)
    return _end(session, run, place, ending, inputs.revision.diff)


def limits_of(resources: Resources, grace_s: int) -> Limits:
    """What of a request holds here too."""
    return Limits(
        time_s=minutes(resources.time) * 60 if resources.time else None,
        grace_s=grace_s,
        cpus=resources.cpus,
        memory_mib=mebibytes(resources.mem) if resources.mem else None,
    )


def _make_job(
    session: Session, client: DockerClient, request: Request, image: Image, place: _Place, run_id: str
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
    )
    _write_entry(request, place, run_id)
    return LocalJob(client, wanted, limits_of(resources, request.site.grace_s), place.out)


def _write_entry(request: Request, place: _Place, run_id: str) -> None:
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


def _record(request: Request, inputs: Inputs, place: _Place, run_id: str, submitted: datetime) -> Run:
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
        run_dir=str(place.home),
        session=terminal_session(),
        name=request.name,
    )


def _end(session: Session, run: Run, place: _Place, ending: Ending, diff: str | None) -> Run:
    """Write down how it ended, as the job script does it, and that all of it is here."""
    code = ending.exit_code
    result = {
        "run_id": run.run_id,
        "task": None,
        "attempt": 1,
        "exit_code": code,
        "signal": code - 128 if 128 < code <= 192 else None,
        "reason": ending.reason,
        "start": ending.started_s,
        "end": ending.ended_s,
        "node": socket.gethostname(),
        "nodes": 1,
    }
    text = json.dumps(result) + "\n"
    write_whole(place.attempt / "result.json", text)
    files = {
        path.relative_to(place.home).as_posix(): Arrived(size_bytes=path.stat().st_size)
        for path in place.home.rglob("*")
        if path.is_file() and not path.is_symlink()
    }
    ended = replace(run, status=merge_status(None, parse_result(text)))
    write_whole(place.home / "run.json", format_run(ended))
    with suppress(OSError):  # Windows lets not everybody.
        (place.home / "out").symlink_to("attempt-1/out")
    write_home(Home(folder=place.home, is_complete=True, brought=now(), files=files))
    session.store.save(ended)
    keep_difference(session.project.state, ended, diff)
    return ended


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
