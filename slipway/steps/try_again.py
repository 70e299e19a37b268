"""Steps that submit tasks of a run once more, with what they were made of, and other resources."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from itertools import groupby
from pathlib import PurePosixPath

from slipway.errors import JobError, SlipwayError
from slipway.host.host import Host
from slipway.host.scratch import Scratch
from slipway.job.elements import Element, ElementFiles
from slipway.job.inputs import Inputs
from slipway.job.kept import keep_difference, recall_difference
from slipway.job.replay import Replay, find_words, read_file, replay_inputs
from slipway.job.replay_request import ask_again
from slipway.job.run import Run, RunPaths, new_run_id
from slipway.job.submission_lock import TOO_LATE, give_up_command
from slipway.monitor.claim import make_claims, write_down
from slipway.notify.target import Target
from slipway.push.upload import PushedSif
from slipway.resources import Resources
from slipway.scheduler.automatic import settle_partition
from slipway.scheduler.choose import parse_resources
from slipway.scheduler.find import find_scheduler
from slipway.scheduler.limits import ResourceRequest, check_partition
from slipway.site import Site
from slipway.steps.bring_back import find_code, find_image
from slipway.steps.session import Session
from slipway.steps.submit import Push, keep_notify

# A claim that was not used within this time, such as that of a laptop that slept, is given up.
_SOON_S = 60.0
_EXCLUDE = "--exclude="
# Tasks of one new run: their numbers stand in one option.
MOST_TASKS = 500


@dataclass(frozen=True, kw_only=True)
class Again:
    """Tasks of one run that are to be submitted again.

    Attributes:
        run: the run.
        claims: the number of the claim of each task's next try; ``None`` is a run without tasks.
        changes: what is asked for otherwise, by the names of resources.
        exclude: nodes that they are kept from.
        asked: what somebody asks for otherwise, on a command line.
        notify: who is told of its end from this machine; ``None`` for those whom the profile names.
    """

    run: Run
    claims: Mapping[int | None, int]
    changes: Mapping[str, str] = field(default_factory=dict)
    exclude: tuple[str, ...] = ()
    asked: Resources | None = None
    notify: tuple[Target, ...] | None = None


def try_again(session: Session, again: Again, site: Site, host: Host, scratch: Scratch) -> Run | None:
    """Submit tasks of a run again, as one new run in which they have the same numbers.

    What the program wrote in its last try is there as ``/previous``.

    Returns:
        The new run, with the tasks that nobody else has claimed meanwhile; ``None`` where that is none.

    Raises:
        JobError: what the run was made of is not there (any more), or the request was refused.
        ImageError: its image is not there.
        RemoteError: whether it was submitted is not known; whoever looks next finds it out.
        SshError: the connection was lost; likewise.
    """
    from slipway.job.plan import make_plan
    from slipway.job.submit import submit_plan
    from slipway.job.template import load_template

    run = again.run
    with ExitStack() as stack:
        inputs = _inputs(session, again, site, host, scratch, stack)
        check = settle_partition(host, check_again(again, site), site, "start", session.progress)
        find_scheduler(site.scheduler).check(host, check, site, session.progress)
        new_id, began = new_run_id(run.profile, datetime.now(timezone.utc)), time.time()
        tasks = make_claims(host, scratch, run.run_id, again.claims, new_id)
        if not tasks:
            return None
        template = load_template(session.project.share / "cluster")
        request = _request(again, site, tasks, check)
        plan = make_plan(inputs, request, site, scratch, template, name=run.name, run_id=new_id)
        try:
            if time.time() - began > _SOON_S:
                raise JobError(f"{new_id} was claimed too long ago to be submitted now")
            new = submit_plan(plan, host, session.store, session.progress)
        except SlipwayError:
            if not session.store.has(plan.run):
                give_up(host, scratch, run.run_id, new_id)
            raise
    write_down(host, scratch, run.run_id, [new.run_id], is_submitted=True)
    keep_difference(session.project.state, new, inputs.revision.diff)
    keep_notify(session, new, _of_profile(session, run) if again.notify is None else again.notify)
    return new


def check_again(again: Again, site: Site) -> ResourceRequest:
    """What tasks would ask for that are submitted again. Nobody is asked.

    Raises:
        JobError: they would never start, as far as that is known here.
    """
    request = _request(again, site, [*again.claims])
    check_partition(request, site)
    return request


def give_up(host: Host, scratch: Scratch, run_id: str, new_id: str) -> bool:
    """Make sure that a claimed run will never be submitted; false where it may have been.

    Raises:
        SshError: the connection was lost.
    """
    if host.run(give_up_command(scratch.runs / new_id)).exit_code == TOO_LATE:
        return False
    write_down(host, scratch, run_id, [new_id], is_submitted=False)
    return True


def _of_profile(session: Session, run: Run) -> list[Target]:
    """Whom a run's profile names today; a mail is an option of its job, which the new one has as well."""
    try:
        targets = session.profile(run.profile).notify
    except SlipwayError:  # The profile is gone, or somebody is just writing it.
        return []
    return [target for target in targets if target.kind != "mail"]


