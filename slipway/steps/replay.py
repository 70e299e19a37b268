"""Steps that submit an earlier run again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, TypeVar, cast

from slipway.errors import ImageError, JobError, SlipwayError, UsageError
from slipway.host.host import Host
from slipway.host.scratch import Scratch
from slipway.job.kept import keep_difference, recall_difference
from slipway.job.replay import Replay, find_words, known_words, read_file, replay_inputs
from slipway.job.replay_request import ask_again, site_changes
from slipway.job.request import NOTHING_SUBMITTED, check_name, check_prefer
from slipway.job.run import LOCAL, Run, RunPaths
from slipway.model import field_names
from slipway.notify.target import Target
from slipway.profile import Profile, list_profiles, parse_overrides, record_values
from slipway.progress import explain_stop
from slipway.push.upload import PushedSif
from slipway.resources import Resources
from slipway.scheduler.automatic import settle_partition, without_auto
from slipway.scheduler.choose import FIELDS
from slipway.scheduler.find import find_scheduler
from slipway.scheduler.limits import check_partition
from slipway.steps.bring_back import find_code, find_image
from slipway.steps.find import describe_arguments, find_record
from slipway.steps.session import Session
from slipway.steps.submit import Push, Submitted, keep_notify, with_mail

if TYPE_CHECKING:
    from slipway.job.inputs import Inputs
    from slipway.job.plan import Plan
    from slipway.scheduler.automatic import Prefer

_Found = TypeVar("_Found")
# Keys of a profile that make another job of the same image and code.
_OWN_KEYS = frozenset({"PROGRAM", "CACHE", "MOUNT_HOME", *(key.upper() for key in field_names(FIELDS))})


def make_replay(
    session: Session,
    prefix: str,
    *,
    site: str | None = None,
    overrides: Sequence[str] = (),
    args: tuple[str, ...] | None = None,
    resources: Resources,
    name: str | None = None,
    notify: Sequence[Target] = (),
    prefer: str | None = None,
) -> Replay:
    """What a user asks for who wants a run once more.

    Args:
        session: the checkout's.
        prefix: the beginning of the run's id or name.
        site: where it is to run. Default: where it ran.
        overrides: ``KEY=VALUE`` words: ``ENV_…``, and keys that say how a job runs.
        args: the program's arguments. Default: those that it had.
        resources: what the command line asks for.
        name: a short label for the new run.
        notify: who is told of its end, beside the mail that the run had asked for.
        prefer: what the partition `auto` looks for.

    Raises:
        UsageError: there is no such run, site or key, or a key would need another image or other code.
        JobError: it would never start, as far as that is known here.
    """
    check_name(name)
    run = find_record(session, prefix)
    if run.site == LOCAL and site is None:
        raise UsageError(
            f"{run.run_id} ran on this machine; `invoke job --profile {run.profile} --local -- …` runs it "
            "again, and --site NAME at a site"
        )
    if run.shell:
        raise UsageError(
            f"{run.run_id} was a shell, and there is nothing to repeat; "
            f"`invoke shell --profile {run.profile}` opens another one"
        )
    if run.elements:
        raise UsageError(
            f"{run.run_id} is part of the sweep {run.sweep}; `invoke retry {run.run_id}` submits again "
            "what of it has not ended well, and the sweep's own command with --again all of it"
        )
    chosen = session.site(site or run.site)
    changed = _changed_keys(overrides)
    profile = _profile(session, run, overrides) if changed else None
    wanted, notes = ask_again(run, chosen, profile, changed, with_mail(resources, chosen, notify))
    check_partition(wanted, chosen)
    check_prefer(prefer, wanted)
    if keys := site_changes(run, chosen):
        where = f"{chosen.file} has changed since {run.run_id}"
        notes.append(f"{where}, and counts as it is now: {', '.join(keys)}")
    values = dict(run.profile_values)
    if profile is not None:
        new = record_values(profile, session.project.root)
        values |= {key.lower(): new[key.lower()] for key in changed & {"CACHE", "MOUNT_HOME", "PROGRAM"}}
    return Replay(
        run=run,
        site=chosen,
        resource_request=wanted,
        profile_values=values,
        program=profile.program if profile is not None and "PROGRAM" in changed else None,
        args=args,
        environment=_environment(profile, changed),
        name=name,
        notify=tuple(target for target in notify if target.kind != "mail"),
        notes=tuple(notes),
        prefer=cast("Prefer | None", prefer),
    )


def preview_replay(session: Session, replay: Replay) -> str:
    """The job script that :func:`replayed` would submit; nobody is asked, and nothing sent or written."""
    from slipway.job.submit import AUTO_REMARK, with_remarks

    run, words = replay.run, known_words(replay)
    folder = PurePosixPath(replay.site.paths.scratch) / "slipway"
    scratch = Scratch(root=folder) if replay.is_elsewhere else Scratch.of_run(PurePosixPath(run.run_dir))
    path = scratch.images / PurePosixPath(run.sif).name
    image = PushedSif(path=path, image_id=run.image_id, sha256=run.sif_sha256, size_bytes=0)
    shown = replace(replay, resource_request=without_auto(replay.resource_request))
    plan = _plan(session, shown, scratch, replay_inputs(replay, words, image, None, session.project.key))
    remarks = [
        *replay.notes,
        "Not known before the job is submitted: the run's id, and whether image and code are there.",
        *([AUTO_REMARK] if replay.resource_request.is_auto else []),
    ]
    return with_remarks(plan, sorted(words.environment), remarks)


@contextmanager
def replayed(session: Session, replay: Replay, push: Push = Push.ASK) -> Iterator[Submitted]:
    """Submit a run again, with one login.

    Args:
        session: the checkout's.
        replay: what is asked for.
        push: whether its image is sent where the site does not have it (any more), and this machine has.

    Raises:
        JobError: its code, its arguments or its variables are not to be had.
        ImageError: its image is not.
        KeyboardInterrupt: the person who was asked about the image does not want to go on.
    """
    from slipway.job.submit import submit_plan

    for note in (f"{replay.run.shown} once more: {describe_arguments(replay.run)}", *replay.notes):
        session.progress.note(note)
    with session.open_scratch(replay.site) as (host, scratch):
        with explain_stop(NOTHING_SUBMITTED), ExitStack() as stack:
            plan = _prepare(session, replay, host, scratch, push, stack)
        run = submit_plan(plan, host, session.store, session.progress)
        keep_difference(session.project.state, run, plan.inputs.revision.diff)
        keep_notify(session, run, replay.notify)
        yield Submitted(run=run, host=host)


def _plan(session: Session, replay: Replay, scratch: Scratch, inputs: Inputs) -> Plan:
    from slipway.job.plan import make_plan
    from slipway.job.template import load_template

    template = load_template(session.project.share / "cluster")
    return make_plan(inputs, replay.resource_request, replay.site, scratch, template, name=replay.name)


def _changed_keys(overrides: Sequence[str]) -> frozenset[str]:
    changed = frozenset(parse_overrides(overrides))
    if other := sorted(key for key in changed if key not in _OWN_KEYS and not key.startswith("ENV_")):
        raise UsageError(
            f"--set {other[0]}=…: a replay has the image and the code that the run had; what may be set is "
            f"ENV_… and {', '.join(sorted(_OWN_KEYS))}. Leave out --replay for a run of another kind"
        )
    return changed


def _profile(session: Session, run: Run, overrides: Sequence[str]) -> Profile:
    """The profile as it is now, with what is set: it says what the keys mean."""
    known = list_profiles(session.project.profiles, session.project.share / "env")
    return session.profile(run.profile if run.profile in known else "base", overrides)


def _environment(profile: Profile | None, changed: frozenset[str]) -> dict[str, str | None]:
    names = [key.removeprefix("ENV_") for key in changed if key.startswith("ENV_")]
    return {} if profile is None else {name: profile.environment.get(name) for name in names}


def _environment_now(session: Session, run: Run) -> Mapping[str, str]:
    if run.profile not in list_profiles(session.project.profiles, session.project.share / "env"):
        return {}
    return session.profile(run.profile).environment


def _prepare(
    session: Session, replay: Replay, host: Host, scratch: Scratch, push: Push, stack: ExitStack
) -> Plan:
    """Everything that the run needs, on the cluster; what is not to be had is told all at once."""
    from slipway.job.input import look_for_data

    run, site, project, progress = replay.run, replay.site, session.project, session.progress
    host.require_commands()
    words = find_words(host, replay, lambda: _environment_now(session, run), project.key)
    diff = _difference(session, replay, host)
    wanted = settle_partition(host, replay.resource_request, site, replay.prefer or "start", progress)
    find_scheduler(site.scheduler).check(host, wanted, site, progress)
    problems: list[SlipwayError] = []
    bring_code = _try(lambda: find_code(session, replay, host, scratch, diff, stack), problems)
    bring_image = _try(lambda: find_image(session, replay, host, scratch, push), problems)
    if bring_code is None or bring_image is None:
        raise type(problems[0])("\n".join(map(str, problems)))
    bring_code()
    image = bring_image()
    data = look_for_data(host, scratch, [words.args])
    packed = data.choose([words.args], [*words.program, *words.environment.values()])
    for note in (*data.missing([words.args]), *_other_data(run, packed)):
        progress.note(note)
    settled = replace(replay, resource_request=wanted)
    inputs = replace(replay_inputs(replay, words, image, diff, project.key), packed=packed)
    return _plan(session, settled, scratch, inputs)


def _other_data(run: Run, packed: Mapping[str, str]) -> Iterator[str]:
    """A note for each packed dataset that is another one than the run had."""
    for name in sorted(run.packed.keys() & packed.keys()):
        if packed[name] != run.packed[name]:
            yield f"{name} is another version than {run.run_id} had ({run.packed[name]}): {packed[name]}"


def _try(find: Callable[[], _Found], problems: list[SlipwayError]) -> _Found | None:
    try:
        return find()
    except (ImageError, JobError) as error:
        problems.append(error)
        return None


def _difference(session: Session, replay: Replay, host: Host) -> str | None:
    diff = recall_difference(session.project.state, session.project.results, replay.run)
    if diff is not None or not replay.run.dirty:
        return diff
    content = read_file(host, replay, RunPaths(PurePosixPath()).diff.name)
    return None if content is None else content.decode("utf-8", errors="surrogateescape")
