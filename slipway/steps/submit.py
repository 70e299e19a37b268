"""Steps that submit: from a request to a run that the cluster has accepted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING, cast

from slipway.background import Background
from slipway.dataset.packed import current_command
from slipway.errors import UsageError
from slipway.host.host import Host
from slipway.host.scratch import Scratch
from slipway.image.engine import Image
from slipway.image.inputs import explain_stale
from slipway.image.look import look_for_image
from slipway.image.own import explain_other
from slipway.job.request import NOTHING_SUBMITTED, Request
from slipway.job.run import Run
from slipway.notify.pending import Pending, PendingStore
from slipway.notify.target import Target
from slipway.profile import Profile
from slipway.progress import explain_stop
from slipway.push.upload import find_command
from slipway.resources import Resources
from slipway.runtime.choose import find_runtime
from slipway.scheduler.choose import parse_resources
from slipway.scheduler.find import find_scheduler
from slipway.site import Site
from slipway.steps.session import Choice, Session

if TYPE_CHECKING:
    from slipway.job.inputs import Code
    from slipway.push.upload import PushedSif
    from slipway.scheduler.automatic import Prefer


class Push(Enum):
    """Whether the image here is sent before a job is submitted."""

    # Where it is not the one that the site has, the person at the terminal decides.
    ASK = "ask"
    ALWAYS = "always"
    NEVER = "never"


@dataclass(frozen=True, kw_only=True)
class Submitted:
    """A run that was submitted, and the connection that is still open to follow it."""

    run: Run
    host: Host


def make_request(
    choice: Choice,
    args: tuple[str, ...],
    resources: Resources,
    *,
    name: str | None = None,
    notify: Sequence[Target] = (),
    prefer: str | None = None,
    origins: Mapping[str, str] | None = None,
) -> Request:
    """What a user asks for; see :class:`slipway.job.request.Request`.

    ``notify`` are told of the end, beside those of the profile. ``origins`` says where resources are asked
    for, where that is not the command line.

    Raises:
        UsageError: the site sends no mail.
    """
    targets = tuple(dict.fromkeys([*choice.profile.notify, *notify]))
    return Request(
        profile=choice.profile,
        site=choice.site,
        args=args,
        resources=with_mail(resources, choice.site, targets),
        name=name,
        notify=tuple(target for target in targets if target.kind != "mail"),
        # Refused there where it is neither.
        prefer=cast("Prefer | None", prefer),
        origins=origins or {},
    )


def with_mail(resources: Resources, site: Site, targets: Sequence[Target]) -> Resources:
    """The same resources, with the scheduler's own options for a mail at the end where one is wanted.

    Raises:
        UsageError: the site sends none.
    """
    mail = next((target for target in targets if target.kind == "mail"), None)
    if mail is None:
        return resources
    if not site.mail:
        raise UsageError(
            f"--notify {mail.word}: {site.name} sends no mail (mail: false in {site.file}); "
            "name a webhook or desktop, or leave it out"
        )
    # The user's own options stand behind these, and go before them.
    return resources.over(parse_resources({}, find_scheduler(site.scheduler).mail_options(mail.value)))


def keep_notify(session: Session, run: Run, targets: Sequence[Target]) -> None:
    """Keep whom to tell of a run's end, for the command that sees it; see :mod:`slipway.steps.tell`."""
    if targets:
        PendingStore(session.project.state).keep(run.run_id, Pending(targets=targets))


def preview(session: Session, request: Request) -> str:
    """The job script that :func:`submitted` would submit; nobody is asked, and nothing sent or written."""
    from slipway.job import submit as job

    return job.preview(session.project, request)


@contextmanager
def submitted(
    session: Session,
    request: Request,
    push: Push = Push.ASK,
    before: Callable[[Ready], None] = lambda ready: None,
    engine: str | None = None,
) -> Iterator[Submitted]:
    """Submit a job, with one login; see :func:`slipway.job.submit.submit`.

    Args:
        session: the checkout's.
        request: what is asked for.
        push: with ``ALWAYS`` the image is built, converted and sent before, where it is not there yet.
        before: what is to be done with the same login before the job is submitted.
        engine: ``dask`` where the program is to use the site's cluster.

    Raises:
        UsageError: the site has no such cluster now.
        KeyboardInterrupt: the person who was asked about the image does not want to go on.
    """
    scheduler = find_scheduler(request.site.scheduler)
    asked = [] if request.job_request.is_auto else scheduler.check_commands(request.job_request, request.site)
    with prepared(session, request.profile, request.site, push, asked) as ready:
        from slipway.job import submit as job

        before(ready)
        if engine is not None:
            from slipway.steps.dask import with_address

            request = with_address(request, ready.host, ready.scratch)

        run = job.submit(
            session.project,
            request,
            ready.host,
            ready.scratch,
            session.progress,
            image=ready.image,
            code=ready.code,
        )
        keep_notify(session, run, request.notify)
        yield Submitted(run=run, host=ready.host)


