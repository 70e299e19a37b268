"""A Dockerfile as the sections of a definition file. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from slipway.errors import ImageError
from slipway.sif.definition.context import Context
from slipway.sif.definition.copying import Copying
from slipway.sif.definition.instruction import UntranslatableError, parse_instructions
from slipway.sif.definition.one_stage import Given, OneStage, State
from slipway.sif.definition.section import Note, Sections
from slipway.sif.definition.stage import Platform, Stage, find_stages


@dataclass(frozen=True, kw_only=True)
class Translation:
    """A translated Dockerfile: the stages that count, in order, what has no effect, and who it runs as."""

    stages: tuple[Sections, ...]
    notes: tuple[Note, ...]
    user: str


def translate(
    dockerfile: str, name: str, given: Mapping[str, str], platform: str, context: Context
) -> Translation:
    """Translate a Dockerfile.

    Args:
        dockerfile: its text.
        name: its name, for messages.
        given: values of the arguments that it declares.
        platform: what the image is built for, such as ``linux/amd64``.
        context: what it may copy.

    Raises:
        ImageError: something in it cannot be said in a definition file. The message has each line and reason.
    """
    instructions, escape = parse_instructions(dockerfile)
    try:
        stages, above = find_stages(instructions, escape, given, Platform(name=platform))
    except UntranslatableError as error:
        raise _refusal([(error.line, str(error))], name) from error
    above = {**Platform(name=platform).args, **above}
    whole = _Whole(Given(name=name, args=given, above=above, escape=escape), context, stages)
    needed = _needed(whole.sections, stages[-1].name)
    problems = [(line, reason) for stage, line, reason in whole.problems if stage in needed]
    if problems:
        raise _refusal(problems, name)
    notes = tuple(note for stage, note in whole.notes if stage in needed)
    return Translation(
        stages=tuple(one for one in whole.sections if one.name in needed), notes=notes, user=whole.user
    )


def _refusal(problems: Sequence[tuple[int, str]], name: str) -> ImageError:
    lines = "".join(f"\n  {name}:{line}: {reason}" for line, reason in problems)
    return ImageError(
        f"{name} cannot be written as a definition file:{lines}\n"
        "change these lines, or write a definition file and name it by DEFINITION in the profile"
    )


def _needed(sections: Sequence[Sections], last: str) -> set[str]:
    """The last stage, and those that it is made of; as BuildKit, no others are built."""
    by_name = {one.name: one for one in sections}
    found: set[str] = set()
    left = [last]
    while left:
        name = left.pop()
        if name in found or name not in by_name:
            continue
        found.add(name)
        left += [by_name[name].parent, *(one.stage for one in by_name[name].copies)]
    return found


class _Whole:
    """All stages of one Dockerfile."""

    def __init__(self, given: Given, context: Context, stages: Sequence[Stage]) -> None:
        self.sections: list[Sections] = []
        # Each with the name of its stage.
        self.problems: list[tuple[str, int, str]] = []
        self.notes: list[tuple[str, Note]] = []
        self.user = "root"
        states: dict[str, State] = {}
        known: dict[str, str] = {}
        for number, stage in enumerate(stages):
            before = states.get(stage.parent, State())
            one = OneStage(given, stage, before, Copying(context, dict(known)))
            one.run()
            states[stage.name] = one.state
            self.sections += [*one.copying.images(), one.result()]
            self.problems += [(stage.name, *problem) for problem in one.problems]
            self.notes += [(stage.name, note) for note in one.notes]
            self.user = one.state.user
            known |= {str(number): stage.name, stage.name: stage.name}
