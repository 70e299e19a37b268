"""Submission: from a profile, a site and arguments to a job that its scheduler has accepted."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import PurePosixPath

from slipway.code.package import pack_files
from slipway.code.snapshot import Snapshot
from slipway.code.upload import code_step, explain_unpacked, is_made, remember_sent, send_code
from slipway.errors import DataError, JobError, ParseError, RemoteError, SlipwayError, SshError
from slipway.host.host import Host
from slipway.host.open_shell import Step
from slipway.host.scratch import Scratch
from slipway.job.bundle_request import job_request, task_request
from slipway.job.input import StagedData, look_for_data
from slipway.job.inputs import Code, find_image, read_code, resolve_inputs
from slipway.job.kept import keep_difference, keep_tree
from slipway.job.plan import Plan, make_plan
from slipway.job.poll import poll
from slipway.job.record import format_run
from slipway.job.request import NOTHING_SUBMITTED, Request
from slipway.job.run import Reason, Run, RunPaths, Status
from slipway.job.store import RunStore
from slipway.job.submission_lock import (
    NO_CODE,
    NO_DATA,
    NO_IMAGE,
    NOT_MADE,
    TOO_LATE,
    give_up_command,
    locked_submit_command,
    make_run_command,
    parse_answer,
)
from slipway.job.template import load_template
from slipway.progress import Progress, explain_stop
from slipway.project import Project
from slipway.push.upload import PushedSif, newest_image
from slipway.runtime.choose import find_runtime
from slipway.scheduler.automatic import settle_partition, without_auto
from slipway.scheduler.base import State, Submission
from slipway.scheduler.find import find_scheduler
from slipway.scheduler.limits import ResourceRequest
from slipway.shell import Result

_LITTLE_BYTES = 1_000_000
_NEVER = "it was never submitted: "
AUTO_REMARK = "Nor is the partition: --partition auto asks the cluster where the job begins first."


def preview(project: Project, request: Request) -> str:
    """The script that :func:`submit` would submit, as far as it is known here, and the program's own words.

    Paths have the site's variables as they are written, and the image is the newest that there will be.
    """
    scratch = Scratch(root=PurePosixPath(request.site.paths.scratch) / "slipway")
    form = find_runtime(request.site.container.command).form
    newest = newest_image(scratch, request.profile.image, form)
    image = PushedSif(path=newest, image_id="", sha256="", size_bytes=0)
    code = read_code(project, request.profile, request.site.name)
    wanted = without_auto(request.resource_request)
    with code.snapshot:
        plan = _plan(project, request, wanted, scratch, code, image)
    remarks = [
        f"Not known before the job is submitted: the run's id, which image {newest.name} is then (the script",
        "names that one), which data are packed there, and what variables of the site's paths are there.",
        *([AUTO_REMARK] if request.resource_request.is_auto else []),
    ]
    return with_remarks(plan, sorted(request.profile.environment), remarks)


def with_remarks(plan: Plan, environment: Sequence[str], remarks: Sequence[str]) -> str:
    """A plan's script, with the program's own words and other remarks behind it, as comments."""
    words = [
        f"argv, the program and its arguments: {shlex.join([*plan.run.program, *plan.run.args])}",
        f"environment, ENV_… of the profile: {' '.join(environment) or 'nothing'}",
    ]
    # A word may have newlines, and what is behind them is no command.
    lines = (line for remark in (*words, *remarks) for line in remark.split("\n"))
    return plan.script + "".join(f"# {line}\n" for line in lines)


def submit(
    project: Project,
    request: Request,
    host: Host,
    scratch: Scratch,
    progress: Progress,
    *,
    image: PushedSif | None = None,
    code: Code | None = None,
) -> Run:
    """Send the code, and submit a job with the profile's image, code and environment as they are now.

    With ``image``, that of the site is known already, and not looked for; with ``code``, that of the profile.

    Raises:
        ImageError: the image was never pushed.
        JobError: the request would never start, or the scheduler refused it.
        SshError: the connection was lost.
        TransferOnlyError: the host runs no commands.
    """
    [run] = submit_all(project, [request], host, scratch, progress, image=image, code=code)
    return run


def submit_all(
    project: Project,
    requests: Sequence[Request],
    host: Host,
    scratch: Scratch,
    progress: Progress,
    *,
    image: PushedSif | None = None,
    code: Code | None = None,
    on_plans: Callable[[Sequence[Run]], None] = lambda runs: None,
) -> Iterator[Run]:
    """The same for several requests of one profile and site: all are checked before the first is submitted.

    Each run is yielded once its job is accepted. Before that, ``on_plans`` is told all of them.
    """
    host.require_commands()
    first = requests[0]
    code = code or read_code(project, first.profile, first.site.name)
    with explain_stop(NOTHING_SUBMITTED), code.snapshot as snapshot:
        for note in snapshot.notes:
            progress.note(note)
        image = image or find_image(host, scratch, first.profile, first.site)
        programs = [args for request in requests for args in request.programs]
        data = look_for_data(host, scratch, programs)
        plans = [
            _checked_plan(project, request, host, scratch, progress, code, image, data)
            for request in requests
        ]
        for note in data.missing(programs):
            progress.note(note)
        sending = None
        if len(plans) == 1 and snapshot.package.size_bytes <= _LITTLE_BYTES:
            sending = _Sending.read(project, first, host, scratch, snapshot, progress)
        else:
            _send_code(project, first, host, scratch, snapshot, progress)
        on_plans([plan.run for plan in plans])
    for plan in plans:
        run = submit_plan(plan, host, RunStore(project.state / "runs"), progress, sending)
        keep_tree(project.state, snapshot.tree)
        keep_difference(project.state, run, plan.inputs.revision.diff)
        yield run


def _checked_plan(
    project: Project,
    request: Request,
    host: Host,
    scratch: Scratch,
    progress: Progress,
    code: Code,
    image: PushedSif,
    data: StagedData,
) -> Plan:
    site, profile = request.site, request.profile
    asked = request.job_request
    settled = settle_partition(host, asked, site, request.prefer or "start", progress)
    wanted = task_request(request.resource_request, settled)
    packed = data.choose(request.programs, [*profile.program, *profile.environment.values()])
    plan = _plan(project, request, wanted, scratch, code, image, packed)
    find_scheduler(site.scheduler).check(host, settled, site, progress)
    return plan


def submit_plan(
    plan: Plan, host: Host, store: RunStore, progress: Progress, sending: _Sending | None = None
) -> Run:
    """Write the run's record, and submit its job; image and code are on the cluster.

    With ``sending``, the code is not there yet: it goes in the same round trip as the run's files.

    The record is written before the job is submitted, and the job bears the run's name. So if the answer does
    not come back, the job is found by its name, and is not submitted twice.

    Raises:
        JobError: the scheduler refused it.
        SshError: the connection was lost.
    """
    with store.submitting(plan.run):
        with explain_stop(NOTHING_SUBMITTED):
            _make_run(host, plan, store, sending)
        progress.step(f"Submitting {plan.run.run_id}")
        run = _submit(host, plan, store, progress)
        store.save(run)
    # The record there lacks no more than the job's id: a connection that is cut now does not undo the job.
    with suppress(SshError):
        _write_record(host, run)
    return run


def _plan(
    project: Project,
    request: Request,
    wanted: ResourceRequest,
    scratch: Scratch,
    code: Code,
    image: PushedSif,
    packed: Mapping[str, str] | None = None,
) -> Plan:
    inputs = resolve_inputs(project, request, image, code, packed)
    template = load_template(project.share / "cluster")
    return make_plan(inputs, wanted, request.site, scratch, template, name=request.name)


@dataclass(frozen=True, kw_only=True)
class _Sending:
    """A little code that is not sent yet: what is sent, and what is done where that does not serve."""

    step: Step
    is_made: Callable[[Result], bool]
    send_whole: Callable[[], None]
    remember: Callable[[], None]

    @classmethod
    def read(
        cls,
        project: Project,
        request: Request,
        host: Host,
        scratch: Scratch,
        snapshot: Snapshot,
        progress: Progress,
    ) -> _Sending:
        """Of a snapshot, whose copy is read now."""
        step = code_step(scratch, snapshot, progress)
        return cls(
            step=replace(step, stdin=[b"".join(step.stdin)]),
            is_made=partial(is_made, host, scratch, snapshot),
            send_whole=partial(_send_whole, project, request, host, scratch, snapshot, progress),
            remember=partial(_remember, project, request, snapshot),
        )


def _send_code(
    project: Project, request: Request, host: Host, scratch: Scratch, snapshot: Snapshot, progress: Progress
) -> None:
    """Have the snapshot's tree there.

    Raises:
        DataError: the code folder has changed, and what was kept of it was not enough.
    """
    # A little is sent more quickly than it is asked for.
    much = snapshot.package.size_bytes > _LITTLE_BYTES
    if much and host.is_folder(scratch.code / snapshot.tree.name):
        return
    if not send_code(host, scratch, snapshot, progress):
        _send_whole(project, request, host, scratch, snapshot, progress)
    _remember(project, request, snapshot)


def _send_whole(
    project: Project, request: Request, host: Host, scratch: Scratch, snapshot: Snapshot, progress: Progress
) -> None:
    with read_code(project, request.profile, request.site.name, whole=True).snapshot as whole:
        if whole.tree.name != snapshot.tree.name:
            raise DataError(f"{request.profile.code_dir} was changed before all of it was sent; submit again")
        send_code(host, scratch, whole, progress)


def _remember(project: Project, request: Request, snapshot: Snapshot) -> None:
    remember_sent(project.state, request.site.name, request.profile.code_dir, snapshot.tree)


def settle(host: Host, run: Run) -> Run:
    """Decide about a run that has no job id, no scheduler knows, and nobody here is submitting.

    Either ``sbatch`` has answered, or is still at it, or it is made sure here that it will never be called.
    What a run that was not submitted has left on the cluster is removed.

    Returns:
        The run: pending, failed as it was never submitted, or as it was where ``sbatch`` may be at it.

    Raises:
        SshError: the connection was lost.
    """
    folder = PurePosixPath(run.run_dir)
    content = host.read(RunPaths(folder).answer)
    if content is None:
        given_up = host.run(give_up_command(folder))
        if given_up.exit_code != TOO_LATE:
            return _not_submitted(run, "the command that was to do it ended before")
        # It may have answered between the two questions.
        content = host.read(RunPaths(folder).answer)
    scheduler = find_scheduler(run.scheduler)
    submission = Submission()
    if content is not None:
        try:
            answer = parse_answer(content.decode("utf-8", errors="replace"))
            submission = scheduler.read_submission(answer.exit_code, answer.stdout, answer.stderr)
        except ParseError as error:
            where = f"{host.target}:{RunPaths(folder).answer}"
            return replace(run, status=Status(state=State.UNKNOWN, note=f"{where}: {error}"))
    if submission.job_id is not None:
        return _accepted(run, submission.job_id)
    # sbatch also fails where the controller is too busy to answer; the job may be there all the same.
    again = poll(host, [run])[0]
    if again.status.state is State.UNKNOWN:
        return again
    if again.job_id is not None and not (submission.refusal and _never_began(again.status)):
        return again
    if submission.refusal:
        host.run(["rm", "-rf", "--", run.run_dir])
        return _not_submitted(run, f"{scheduler.title} refused the job: {submission.refusal}")
    if _locked_s(host, folder) > scheduler.lost_s:
        return _not_submitted(
            run, f"the submission did not end, and {scheduler.title} knows no job of this name"
        )
    return replace(
        run, status=Status(state=State.SUBMITTING, note="the submission has not been answered yet")
    )


def _accepted(run: Run, job_id: str) -> Run:
    return replace(run, job_id=job_id, status=Status(state=State.PENDING))


def _never_began(status: Status) -> bool:
    # Of a job that no node can run, accounting keeps a record, as of one that failed after no time.
    return status.state is State.FAILED and status.script_reason is None and not status.elapsed_s


def _not_submitted(run: Run, why: str) -> Run:
    status = Status(state=State.FAILED, reason=Reason.LAUNCH_FAILURE.value, note=f"{_NEVER}{why}")
    return replace(run, status=status)


def _locked_s(host: Host, folder: PurePosixPath) -> int:
    """For how many seconds the run has been claimed, by the cluster's own clocks."""
    age = 'echo $(($(date +%s) - $(stat -c %Y -- "$1")))'
    return int(host.check(["sh", "-c", age, "slipway", str(RunPaths(folder).claim)]).stdout)


