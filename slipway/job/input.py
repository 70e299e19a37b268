"""Inputs: the staged data that a job's arguments name."""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from slipway.dataset.packed import choose_packed, current_versions
from slipway.host.host import Host
from slipway.host.scratch import Scratch
from slipway.text.nearest import nearest

# As a job sees what is staged, and as `invoke stage` names it.
_MOUNTED = re.compile(r"(?:--?[\w-]+=)?/data/([^/]+)(?:/.*)?", re.S)
_OPTION = "--dataset"


def named_datasets(args: Sequence[str]) -> list[str]:
    """The datasets that arguments name: by a path such as ``/data/room/left``, or by ``--dataset room``."""
    following = [after for word, after in pairwise(args) if word == _OPTION]
    joined = [word.partition("=")[2] for word in args if word.startswith(f"{_OPTION}=")]
    mounted = [match[1] for match in map(_MOUNTED.fullmatch, args) if match]
    names = (word.removeprefix("/data/").partition("/")[0] for word in (*following, *joined))
    return sorted({name for name in (*names, *mounted) if name and name not in (".", "..")})


@dataclass(frozen=True, kw_only=True)
class StagedData:
    """What is staged on a cluster.

    Attributes:
        where: the folder, as a person is told of it.
        packed: the packed datasets, and the newest file of each.
        names: all of them, and those that are folders where somebody has named one.
    """

    where: str
    packed: Mapping[str, str]
    names: Collection[str]

    def choose(self, programs: Iterable[Sequence[str]], others: Iterable[str] = ()) -> dict[str, str]:
        """The packed datasets that a job is to see, and the file of each.

        Args:
            programs: the arguments of its programs.
            others: other words that may name data: the program, and the values of its variables.
        """
        words = [[*args] for args in (*programs, [*others])]
        named = any(named_datasets(args) for args in words)
        return choose_packed(self.packed, [word for args in words for word in args], names_others=named)

    def missing(self, programs: Iterable[Sequence[str]]) -> Iterator[str]:
        """A note for each dataset that the arguments of some programs name and that was not staged.

        It is no error: it may come while the job waits, and what an option means is the program's own.
        """
        for name in sorted({name for args in programs for name in named_datasets(args)} - {*self.names}):
            yield (
                f"{self.where} has no {name!r}{nearest(name, [*self.names])}, which the program's "
                f"arguments name; `invoke stage FOLDER --name {shlex.quote(name)}` brings it there"
            )


def look_for_data(host: Host, scratch: Scratch, programs: Iterable[Sequence[str]]) -> StagedData:
    """Look what is staged; folders only where the arguments of some programs name one."""
    packed = current_versions(host, scratch)
    named = any(named_datasets(args) for args in programs)
    names = {*packed, *(host.list(scratch.data) if named else ())}
    return StagedData(where=f"{host.target}:{scratch.data}", packed=packed, names=names)
