"""Steps that submit: from a request to a run that the cluster has accepted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum

from slipway.host.host import Host
from slipway.host.scratch import Scratch
from slipway.image.engine import Image
from slipway.job import submit as job
from slipway.job.request import Request
from slipway.job.run import Run
from slipway.progress import explain_stop
from slipway.push.upload import PushedSif, find_pushed
from slipway.resources import Resources
from slipway.steps.image import build, convert, look_for_image, send_sif
from slipway.steps.session import Choice, Session


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


def make_request(choice: Choice, args: tuple[str, ...], resources: Resources) -> Request:
    """What a user asks for; see :class:`slipway.job.request.Request`."""
    return Request(profile=choice.profile, site=choice.site, args=args, resources=resources)


def preview(session: Session, request: Request) -> str:
    """The job script that :func:`submitted` would submit; nobody is asked, and nothing sent or written."""
    return job.preview(session.project, request)


@contextmanager
def submitted(session: Session, request: Request, push: Push = Push.ASK) -> Iterator[Submitted]:
    """Submit a job, with one login; see :func:`slipway.job.submit.submit`.

    Args:
        session: the checkout's.
        request: what is asked for.
        push: with ``ALWAYS`` the image is built, converted and sent before, where it is not there yet.

    Raises:
        KeyboardInterrupt: the person who was asked about the image does not want to go on.
    """
    profile, site = request.profile, request.site
    find_local = look_for_image(profile)
    sif = None
    if push is Push.ALWAYS:
        with explain_stop(job.NOTHING_SUBMITTED):
            build(session, profile)
            sif, _ = convert(session, profile, site.container.compression)
    with session.open_scratch(site) as (host, scratch):
        with explain_stop(job.NOTHING_SUBMITTED):
            if sif is None:
                image = _choose_image(session, request, host, scratch, find_local, push)
            else:
                image, _ = send_sif(session, site, sif, host, scratch)
        run = job.submit(session.project, request, host, scratch, session.progress, image=image)
        yield Submitted(run=run, host=host)


def _choose_image(
    session: Session,
    request: Request,
    host: Host,
    scratch: Scratch,
    find_local: Callable[[], Image | None],
    push: Push,
) -> PushedSif | None:
    """The site's image, or the one here where the person at the terminal wants it sent now."""
    profile, site = request.profile, request.site
    there, here = find_pushed(host, scratch, profile.image), find_local()
    if here is None or (there is not None and there.image_id == here.id):
        return there
    if push is Push.ASK and _wants_push(session, request, is_there=there is not None):
        sif, _ = convert(session, profile, site.container.compression)
        return send_sif(session, site, sif, host, scratch)[0]
    if there is not None:
        session.progress.note(
            f"The image {profile.image} here is not the one that {site.name} has and this run uses; "
            "`invoke job --push` sends it before"
        )
    return there


def _wants_push(session: Session, request: Request, *, is_there: bool) -> bool:
    """Ask whether the image here is to be sent; False where nobody can be asked.

    Raises:
        KeyboardInterrupt: neither that nor to go on without.
    """
    image, site = request.profile.image, request.site.name
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
