"""Steps that submit: from a request to a run that the cluster has accepted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from slipway.host.host import Host
from slipway.job import submit as job
from slipway.job.request import Request
from slipway.job.run import Run
from slipway.resources import Resources
from slipway.steps.image import look_for_image
from slipway.steps.session import Choice, Session


@dataclass(frozen=True, kw_only=True)
class Submitted:
    """A run that was submitted, and the connection that is still open to follow it.

    Attributes:
        run: the run.
        host: the connection to its site.
        newer_image: the name of its image, where the image here is not the one that the run uses.
    """

    run: Run
    host: Host
    newer_image: str | None


def make_request(choice: Choice, args: tuple[str, ...], resources: Resources) -> Request:
    """What a user asks for; see :class:`slipway.job.request.Request`."""
    return Request(profile=choice.profile, site=choice.site, args=args, resources=resources)


def preview(session: Session, request: Request) -> str:
    """The job script that :func:`submitted` would submit; nothing is sent or written."""
    with session.open_scratch(request.site, make=False) as (host, scratch):
        return job.preview(session.project, request, host, scratch)


@contextmanager
def submitted(session: Session, request: Request) -> Iterator[Submitted]:
    """Submit a job, with one login; see :func:`slipway.job.submit.submit`."""
    find_local = look_for_image(request.profile)
    with session.open_scratch(request.site) as (host, scratch):
        run = job.submit(session.project, request, host, scratch, session.progress)
        local = find_local()
        is_newer = local is not None and local.id != run.image_id
        yield Submitted(run=run, host=host, newer_image=request.profile.image if is_newer else None)
