"""Tasks that copy runs, datasets and images to the home folder on a cluster, and back to scratch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invoke.context import Context
from invoke.tasks import task

from slipway.cli.common import PROFILE, SITE, open_session

if TYPE_CHECKING:
    from slipway.steps.keep import Moved
    from slipway.terminal.terminal import Terminal

_HELP = {
    "run": "A run; may be repeated. Without anything: the newest of this terminal window, else of all.",
    "data": "A dataset; may be repeated.",
    "image": "An image: a name for the newest of it, or a file's name; alone, the profile's.",
    **SITE,
    "profile": PROFILE["profile"],
}


@task(help=_HELP, iterable=["run", "data"], optional=["image"], auto_shortflags=False)
def keep(
    context: Context,
    run: list[str] | None = None,
    data: list[str] | None = None,
    image: str | None = None,
    site: str | None = None,
    profile: str = "base",
) -> None:
    """Copy what is to outlive scratch to the site's paths.home: invoke keep RUN.

    The cluster copies it, and compares the copy with the original. What is there already is not copied again.
    """
    _move(context, run or [], data or [], image, site, profile, back=False)


@task(help=_HELP, iterable=["run", "data"], optional=["image"], auto_shortflags=False)
def restore(
    context: Context,
    run: list[str] | None = None,
    data: list[str] | None = None,
    image: str | None = None,
    site: str | None = None,
    profile: str = "base",
) -> None:
    """Bring back to scratch what `invoke keep` has copied: invoke restore RUN."""
    _move(context, run or [], data or [], image, site, profile, back=True)


def _move(
    context: Context,
    runs: list[str],
    data: list[str],
    image: str | bool | None,
    site: str | None,
    profile: str,
    *,
    back: bool,
) -> None:
    with open_session(context) as (session, screen):
        from slipway.steps import keep as step

        def tell(moved: Moved) -> None:
            _tell(screen, moved)

        if data or image:
            choice = session.choose(profile, site)
            for name in data:
                tell(step.keep_data(session, choice.site, name, back=back))
            if image:
                name = choice.profile.image if image is True else str(image)
                tell(step.keep_image(session, choice.site, name, back=back))
        if runs or not (data or image):
            step.keep_runs(session, runs, tell, back=back)


def _tell(screen: Terminal, moved: Moved) -> None:
    from slipway.text.wording import counted, megabytes

    copied = moved.copied
    some = "all copied" if copied.files == copied.all_files else f"{copied.files:,} of them copied"
    new = some if copied.files else "nothing copied"
    whole = f"{counted(copied.all_files, 'file')}, {megabytes(copied.all_bytes)}"
    screen.say(f"{moved.name}  {whole}, {new}  {moved.path}")