def _inputs(
    session: Session, again: Again, site: Site, host: Host, scratch: Scratch, stack: ExitStack
) -> Inputs:
    """What the run was made of, all of it on the cluster."""
    run, project = again.run, session.project
    replay = Replay(
        run=run,
        site=site,
        resource_request=_request(again, site, [*again.claims]),
        profile_values=dict(run.profile_values),
        # Those of elements are in files of their own.
        program=run.program if run.elements else None,
        args=run.args if run.elements else None,
    )
    words = find_words(host, replay, dict, project.key)
    diff = recall_difference(project.state, project.results, run)
    bring_code = find_code(session, replay, host, scratch, diff, stack)
    image: PushedSif = find_image(session, replay, host, scratch, Push.NEVER)()
    bring_code()
    inputs = replay_inputs(replay, words, image, diff, project.key)
    # The same versions of packed data; where one is gone, the run's folder is not made.
    inputs = replace(inputs, sweep=run.sweep, tries=(*run.tries, run.run_id), packed=dict(run.packed))
    if not run.elements:
        return inputs
    names = RunPaths(PurePosixPath())
    content, index = (read_file(host, replay, str(path)) for path in (names.elements, names.elements_index))
    if content is None or index is None:
        raise JobError(f"{host.target}:{run.run_dir}: the words of its elements are not there (any more)")
    elements = tuple(
        Element(values=run.elements.get(task, {}), args=()) for task in range(max(run.elements) + 1)
    )
    return replace(inputs, elements=elements, element_files=ElementFiles(words=content, index=index))


def _request(
    again: Again, site: Site, tasks: Sequence[int | None], settled: ResourceRequest | None = None
) -> ResourceRequest:
    run, words = again.run, dict[str, str | None](again.changes)
    numbers = sorted(task for task in tasks if task is not None)
    if numbers:
        if own := [run.minutes[task] for task in numbers if task in run.minutes]:
            words.setdefault("time", str(max(own)))
        throttle = str(run.resources.get("array") or "").partition("%")[2]
        words["array"] = ranges(numbers) + (f"%{throttle}" if throttle else "")
    wanted = parse_resources(words, _with_own(run, again.exclude))
    request, _ = ask_again(run, site, None, (), again.asked.over(wanted) if again.asked else wanted)
    if settled is None or not request.is_auto:
        return request
    partition = settled.resources.partition
    return replace(
        request,
        resources=request.resources.model_copy(update={"partition": partition}),
        origins=settled.origins,
    )


def _with_own(run: Run, exclude: Sequence[str]) -> list[str]:
    """The option that excludes nodes, also those that the run had excluded: the last one counts alone.

    Only SLURM has one.
    """
    if not exclude or run.scheduler != "slurm":
        return []
    options = run.resources.get("sbatch")
    own = [str(one).removeprefix(_EXCLUDE) for one in options or () if str(one).startswith(_EXCLUDE)]
    return [f"{_EXCLUDE}{','.join(dict.fromkeys([*own, *exclude]))}"]


def ranges(numbers: Sequence[int]) -> str:
    """Numbers in order as ``--array`` has them: ``0-3,7``."""
    parts = []
    for _, group in groupby(enumerate(numbers), key=lambda pair: pair[1] - pair[0]):
        some = [number for _, number in group]
        parts.append(str(some[0]) if len(some) == 1 else f"{some[0]}-{some[-1]}")
    return ",".join(parts)
