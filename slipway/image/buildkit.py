"""Builds by BuildKit, which the ``docker buildx`` command drives: what it is told, and what it prints. Pure.

docker-py speaks to the classic builder alone. The builder is the engine's own, so that it needs no image of a
builder, sees the images of the engine, and leaves there what it has built.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from slipway.build_secret import BuildSecret

# The first that may attach records of a build to an image, which makes it an index of several.
_ATTESTS = (0, 10)
_VERSION = re.compile(r"\bv?([0-9]{1,18})\.([0-9]{1,18})\.")
_LINE = re.compile(r"#([0-9]{1,18}) (.*)")
_STEP = re.compile(r"\[((?!internal\b|auth\b)[^\]]*\d+/\d+)\] (.*)", re.S)
_ENDED = re.compile(r"(?:DONE \d|CACHED\Z|CANCELED|ERROR: )")
_PRINTED = re.compile(r"\d+\.\d+ ?(.*)", re.S)
_FAILED = re.compile(r"(?:ERROR|error): (?:failed to (?:solve|build): )*(.*)", re.S)


def parse_version(stdout: str) -> tuple[int, int]:
    """The version that ``docker buildx version`` prints; ``(0, 0)`` where it cannot be told."""
    match = _VERSION.search(stdout)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def build_command(
    *,
    context: str,
    version: tuple[int, int],
    dockerfile: str,
    tag: str,
    build_args: Mapping[str, str],
    labels: Mapping[str, str],
    environment: Mapping[str, str],
    secrets: Sequence[BuildSecret] = (),
    platform: str = "",
    target: str | None = None,
    cache_from: Sequence[str] = (),
    keeps_cache: bool = False,
    fresh: bool = False,
) -> list[str]:
    """The argv that builds the context on its standard input.

    Args:
        context: the docker context that the engine is of: its own builder has that name.
        version: of buildx.
        dockerfile: the Dockerfile's name in the context.
        tag: the image's name, with its tag.
        build_args: the Dockerfile's arguments. One that the environment has as well goes by its name alone:
            proxies may have passwords in them, and who is on the machine sees the words of a command.
        labels: the image's labels.
        environment: what buildx will find in its environment.
        secrets: what ``RUN --mount=type=secret`` may ask for.
        platform: what to build for; the engine's own without it.
        target: the stage to build; the last one without it.
        cache_from: images in registries whose steps may be taken.
        keeps_cache: note in the image which steps it has, so that others may take them.
        fresh: take no step from an earlier build.
    """
    argv = ["docker", "buildx", "build", "--builder", context, "--progress", "plain"]
    if version >= _ATTESTS:
        argv += ["--provenance=false", "--sbom=false"]
    argv += ["--file", dockerfile, "--tag", tag]
    argv += [
        word
        for name, value in build_args.items()
        for word in ("--build-arg", _given(name, value, environment))
    ]
    argv += [word for name, value in labels.items() for word in ("--label", f"{name}={value}")]
    argv += [word for secret in secrets for word in ("--secret", _secret(secret))]
    argv += [
        word for ref in cache_from for word in ("--cache-from", _record({"type": "registry", "ref": ref}))
    ]
    argv += ["--cache-to", "type=inline"] if keeps_cache else []
    argv += ["--platform", platform] if platform else []
    argv += ["--target", target] if target else []
    return [*argv, *(["--no-cache"] if fresh else []), "-"]


def _given(name: str, value: str, environment: Mapping[str, str]) -> str:
    return name if environment.get(name) == value else f"{name}={value}"


def _secret(secret: BuildSecret) -> str:
    if secret.file is None:
        return _record({"id": secret.id, "env": secret.id})
    return _record({"id": secret.id, "src": str(secret.file)})


def _record(values: Mapping[str, str]) -> str:
    # buildx reads such words as a line of CSV: a path may have commas and quotes.
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="").writerow(f"{name}={value}" for name, value in values.items())
    return buffer.getvalue()


class Kind(Enum):
    """What a line of a build is."""

    STEP = "step"
    LINE = "line"
    ERROR = "error"
    ENDED = "ended"
    FAILED = "failed"
    NOTHING = "nothing"


@dataclass(frozen=True, kw_only=True)
class Event:
    """A line of ``--progress plain``, understood.

    Attributes:
        kind: what it is.
        text: of a step its instruction, else what was printed or what is wrong.
        step: the number of the line's step in this build; several go on at once.
        position: of a step ``builder 3/7``: its stage, and which of it.
    """

    kind: Kind
    text: str = ""
    step: int = -1
    position: str = ""


@dataclass
class PlainReader:
    """Understands what ``docker buildx build --progress plain`` prints, line by line."""

    _begun: set[int] = field(default_factory=set)
    _ends: bool = False

    def read(self, line: str) -> Event:
        """One line, without its end."""
        match = _LINE.match(line)
        if match:
            return self._numbered(int(match[1]), match[2])
        if line == "------":
            # What follows shows the failed step once more, and its lines of the Dockerfile.
            self._ends = True
        failed = _FAILED.match(line)
        if failed:
            return Event(kind=Kind.ERROR, text=failed[1])
        return Event(kind=Kind.NOTHING if self._ends or not line.strip() else Kind.LINE, text=line)

    def _numbered(self, number: int, text: str) -> Event:
        if step := _STEP.match(text):
            is_new = number not in self._begun
            self._begun.add(number)
            kind = Kind.STEP if is_new else Kind.NOTHING
            return Event(kind=kind, text=step[2], step=number, position=step[1])
        if _ENDED.match(text):
            return Event(kind=Kind.FAILED if text.startswith("ERROR") else Kind.ENDED, text=text, step=number)
        if printed := _PRINTED.fullmatch(text):
            kind = Kind.LINE if printed[1].strip() else Kind.NOTHING
            return Event(kind=kind, text=printed[1], step=number)
        return Event(kind=Kind.NOTHING, text=text, step=number)
