"""Plans: a run that is ready to be submitted."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone

from slipway.host.scratch import Scratch
from slipway.job.inputs import Inputs
from slipway.job.run import Run, new_run_id
from slipway.job.script import Job, directives, render_script
from slipway.job.template import Template
from slipway.quantity import parse_array
from slipway.scheduler.limits import ResourceRequest
from slipway.site import Site
from slipway.tty import terminal_session


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A run that is ready to be submitted.

    Attributes:
        run: its record.
        inputs: what it is made of.
        request: what is asked for; where tasks share jobs, for each of them.
        script: the text of its job script.
        options: the scheduler's options in it.
    """

    run: Run
    inputs: Inputs
    request: ResourceRequest
    script: str
    options: tuple[str, ...]


def make_plan(
    inputs: Inputs,
    request: ResourceRequest,
    site: Site,
    scratch: Scratch,
    template: Template,
    *,
    name: str | None = None,
    run_id: str | None = None,
) -> Plan:
    """The record and the script of a new run.

    Args:
        inputs: what it is made of.
        request: what the scheduler is asked for.
        site: where it is to run.
        scratch: the site's folders.
        template: ``cluster/job.sh`` and its blocks.
        name: a short label for the run.
        run_id: its id, where that was drawn before.
    """
    now = datetime.now(timezone.utc)
    run_id = run_id or new_run_id(inputs.profile, now)
    cache = inputs.profile_values.get("cache")
    job = Job(
        run_id=run_id,
        run_dir=scratch.runs / run_id,
        image=inputs.image.path,
        image_id=inputs.image.image_id,
        code=scratch.code / inputs.code,
        data=scratch.data,
        weights=scratch.weights,
        packed={name: scratch.packed / file for name, file in inputs.packed.items()},
        resources=inputs.bundles.ask(request.resources) if inputs.bundles else request.resources,
        home=bool(inputs.profile_values.get("mount_home")),
        cache=scratch.root / "cache" / cache if cache else None,
        shell=inputs.shell,
        elements=bool(inputs.elements),
        bundles=inputs.bundles,
        tries=tuple(scratch.runs / one for one in inputs.tries),
    )
    array = request.resources.array
    tasks = tuple(parse_array(array)) if array else ()
    run = Run(
        run_id=run_id,
        site=site.name,
        profile=inputs.profile,
        submitted=now,
        program=inputs.program,
        args=inputs.args,
        commit=inputs.revision.commit,
        dirty=inputs.revision.dirty,
        image_id=inputs.image.image_id,
        sif=str(inputs.image.path),
        sif_sha256=inputs.image.sha256,
        code=inputs.code,
        resources=request.resources.model_dump(mode="json"),
        resource_origins=dict(request.origins),
        profile_values=inputs.profile_values,
        site_values=site.model_dump(mode="json"),
        run_dir=str(job.run_dir),
        session=terminal_session(),
        task_indices=tasks,
        name=name,
        parent=inputs.parent,
        shell=inputs.shell.value if inputs.shell else None,
        sweep=inputs.sweep,
        bundles=dict(enumerate(inputs.bundles.jobs)) if inputs.bundles else {},
        minutes=dict(inputs.bundles.minutes) if inputs.bundles else {},
        packed=dict(inputs.packed),
        elements={task: inputs.elements[task].values for task in tasks} if inputs.elements else {},
        tries=inputs.tries,
    )
    script = render_script(job, site, template)
    return Plan(run=run, inputs=inputs, request=request, script=script, options=tuple(directives(job, site)))