def _run_files(plan: Plan) -> dict[str, bytes]:
    """The files of a run by name, the job script last."""
    paths, diff = RunPaths(PurePosixPath()), plan.inputs.revision.diff
    words = plan.inputs.element_files
    files = {
        paths.argv: plan.inputs.argv if words is None else None,
        paths.elements: None if words is None else words.words,
        paths.elements_index: None if words is None else words.index,
        paths.bundles: plan.inputs.bundles.file() if plan.inputs.bundles else None,
        paths.environment: plan.inputs.environment,
        paths.diff: None if diff is None else diff.encode("utf-8", errors="surrogateescape"),
        paths.record: format_run(plan.run).encode(),
        paths.script: plan.script.encode(),
    }
    return {str(path): content for path, content in files.items() if content is not None}


def _write_record(host: Host, run: Run) -> None:
    record, content = RunPaths(PurePosixPath(run.run_dir)).record, format_run(run).encode()
    # The line may be cut, and then the record ends early, as if that were all of it.
    script = 'cat >"$1.part" && [ "$(wc -c <"$1.part")" -eq "$2" ] && mv -f -- "$1.part" "$1"'
    argv = ["sh", "-c", script, "slipway", str(record), str(len(content))]
    host.run_in_login_shell(argv, stdin=[content], stdin_bytes=len(content))


