"""SLURM's lists of hosts, such as ``gpu[01-03,7],login``, where no ``scontrol`` is at hand to expand them."""

from __future__ import annotations

import itertools
import re

from slam.errors import InputError

_PART = re.compile(r"\[([^][]*)\]|([^][,]+)")
_RANGE = re.compile(r"(\d+)(?:-(\d+))?\Z")


def expand(text: str) -> list[str]:
    """The hosts of a list, in its order, as ``scontrol show hostnames`` prints them.

    Raises:
        InputError: it is not such a list.
    """
    hosts: list[str] = []
    for word in _split(text):
        choices = [_choices(part, text) for part in _parts(word, text)]
        hosts.extend("".join(host) for host in itertools.product(*choices))
    if not hosts:
        raise _broken(text)
    return hosts


def _split(text: str) -> list[str]:
    """The words between those commas that stand outside brackets."""
    words, depth = [""], 0
    for letter in text.strip():
        depth += {"[": 1, "]": -1}.get(letter, 0)
        if letter == "," and depth == 0:
            words.append("")
        else:
            words[-1] += letter
    return [word for word in words if word]


def _parts(word: str, text: str) -> list[re.Match[str]]:
    parts = list(_PART.finditer(word))
    if sum(len(part[0]) for part in parts) != len(word):
        raise _broken(text)
    return parts


def _choices(part: re.Match[str], text: str) -> list[str]:
    if part[1] is None:
        return [part[0]]
    numbers: list[str] = []
    for piece in part[1].split(","):
        found = _RANGE.match(piece)
        if found is None or int(found[2] or found[1]) < int(found[1]):
            raise _broken(text)
        first, last = found[1], found[2] or found[1]
        numbers.extend(f"{number:0{len(first)}d}" for number in range(int(first), int(last) + 1))
    return numbers


def _broken(text: str) -> InputError:
    return InputError(f"{text!r} is not a list of hosts as SLURM writes them, such as gpu[01-03],login")
