"""Steps that bring back to a site what a run was made of: its code, its image."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from slipway.errors import ImageError, JobError, SlipwayError
from slipway.host.host import Host
from slipway.host.scratch import Scratch, kept_folder
from slipway.job.kept import keep_tree
from slipway.job.rebuild import rebuild_code
from slipway.job.replay import Replay
from slipway.job.replay import find_image as find_image_there
from slipway.job.run import Run
from slipway.push.upload import PushedSif
from slipway.runtime.base import SIF
from slipway.runtime.choose import find_runtime
from slipway.sif.definition.definition import is_definition_id
from slipway.site import Site
from slipway.steps.session import Session
from slipway.steps.submit import Push
from slipway.workspace import workspace

if TYPE_CHECKING:
    from slipway.image.engine import Image
    from slipway.sif.kept import Sif


def find_code(
    session: Session, replay: Replay, host: Host, scratch: Scratch, diff: str | None, stack: ExitStack
) -> Callable[[], None]:
    """Find the code that a run had, at the site or here.

    Args:
        session: the checkout's.
        replay: the replay.
        host: the connection to the site.
        scratch: the site's.
        diff: what was not committed.
        stack: what is made for it here lasts until the stack is closed.

    Returns:
        What sends it, where the site does not have it.

    Raises:
        JobError: it is not to be had. The message says why, and what to do.
    """
    run, progress = replay.run, session.progress
    there = scratch.code / run.code
    if host.is_folder(there):
        return lambda: None
    progress.step(f"Looking here for the code of {run.run_id}, which {replay.site.name} does not have")
    folder = stack.enter_context(workspace(session.project.state / "tmp"))
    try:
        found = rebuild_code(session.project, run, diff, folder)
    except JobError as error:
        kept = f"\n`invoke restore {run.run_id}` brings back what is kept" if run.kept else ""
        raise JobError(
            f"{host.target}:{there}: the code of {run.run_id} is not there (any more), {error}{kept}"
        ) from error
    stack.enter_context(found.snapshot)

    def send() -> None:
        from slipway.code.upload import send_code

        send_code(host, scratch, found.snapshot, progress)
        keep_tree(session.project.state, found.snapshot.tree)
        progress.note(f"The code of {run.run_id} is there again, from {found.source}: it has the same hash")

    return send


def find_image(
    session: Session, replay: Replay, host: Host, scratch: Scratch, push: Push
) -> Callable[[], PushedSif]:
    """Find the image that a run had, at the site or here.

    Args:
        session: the checkout's.
        replay: the replay.
        host: the connection to the site.
        scratch: the site's.
        push: whether it may be sent.

    Returns:
        What gives it there, and sends it, where the site does not have it.

    Raises:
        ImageError: it is not to be had, or is not to be sent. The message says what to do.
        KeyboardInterrupt: the person who was asked does not want to go on.
    """
    run, site = replay.run, replay.site
    there = find_image_there(host, scratch, replay)
    if there is not None:
        return lambda: there
    convert = _find_here(session, run, site)
    if convert is not None and (
        push is Push.ALWAYS or (push is Push.ASK and _wants_push(session, run, site))
    ):
        return lambda: _send_image(session, replay, convert(), host, scratch)
    file = PurePosixPath(run.sif).name
    gone = f"{host.target}: the image {file} of {run.run_id} is not there (any more)"
    if host.size(kept_folder(host, site) / "images" / file) is not None:
        restore = f"invoke restore --image {shlex.quote(file)} --site {shlex.quote(site.name)}"
        raise ImageError(f"{gone}, but is kept: `{restore}` brings it back")
    if convert is None:
        raise ImageError(f"{gone}, and this machine does not have it either.{_explain_new_image(run, site)}")
    again = f"invoke job --replay {shlex.quote(run.run_id)} --push"
    raise ImageError(f"{gone}, but this machine has it: `{again}` sends it before")


def _find_here(session: Session, run: Run, site: Site) -> Callable[[], Sif] | None:
    """What gives the image's file: one that is kept, or made of the Docker image; ``None`` without."""
    from slipway.push.archive import find_archive
    from slipway.sif.kept import find_by_hash

    find = find_by_hash if find_runtime(site.container.command).form == SIF else find_archive
    kept = find(session.project, run.sif_sha256)
    if kept is not None:
        return lambda: kept
    image = _find_docker_image(run)
    if image is None:
        return None
    from slipway.steps.image import older_for

    # Any profile has what Apptainer's own container is made with.
    profile = session.profile("base")
    return lambda: older_for(session, profile, image, site)


def _find_docker_image(run: Run) -> Image | None:
    from slipway.image.engine import engine, find_by_id

    name = run.profile_values.get("image")
    if not name or not run.image_id or is_definition_id(run.image_id):
        return None
    try:
        return find_by_id(engine(), str(name), run.image_id)
    except SlipwayError:
        return None  # Without an engine there is no image here.


def _explain_new_image(run: Run, site: Site) -> str:
    """What there is to do where an image is lost: it can be built anew, which makes another one."""
    flags = f"--profile {shlex.quote(run.profile)}"
    build = f"`invoke build {flags}` and `invoke push {flags} --site {shlex.quote(site.name)}`"
    if run.commit is None or run.dirty:
        return f" {build} make one anew, and `invoke job {flags} -- …` runs with that; it is another image"
    folder = shlex.quote(f"../at-{run.commit[:12]}")
    return (
        f" `git worktree add {folder} {run.commit}` brings back what it was built from; there, {build} make "
        f"one anew, and `invoke job {flags} -- …` runs with that; it is another image"
    )


def _wants_push(session: Session, run: Run, site: Site) -> bool:
    """Ask whether the image here is to be sent; False where nobody can be asked.

    Raises:
        KeyboardInterrupt: it is not to be.
    """
    prompt = f"{site.name} does not have the image of {run.run_id} (any more). Push it now (p) or stop (s)? "
    while (answer := session.prompt.ask(prompt, echo=True)) is not None:
        match answer.strip().lower():
            case "p" | "push":
                return True
            case "s" | "stop":
                raise KeyboardInterrupt
    return False


def _send_image(session: Session, replay: Replay, sif: Sif, host: Host, scratch: Scratch) -> PushedSif:
    from slipway.steps.image import send_sif

    image, _ = send_sif(session, replay.site, sif, host, scratch, as_newest=False)
    if image.sha256 != replay.run.sif_sha256:
        session.progress.note(
            f"The image of {replay.run.run_id} was converted anew from the same Docker image, "
            f"{image.image_id}; such files differ in a few bytes, so this one has another hash"
        )
    return image