def _make_run(host: Host, plan: Plan, store: RunStore, sending: _Sending | None) -> None:
    run, files = plan.run, _run_files(plan)
    archive = pack_files(files)
    folder = PurePosixPath(run.run_dir)
    scratch = Scratch.of_run(folder)
    packed = [scratch.packed / file for file in run.packed.values()]
    command = make_run_command(folder, [*files][-1], PurePosixPath(run.sif), scratch.code / run.code, packed)
    step = Step(argv=command, stdin=[archive], stdin_bytes=len(archive))
    # Where the connection is lost, `status` finds that it was not submitted, and removes what is there.
    try:
        made = _made_with_code(host, step, sending)
    except KeyboardInterrupt:
        # It may still be on its way.
        host.run(give_up_command(folder))
        store.forget(run)
        raise
    except SshError:
        raise
    except SlipwayError:  # of the code: without it there is no folder
        store.forget(run)
        raise
    if not made.ok:
        store.forget(run)
        raise _explain_no_run(host, run, made)


def _made_with_code(host: Host, step: Step, sending: _Sending | None) -> Result:
    """What came of the run's folder; before it the code is put there, if it is not there yet."""
    if sending is None:
        return host.run_in_turn([step])[0]
    code, *made = host.run_in_turn([sending.step, step])
    if not sending.is_made(code):
        sending.send_whole()
        made = host.run_in_turn([step])
    sending.remember()
    return made[0]


