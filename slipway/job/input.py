"""Inputs: the staged data that a job's arguments name."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

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


def find_missing(host: Host, scratch: Scratch, programs: Iterable[Sequence[str]]) -> Iterator[str]:
    """A note for each dataset that the arguments of some programs name and that was not staged.

    It is no error: it may come while the job waits, and what an option means is the program's own.
    """
    names = sorted({name for args in programs for name in named_datasets(args)})
    there = host.list(scratch.data) if names else []
    for name in names:
        if name not in there:
            yield (
                f"{host.target}:{scratch.data} has no {name!r}{nearest(name, there)}, which the program's "
                f"arguments name; `invoke stage FOLDER --name {shlex.quote(name)}` brings it there"
            )
