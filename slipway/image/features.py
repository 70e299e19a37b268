"""What a Dockerfile has that only BuildKit can build, and Podman's builder. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from slipway.image.dockerfile import Instruction, read_instructions

_FLAGS = re.compile(r"\s*(FROM|RUN|COPY|ADD)((?:\s+--[a-z][\w-]*(?:=\S*)?)+)\s", re.I)
_FLAG = re.compile(r"--([\w-]+)(=\S*)?")
# These the classic builder knows, or leaves out without a loss (--link). It would leave out a checksum, too,
# and run a here-document as if nothing stood in it (Engine 26).
_CLASSIC = {"FROM": {"platform"}, "RUN": set(), "COPY": {"from", "chown", "link"}, "ADD": {"chown", "link"}}
_OWN_PLATFORM = re.compile(r"\$\{?(BUILD|TARGET)(PLATFORM|OS|ARCH|VARIANT)\b")
_SECRET = re.compile(r"--mount=\S*\btype=secret\b\S*")
_ID = re.compile(r"\b(?:id|source|src)=([^,\s]+)")
# A parser directive: it counts only above everything else.
_SYNTAX = re.compile(r"(?:[ \t]*#[ \t]*\w+[ \t]*=.*\n)*?[ \t]*#[ \t]*syntax[ \t]*=[ \t]*(\S+)", re.I)


@dataclass(frozen=True, kw_only=True)
class Feature:
    """Something that the classic builder refuses: on which line, the instruction, and what of it."""

    line: int
    instruction: str
    words: str

    def __str__(self) -> str:
        return f"line {self.line}, {self.instruction} {self.words}"


def find_features(dockerfile: str) -> list[Feature]:
    """What of a Dockerfile needs BuildKit, in order."""
    return [found for one in read_instructions(dockerfile) for found in _features(one)]


def secret_names(dockerfile: str) -> list[str]:
    """The secrets that a Dockerfile asks for, by their ids, each once."""
    mounts = [mount for one in read_instructions(dockerfile) for mount in _SECRET.findall(one.text)]
    ids = [match[1].rpartition("/")[2] for mount in mounts if (match := _ID.search(mount))]
    return list(dict.fromkeys(ids))


def syntax_image(dockerfile: str) -> str | None:
    """The image that a line ``# syntax=…`` has BuildKit fetch to read the Dockerfile with, or ``None``."""
    match = _SYNTAX.match(dockerfile)
    return match[1] if match else None


def _features(instruction: Instruction) -> Iterator[Feature]:
    text, line = instruction.text, instruction.line
    if match := _FLAGS.match(text):
        name = match[1].upper()
        for flag, value in _FLAG.findall(match[2]):
            if flag not in _CLASSIC[name] or (flag == "platform" and _OWN_PLATFORM.search(value)):
                yield Feature(line=line, instruction=name, words=f"--{flag}{value}")
    if instruction.has_heredoc:
        yield Feature(line=line, instruction=text.split()[0].upper(), words="<<… (a here-document)")