def _explain_no_run(host: Host, run: Run, result: Result) -> SlipwayError:
    where = f"{host.target}:{run.run_dir}"
    if result.exit_code == NO_IMAGE:
        return JobError(
            f"{host.target}:{run.sif}: the image has been removed just now; nothing was submitted. "
            "Push it again"
        )
    if result.exit_code == NO_DATA:
        return JobError(
            f"{where}: packed data ({', '.join(sorted(run.packed))}) have been removed just now; nothing was "
            "submitted. Stage them again"
        )
    if result.exit_code == NO_CODE:
        return JobError(f"{where}: the code has been removed just now; nothing was submitted. Submit again")
    if result.exit_code == TOO_LATE:
        return JobError(f"{run.run_id} was given up by another `invoke status` in the meantime; try again")
    if result.exit_code == NOT_MADE:
        return RemoteError(f"{where}: the run's folder cannot be made: {result.stderr.strip()}")
    return explain_unpacked(f"{where}: the run's files cannot be written", result)


def _submit(host: Host, plan: Plan, store: RunStore, progress: Progress) -> Run:
    run, folder = plan.run, PurePosixPath(plan.run.run_dir)
    scheduler = find_scheduler(run.scheduler)
    submitting = scheduler.submit_command(RunPaths(folder).script, plan.options)
    command = locked_submit_command(folder, submitting, scheduler.submit_s)
    unknown = f"Whether {scheduler.title} has accepted {run.run_id} is not known; `invoke status` finds out"
    try:
        done = host.run_in_login_shell(command, timeout_s=scheduler.submit_s + 30)
        result = replace(done, argv=tuple(submitting))
        if result.ok:
            submission = scheduler.read_submission(0, result.stdout, result.stderr)
            if submission.job_id is not None:
                return _accepted(run, submission.job_id)
        if result.exit_code == TOO_LATE:
            raise JobError(f"{run.run_id} was given up by another `invoke status` in the meantime; try again")
        answered = host.size(RunPaths(folder).answer) is not None
        settled = settle(host, run)
    except SshError as error:
        raise type(error)(f"{error}\n  {unknown}. Do not submit it again before that") from error
    except KeyboardInterrupt as error:
        raise KeyboardInterrupt(unknown) from error
    if settled.job_id is not None:
        return settled
    if settled.status.state is not State.FAILED:
        said = f"the submission printed {result.stdout[-200:]!r}" if result.ok else result.explain()
        raise RemoteError(f"{host.target}: {said}\n  {unknown}. Do not submit it again before that")
    store.forget(run)
    if not answered:
        raise RemoteError(f"{host.target}: {result.explain()}")
    why = (settled.status.note or "").removeprefix(_NEVER)
    asked = job_request(plan.request, plan.inputs.bundles)
    raise JobError(f"{host.target}: {why}{scheduler.describe_resources(host, asked)}")