@dataclass(frozen=True, kw_only=True)
class Ready:
    """What a submission needs beside its request; the image is ``None`` where the site has none."""

    host: Host
    scratch: Scratch
    image: PushedSif | None
    code: Code


@contextmanager
def prepared(
    session: Session, profile: Profile, site: Site, push: Push, asked: Sequence[Sequence[str]] = ()
) -> Iterator[Ready]:
    """A login, the image there and the code here; see :func:`submitted`.

    ``asked`` are commands that the submission is about to run there; they go with the first question.
    """
    find_local = look_here(session, profile, site.container.compression)
    # A login waits for the network most of its time.
    reading = Background(lambda: _read_code(session, profile, site))
    sif = None
    if push is Push.ALWAYS:
        from slipway.steps.image import build, make_for, send_sif

        with explain_stop(NOTHING_SUBMITTED):
            build(session, profile, compression=site.container.compression)
            sif, _ = make_for(session, profile, site)
    with session.open_scratch(site, ahead=_ahead(profile, site, push, asked)) as (host, scratch):
        with explain_stop(NOTHING_SUBMITTED):
            if sif is None:
                image = _choose_image(session, profile, site, host, scratch, find_local, push)
            else:
                image, _ = send_sif(session, site, sif, host, scratch)
            code = reading.result()
        yield Ready(host=host, scratch=scratch, image=image, code=code)


def _ahead(
    profile: Profile, site: Site, push: Push, asked: Sequence[Sequence[str]]
) -> list[Callable[[Scratch], Sequence[str]]]:
    """What is asked together with where scratch is: the image there, packed data and what else is known."""
    form = find_runtime(site.container.command).form
    image = [] if push is Push.ALWAYS else [partial(find_command, name=profile.image, form=form)]
    return [*image, current_command, *(lambda _, words=words: words for words in asked)]


def look_here(session: Session, profile: Profile, compression: str) -> Callable[[], Image | None]:
    """Look for the profile's image here, beside other work; what gives it. Nothing waits long for it."""
    if not profile.is_built_by_apptainer:
        return look_for_image(profile.image)
    from slipway.steps.definition import find_built_definition, image_of

    kept = find_built_definition(session, profile, compression)
    return lambda: image_of(kept) if kept is not None else None


def _read_code(session: Session, profile: Profile, site: Site) -> Code:
    import filelock  # noqa: F401 - what is used later: its import takes time, too

    from slipway.job import inputs, submit  # noqa: F401

    return inputs.read_code(session.project, profile, site.name)


def _choose_image(
    session: Session,
    profile: Profile,
    site: Site,
    host: Host,
    scratch: Scratch,
    find_local: Callable[[], Image | None],
    push: Push,
) -> PushedSif | None:
    """The site's image, or the one here where the person at the terminal wants it sent now."""
    from slipway.push.upload import ChangedImageError, find_pushed

    form = find_runtime(site.container.command).form
    try:
        there = find_pushed(host, scratch, profile.image, form)
    except ChangedImageError as error:
        session.progress.note(str(error))
        there = None
    here = find_local()
    other = here and explain_other(session.project, here, profile.name)
    if here is None or (there is not None and there.image_id == here.id):
        if other:
            session.progress.note(f"{other}. This run uses that one")
        elif there is not None:
            _tell_stale(session, profile, site.name, there)
        return there
    from slipway.steps.image import is_there, make_for, send_sif

    # Where the engine that has it runs the job, there is nothing to send, and nobody is asked.
    if is_there(site, here) or (
        push is Push.ASK and _wants_push(session, profile.image, site.name, is_there=there is not None)
    ):
        sif, _ = make_for(session, profile, site)
        return send_sif(session, site, sif, host, scratch)[0]
    if there is not None:
        session.progress.note(
            f"The image {profile.image} here is not the one that {site.name} has and this run uses; "
            "`invoke job --push` sends it before"
        )
    return there


def _tell_stale(session: Session, profile: Profile, site: str, there: PushedSif) -> None:
    """Say so where the site's image was built before something has changed that it is built from."""
    if stale := explain_stale(session.project, profile, there.image_id):
        session.progress.note(
            f"The image {profile.image} at {site} is {stale}, and this run uses it; `invoke build --profile "
            f"{profile.name}`, then `invoke push --profile {profile.name} --site {site}` bring it up to date"
        )


def _wants_push(session: Session, image: str, site: str, *, is_there: bool) -> bool:
    """Ask whether the image here is to be sent; False where nobody can be asked.

    Raises:
        KeyboardInterrupt: neither that nor to go on without.
    """
    if is_there:
        prompt = (
            f"The image {image} here is not the one that {site} has. "
            "Push it now (p), go on with the one there (g) or stop (s)? "
        )
    else:
        prompt = f"{site} has no image {image} yet. Push the one here now (p) or stop (s)? "
    while (answer := session.prompt.ask(prompt, echo=True)) is not None:
        match answer.strip().lower():
            case "p" | "push":
                return True
            case "g" | "go" if is_there:
                return False
            case "s" | "stop":
                raise KeyboardInterrupt
    return False
