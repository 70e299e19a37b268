"""Submission: from a profile, a site and arguments to a job that SLURM has accepted."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import PurePosixPath
from typing import Any

from slipway.bulk import parse_limit
from slipway.checkout import Revision, find_revision
from slipway.depot import Depot, send_code
from slipway.errors import JobError, LinkError
from slipway.job import Job, check_partition, render_script, words_file
from slipway.link import Link
from slipway.loginshell import login_command, parse_login
from slipway.profile import Profile, Resources
from slipway.progress import Progress
from slipway.project import Project
from slipway.push import PushedSif, find_pushed
from slipway.run import Run, RunPaths, RunStore, Status, new_run_id
from slipway.site import Site
from slipway.slurm import JobState, parse_submitted, submit_command
from slipway.snapshot import Snapshot, take_snapshot

_SECRET = re.compile(r"KEY|TOKEN|SECRET|PASS|CREDENTIAL", re.I)


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a user asks for: the program's arguments, and resources that go before all defaults."""

    profile: Profile
    site: Site
    args: tuple[str, ...]
    resources: Resources


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A run that is ready to be submitted: its record, its script, and where its code will be."""

    run: Run
    script: str
    revision: Revision


def preview(project: Project, request: Request, link: Link, depot: Depot) -> str:
    """The script that :func:`submit` would submit; nothing is sent or written."""
    link.require_commands()
    with _snapshot(project, request) as snapshot:
        return _plan(project, request, link, depot, snapshot).script


def submit(project: Project, request: Request, link: Link, depot: Depot, progress: Progress) -> Run:
    """Send the code, write the run's record, and submit its job.

    The record is written before ``sbatch`` is called, and the job bears the run's name. So if the answer does
    not come back, the job is found by its name, and is not submitted twice.

    Raises:
        JobError: the image was never pushed, the site's file rules the request out, or SLURM refused it.
        LinkError: the connection was lost.
        TransferOnlyError: the host runs no commands.
    """
    link.require_commands()
    store = RunStore(project.state / "runs")
    with _snapshot(project, request) as snapshot:
        for note in snapshot.notes:
            progress.note(note)
        plan = _plan(project, request, link, depot, snapshot)
        send_code(link, depot, snapshot, progress)
    store.save(plan.run)
    _write_run(link, plan, request)
    _check_image(link, plan.run, store)
    progress.step(f"Submitting {plan.run.run_id}")
    run = _sbatch(link, plan.run, store)
    store.save(run)
    link.write(RunPaths(PurePosixPath(run.run_dir)).record, run.to_json().encode())
    return run


def _snapshot(project: Project, request: Request) -> Any:
    profile = request.profile
    limit = parse_limit(profile.code_limit) if profile.code_limit else None
    return take_snapshot(project.root / profile.code_dir, project.state / "tmp", limit=limit)


def _plan(project: Project, request: Request, link: Link, depot: Depot, snapshot: Snapshot) -> Plan:
    profile, site = request.profile, request.site
    wanted = request.resources.over(profile.resources).over(site.defaults)
    check_partition(wanted, site)
    pushed = _pushed(link, depot, request)
    now = datetime.now(timezone.utc).replace(microsecond=0)
    run_id = new_run_id(profile.name, now)
    job = Job(
        run_id=run_id,
        run_dir=depot.runs / run_id,
        image=pushed.path,
        code=depot.code / snapshot.tree,
        data=depot.data,
        weights=depot.weights,
        resources=wanted,
    )
    revision = find_revision(project.root / profile.code_dir)
    run = Run(
        run_id=run_id,
        site=site.name,
        profile=profile.name,
        submitted=now,
        program=profile.program,
        args=request.args,
        commit=revision.commit,
        dirty=revision.dirty,
        image_id=pushed.image_id,
        sif=str(pushed.path),
        sif_sha256=pushed.sha256,
        code=snapshot.tree,
        resources=wanted.model_dump(),
        profile_values={
            **profile.model_dump(mode="json", exclude={"build_args"}),
            "environment": _masked(profile.environment),
        },
        site_values=site.model_dump(mode="json"),
        run_dir=str(job.run_dir),
    )
    template = (project.sites / "job.sh").read_text(encoding="utf-8")
    return Plan(run=run, script=render_script(job, site, template), revision=revision)


def _pushed(link: Link, depot: Depot, request: Request) -> PushedSif:
    pushed = find_pushed(link, depot, request.profile.image)
    if pushed is None:
        flags = f"--profile {request.profile.name} --site {request.site.name}"
        raise JobError(
            f"{request.site.name} has no image {request.profile.image} in {depot.images}; "
            f"`invoke push {flags}` brings it there"
        )
    return pushed


def _masked(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: "***" if _SECRET.search(name) else value for name, value in environment.items()}


def _write_run(link: Link, plan: Plan, request: Request) -> None:
    paths = RunPaths(PurePosixPath(plan.run.run_dir))
    # To make the folder is to claim the run: the second of two would fail. Others may not read the arguments.
    link.check(["mkdir", "-m", "700", "--", str(paths.folder)])
    environment = [f"{name}={value}" for name, value in sorted(request.profile.environment.items())]
    link.write(paths.argv, words_file([*plan.run.program, *plan.run.args]))
    link.write(paths.environment, words_file(environment))
    link.write(paths.script, plan.script.encode())
    link.write(paths.record, plan.run.to_json().encode())
    if plan.revision.diff is not None:
        link.write(paths.diff, plan.revision.diff.encode("utf-8", errors="surrogateescape"))


def _check_image(link: Link, run: Run, store: RunStore) -> None:
    # Whoever removes images looks at the records first; this one was written too late for them.
    if link.size(PurePosixPath(run.sif)) is not None:
        return
    link.run(["rm", "-rf", "--", run.run_dir])
    store.forget(run)
    raise JobError(
        f"{link.target}:{run.sif}: the image has been removed just now; nothing was submitted. Push it again"
    )


def _sbatch(link: Link, run: Run, store: RunStore) -> Run:
    command = submit_command(RunPaths(PurePosixPath(run.run_dir)).script)
    try:
        result = link.run(login_command(command), timeout_s=120)
    except LinkError as error:
        raise LinkError(
            f"{error}\n  Whether SLURM has accepted {run.run_id} is not known; `invoke status` finds out. "
            "Do not submit it again before that"
        ) from error
    if not result.ok:
        link.run(["rm", "-rf", "--", run.run_dir])
        store.forget(run)
        raise JobError(f"{link.target}: SLURM refused the job: {_words(result.stderr)}")
    job_id = parse_submitted(parse_login(result.stdout))
    return replace(run, job_id=job_id, status=Status(state=JobState.PENDING))


def _words(stderr: str) -> str:
    lines: Sequence[str] = [
        line.removeprefix("sbatch: ").removeprefix("error: ") for line in stderr.splitlines()
    ]
    return "; ".join(line for line in lines if line.strip()) or "it gave no reason"
