"""Tasks with a profile's container on this machine."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import task

from slipway.cli.common import PROFILE, SITE, open_session, program_arguments

if TYPE_CHECKING:
    from docker import DockerClient

    from slipway.terminal.terminal import Terminal


@task(help=PROFILE, iterable=["set_"], auto_shortflags=False)
def start(context: Context, profile: str = "base", set_: list[str] | None = None) -> None:
    """Start the profile's container on this machine: its code, data and /out where a job has them.

    It runs in the background until `invoke stop`; one that runs is left as it is.
    """
    with open_session(context) as (session, screen):
        from slipway.steps import container

        started = container.start(session, session.profile(profile, set_ or ()))
        screen.say(f"{started.name} {'runs already' if started.was_there else 'runs'}")
        if started.is_outdated:
            screen.note(
                "The profile or its image has changed since it was started; `invoke stop` and `invoke start` "
                "renew it"
            )


@task(help=PROFILE, iterable=["set_"], auto_shortflags=False)
def enter(context: Context, profile: str = "base", set_: list[str] | None = None) -> None:
    """Open a shell in the profile's container, or run the command behind --: invoke enter -- python3."""
    with open_session(context) as (session, _):
        from slipway.errors import UsageError
        from slipway.interactive.terminal import LeftError, open_terminal
        from slipway.local.enter import enter_at_terminal, enter_with_streams
        from slipway.steps import container

        words, chosen = program_arguments(), session.profile(profile, set_ or ())
        if sys.stdin.isatty() and sys.stdout.isatty():
            with open_terminal() as local:

                def attach(client: DockerClient, name: str) -> int:
                    return enter_at_terminal(client, name, words, local)

                try:
                    code = container.enter(session, chosen, attach)
                except LeftError as error:
                    raise KeyboardInterrupt("left the container, which goes on") from error
        elif words:
            code = container.enter(
                session, chosen, lambda client, name: enter_with_streams(client, name, words)
            )
        else:
            raise UsageError(
                "a shell needs a terminal, and input or output is none here; name a command: "
                "`invoke enter … -- CMD`"
            )
    if code:
        raise Exit(code=code)


@task(
    help={
        **PROFILE,
        "from_": "Another path in the container, which then has to run.",
        "into": "Where to copy it. Default: local-PROFILE in results/.",
    },
    iterable=["set_"],
    auto_shortflags=False,
)
def copy(
    context: Context,
    profile: str = "base",
    set_: list[str] | None = None,
    from_: str | None = None,
    into: str | None = None,
) -> None:
    """Copy out what the profile's container wrote to /out."""
    with open_session(context) as (session, screen):
        from slipway.steps import container
        from slipway.text.wording import megabytes, short

        folder = Path(into) if into else None
        copied = container.copy(session, session.profile(profile, set_ or ()), from_, folder)
        words = "file" if copied.files == 1 else "files"
        screen.say(f"{short(copied.folder)}  {copied.files:,} {words}  {megabytes(copied.size_bytes)}")


@task(help=PROFILE, iterable=["set_"], auto_shortflags=False)
def stop(context: Context, profile: str = "base", set_: list[str] | None = None) -> None:
    """End the profile's container on this machine and remove it; what is in its /out stays."""
    with open_session(context) as (session, screen):
        from slipway.steps import container

        was_there = container.stop(session, session.profile(profile, set_ or ()))
        screen.say("It is gone." if was_there else f"Profile {profile} has no container here.")


@task(
    help={**PROFILE, **SITE, "json": "Print JSON."},
    iterable=["set_"],
    auto_shortflags=False,
)
def config(
    context: Context,
    profile: str = "base",
    site: str | None = None,
    set_: list[str] | None = None,
    json: bool = False,
) -> None:
    """Print what is configured: the profile's values and where each is written, site, image, container."""
    with open_session(context) as (session, screen):
        from slipway.steps import container
        from slipway.terminal.terminal import print_json

        chosen = session.profile(profile, set_ or ())
        values = container.resolve(session, chosen, site or chosen.site)
        screen.done()
        if json:
            print_json(values)
        else:
            _show(screen, values)


def _show(screen: Terminal, values: Mapping[str, Any]) -> None:
    written = values["written"]
    screen.say("profile")
    for key, value in sorted(values["profile"].items()):
        if value not in (None, "", [], {}):
            where = written.get(key.upper(), "")
            screen.say(f"  {key.upper()} = {_words(value)}{f'   ({where})' if where else ''}")
    image = values["image"]
    screen.say(f"image  {image['name']}  {image['id'][7:19]}" if image else "image  not built here")
    if values["site"]:
        screen.say(f"site  {values['site']['name']}  {values['site']['login']['host']}")
    if container := values["container"]:
        screen.say(f"container  {container['name']}  {'runs' if container['runs'] else 'does not run'}")
        for one in container["mounts"]:
            screen.say(f"  {one['there']} is {one['here']}{'' if one['writable'] else ', read-only'}")
        for port in container["ports"]:
            screen.say(f"  127.0.0.1:{port['here']} is its port {port['there']}")
        user = container["user"] or "that of the image"
        screen.say(f"  GPUs: {container['gpus'] or 'none'}; user: {user}")


def _words(value: Any) -> str:
    if isinstance(value, Mapping) and "here" in value:
        return f"{value['here']}:{value['there']}{':rw' if value.get('writable') else ''}"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {one}" for key, one in value.items() if one not in (None, [], ""))
    return " ".join(map(_words, value)) if isinstance(value, list) else str(value)
