"""A Dockerfile's stages: what each starts from, what it takes of others, and which of them count. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from slipway.sif.definition.instruction import Instruction, UntranslatableError
from slipway.sif.definition.variable import Scope, expand_literal, split_words

SCRATCH = "scratch"


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One stage.

    Attributes:
        name: its name in the definition file; no other stage has it.
        line: where its FROM is; 0 for an image that only COPY names.
        base: the image that it starts from; empty where that is another stage.
        parent: that stage's name; empty where it starts from an image.
        instructions: what stands below its FROM.
    """

    name: str
    line: int
    base: str = ""
    parent: str = ""
    instructions: Sequence[Instruction] = ()


@dataclass(frozen=True, kw_only=True)
class Platform:
    """What an image is built for, such as ``linux/amd64``, and the arguments that Docker derives from it."""

    name: str

    @property
    def args(self) -> dict[str, str]:
        """Arguments that a stage may declare without a value (BuildKit's automatic ones)."""
        system, _, rest = self.name.partition("/")
        machine, _, variant = rest.partition("/")
        parts = {"PLATFORM": self.name, "OS": system, "ARCH": machine, "VARIANT": variant}
        return {f"{side}{part}": value for side in ("TARGET", "BUILD") for part, value in parts.items()}


def read_args(instruction: Instruction, escape: str) -> Iterator[tuple[str, str | None]]:
    """Names and defaults of ARG, the latter as they are written, ``None`` where there is none."""
    for word in split_words(instruction.text, escape):
        name, equals, value = word.partition("=")
        yield name, value if equals else None


def find_stages(
    instructions: Sequence[Instruction], escape: str, given: Mapping[str, str], platform: Platform
) -> tuple[list[Stage], dict[str, str]]:
    """The stages in their order, and what ARG above the first one says.

    Raises:
        UntranslatableError: a FROM, or what stands above the first one, cannot be told.
    """
    above: dict[str, str] = {}
    stages: list[Stage] = []
    names: dict[str, str] = {}
    for number, one in enumerate(instructions):
        if one.keyword == "FROM":
            end = next(
                (at for at in range(number + 1, len(instructions)) if instructions[at].keyword == "FROM"),
                None,
            )
            scope = Scope(values={**platform.args, **above}, escape=escape)
            stage = _stage(one, len(stages), instructions[number + 1 : end], scope, platform, names)
            names[str(len(stages))] = stage.name
            stages.append(stage)
        elif not stages and one.keyword == "ARG":
            scope = Scope(values=above, escape=escape)
            above |= _above(one, scope, given)
        elif not stages:
            raise UntranslatableError(f"{one.keyword} stands above the first FROM", one.line)
    if not stages:
        raise UntranslatableError("there is no FROM in it", 1)
    return stages, above


def _above(one: Instruction, scope: Scope, given: Mapping[str, str]) -> dict[str, str]:
    try:
        defaults = {
            name: None if value is None else expand_literal(value, scope)
            for name, value in read_args(one, scope.escape)
        }
    except UntranslatableError as error:
        raise UntranslatableError(str(error), one.line) from error
    found = {name: given.get(name, default) for name, default in defaults.items()}
    return {name: value for name, value in found.items() if value is not None}


def _stage(
    one: Instruction,
    number: int,
    below: Sequence[Instruction],
    scope: Scope,
    platform: Platform,
    names: dict[str, str],
) -> Stage:
    try:
        flags, rest = one.flags()
        words = split_words(rest, scope.escape)
        if len(words) not in (1, 3) or (len(words) == 3 and words[1].upper() != "AS"):
            raise UntranslatableError("FROM is written as `FROM IMAGE [AS NAME]`")
        for flag, value in flags:
            wanted = expand_literal(value, scope)
            if flag != "platform" or wanted not in ("", platform.name):
                raise UntranslatableError(
                    f"--{flag}={wanted}: Apptainer builds for {platform.name} alone here"
                )
        image = expand_literal(words[0], scope)
    except UntranslatableError as error:
        raise UntranslatableError(str(error), one.line) from error
    if not image:
        raise UntranslatableError(f"{words[0]} is empty; the profile has to set it", one.line)
    name = words[2].lower() if len(words) == 3 else f"stage-{number}"
    parent = names.get(image.lower(), "")
    if image.lower() == SCRATCH and not parent:
        raise UntranslatableError(
            "FROM scratch: Apptainer needs a shell in an image before it can change anything there; start "
            "from an image that has one",
            one.line,
        )
    if len(words) == 3:
        names[name] = name
    return Stage(name=name, line=one.line, base="" if parent else image, parent=parent, instructions=below)
