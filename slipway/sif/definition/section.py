"""What a definition file says of one stage, section by section. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from slipway.sif.definition.context import Taken
from slipway.sif.definition.variable import Word


@dataclass(frozen=True, kw_only=True)
class StageCopy:
    """Something of another stage, and where it lies in the image until its turn."""

    stage: str
    source: str
    place: str


@dataclass(frozen=True, kw_only=True)
class Program:
    """What ``apptainer run`` starts; ``None`` is what the image has that the stage starts from."""

    entrypoint: tuple[str, ...] | None = None
    command: tuple[str, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class Sections:
    """A translated stage.

    Attributes:
        name: as in :class:`slipway.sif.definition.stage.Stage`, as are ``base`` and ``parent``.
        base: the image that it starts from.
        parent: the stage that it starts from.
        folders: of the build's folder of copies, what this stage needs.
        taken: what lies in them.
        copies: what it takes of other stages.
        post: the lines of ``%post``.
        environment: the variables of ``%environment``, in order.
        labels: those that it sets itself.
        program: what is started, also where a stage before has said so.
        sets_program: whether it has said so itself.
    """

    name: str
    base: str
    parent: str
    folders: tuple[str, ...]
    taken: tuple[Taken, ...]
    copies: tuple[StageCopy, ...]
    post: tuple[str, ...]
    environment: tuple[tuple[str, Word], ...]
    labels: Mapping[str, str]
    program: Program
    sets_program: bool


@dataclass(frozen=True, kw_only=True)
class Note:
    """Something of the Dockerfile that has no effect in a ``.sif``, and its line."""

    line: int
    text: str
