"""Elements: a run whose tasks have arguments of their own. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from slipway.job.script import words_file
from slipway.text.wording import one_line


@dataclass(frozen=True, kw_only=True)
class Element:
    """One task of such a run.

    Attributes:
        values: what sets it apart from the others, by names.
        args: the program's arguments.
        files: files of its own, which the program finds in /element, by their names.
    """

    values: Mapping[str, str]
    args: tuple[str, ...]
    files: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class ElementFiles:
    """What the job script reads: the words of all tasks, and where those of each are.

    Attributes:
        words: as in :func:`slipway.job.script.words_file`, one task behind the other; behind those of a task
            are its files.
        index: a line for each task: where its words begin, their bytes, and how many they are; then for each
            of its files the name, where it begins, and its bytes.
    """

    words: bytes
    index: bytes


def describe_values(values: Mapping[str, str]) -> str:
    """An element for a person, on one line: ``sequence=rpy seed=1``."""
    return one_line(" ".join(f"{name}={shlex.quote(value)}" for name, value in values.items()), 200)


def element_files(program: Sequence[str], elements: Iterable[Element]) -> ElementFiles:
    """The files of a run, whose task N is the Nth of these elements, from 0.

    Raises:
        JobError: a word is one that no program can be given.
    """
    pieces, lines, offset = list[bytes](), list[str](), 0
    for element in elements:
        piece = words_file([*program, *element.args])
        entry = [f"{offset} {len(piece)} {len(program) + len(element.args)}"]
        for name, content in element.files.items():
            entry.append(f"{name} {offset + len(piece)} {len(content)}")
            piece += content
        pieces.append(piece)
        lines.append(" ".join(entry) + "\n")
        offset += len(piece)
    return ElementFiles(words=b"".join(pieces), index="".join(lines).encode())
