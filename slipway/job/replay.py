"""Replays: the same run submitted again, but for what is asked for otherwise."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from slipway.code.checkout import Revision
from slipway.errors import JobError
from slipway.host.host import Host
from slipway.host.scratch import Scratch
from slipway.job.inputs import Inputs
from slipway.job.run import Run, RunPaths
from slipway.job.script import words_file
from slipway.job.secret import HIDDEN, keyed_hash
from slipway.notify.target import Target
from slipway.push.upload import PushedSif
from slipway.runtime.choose import find_runtime
from slipway.scheduler.automatic import Prefer
from slipway.scheduler.limits import ResourceRequest
from slipway.site import Site

_FILES = RunPaths(PurePosixPath())
# What a record has in the place of an address's password.
_HIDDEN = re.compile(rf"://[^\s/?#]*{re.escape(HIDDEN)}@")


@dataclass(frozen=True, kw_only=True)
class Replay:
    """A run that is to be submitted again, and what is to be otherwise.

    Attributes:
        run: the run.
        site: where it is to run now.
        resource_request: what the scheduler is asked for.
        profile_values: the profile's values, as the record of the new run has them.
        program: the program; ``None`` for the run's own.
        args: its arguments; ``None`` for the run's own.
        environment: variables that are set otherwise; ``None`` for one that is left out.
        name: a short label for the new run.
        notify: who is told from this machine when it has ended.
        notes: what is not as it was.
        prefer: what the partition `auto` looks for; see :class:`slipway.job.request.Request`.
    """

    run: Run
    site: Site
    resource_request: ResourceRequest
    profile_values: Mapping[str, Any]
    program: tuple[str, ...] | None = None
    args: tuple[str, ...] | None = None
    environment: Mapping[str, str | None] = field(default_factory=dict)
    name: str | None = None
    notify: tuple[Target, ...] = ()
    notes: tuple[str, ...] = ()
    prefer: Prefer | None = None

    @property
    def is_elsewhere(self) -> bool:
        """True where it is to run at another site than before."""
        return self.site.name != self.run.site


@dataclass(frozen=True, kw_only=True)
class Words:
    """A program, its arguments and its own variables, as they are given to it."""

    program: tuple[str, ...]
    args: tuple[str, ...]
    environment: Mapping[str, str]


def find_words(host: Host, replay: Replay, known: Callable[[], Mapping[str, str]], key: bytes) -> Words:
    """What the program is given, by the run's own files on the cluster, or by its record where they are gone.

    Args:
        host: the connection to the site.
        replay: the replay.
        known: gives the variables that the profile has today: they serve where they are what they were.
        key: the key of the record's hashes.

    Raises:
        JobError: something is in neither. The message says what, and what to do.
    """
    run = replay.run
    argv = read_file(host, replay, _FILES.argv.name)
    words = [*run.program, *run.args] if argv is None else _split(argv)
    count = len(run.program)
    program = tuple(words[:count]) if replay.program is None else replay.program
    args = tuple(words[count:]) if replay.args is None else replay.args
    if argv is None:
        _check_whole(
            run, [*(program if replay.program is None else ()), *(args if replay.args is None else ())]
        )
    settings = read_file(host, replay, _FILES.environment.name)
    return Words(program=program, args=args, environment=_environment(replay, settings, known, key))


def read_file(host: Host, replay: Replay, name: str) -> bytes | None:
    """A file of the run, from its folder at its site or from the copy that is kept there."""
    run = replay.run
    if replay.is_elsewhere:
        return None
    folders = (PurePosixPath(folder) for folder in (run.run_dir, run.kept) if folder)
    found = (host.read(folder / name) for folder in folders)
    return next((content for content in found if content is not None), None)


def known_words(replay: Replay) -> Words:
    """What the program is given, as far as it is known here; variables have their names alone."""
    run = replay.run
    names = {**dict.fromkeys(_recorded(run), ""), **replay.environment}
    return Words(
        program=run.program if replay.program is None else replay.program,
        args=run.args if replay.args is None else replay.args,
        environment={name: value for name, value in names.items() if value is not None},
    )


def replay_inputs(replay: Replay, words: Words, image: PushedSif, diff: str | None, key: bytes) -> Inputs:
    """What the new run is made of.

    Args:
        replay: the replay.
        words: what the program is given.
        image: the run's image on the cluster.
        diff: what was not committed.
        key: of the hashes in the new record.
    """
    run = replay.run
    hashes = {name: keyed_hash(key, name, value) for name, value in words.environment.items()}
    return Inputs(
        profile=run.profile,
        profile_values={**replay.profile_values, "environment": hashes},
        program=words.program,
        args=words.args,
        argv=words_file([*words.program, *words.args]),
        environment=words_file([f"{name}={value}" for name, value in sorted(words.environment.items())]),
        image=image,
        code=run.code,
        revision=Revision(commit=run.commit, dirty=run.dirty, diff=diff),
        parent=run.run_id,
    )


def find_image(host: Host, scratch: Scratch, replay: Replay) -> PushedSif | None:
    """The image that the run had, where the site has it; its name says what is in it."""
    run, old = replay.run, PurePosixPath(replay.run.sif)
    places = [scratch.images / old.name] + ([] if replay.is_elsewhere else [old])
    if old.suffix not in find_runtime(replay.site.container.command).form.files:
        return None  # The site has another container runtime by now.
    for path in dict.fromkeys(places):
        size_bytes = host.size(path)
        if size_bytes is not None:
            return PushedSif(path=path, image_id=run.image_id, sha256=run.sif_sha256, size_bytes=size_bytes)
    return None


def _split(content: bytes) -> list[str]:
    return [word.decode("utf-8", errors="surrogateescape") for word in content.split(b"\0")[:-1]]


def _check_whole(run: Run, words: Sequence[str]) -> None:
    hidden = [word for word in words if _HIDDEN.search(word)]
    if hidden:
        raise JobError(
            f"{run.run_id} had a password in {hidden[0]!r}, which its record does not have, and the file "
            "with it is not there (any more); write the arguments anew, behind `--`"
        )


def _recorded(run: Run) -> dict[str, str]:
    environment = run.profile_values.get("environment")
    return dict(environment) if isinstance(environment, Mapping) else {}


def _environment(
    replay: Replay, settings: bytes | None, known: Callable[[], Mapping[str, str]], key: bytes
) -> dict[str, str]:
    if settings is None:
        own = _known_environment(replay, known(), key)
    else:
        pairs = (word.partition("=") for word in _split(settings))
        own = {name: value for name, _, value in pairs}
    merged = {**own, **replay.environment}
    return {name: value for name, value in merged.items() if value is not None}


def _known_environment(replay: Replay, known: Mapping[str, str], key: bytes) -> dict[str, str]:
    """The variables that the run had, with the values of today where these are the same."""
    recorded = {name: one for name, one in _recorded(replay.run).items() if name not in replay.environment}
    same = {
        name: known[name]
        for name, one in recorded.items()
        if name in known and keyed_hash(key, name, known[name]) == one
    }
    if missing := sorted(set(recorded) - set(same)):
        profile = replay.run.profile
        why = [f"  {name}: {_why_not(recorded[name], known.get(name))}" for name in missing]
        raise JobError(
            f"the values of ENV_… that {replay.run.run_id} had are not on {replay.site.name} (any more), and "
            f"profile {profile} does not have all of them as they were:\n"
            + "\n".join(why)
            + "\nGive each with `--set ENV_NAME=VALUE`, or put it back into the profile"
        )
    return same


def _why_not(recorded: str, known: str | None) -> str:
    if known is None:
        return "the profile has no such ENV_ now"
    if recorded == HIDDEN:
        return "its record is of before values could be compared"
    return "the profile has another value now, or this is another checkout"
