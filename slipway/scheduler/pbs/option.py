"""Options of qsub that users give themselves, and those that are Slipway's own."""

from __future__ import annotations

import re

_FORM = re.compile(r"-([A-Za-z])( ?(\S.*))?", re.S)
# What the job's contract stands on (`man qsub`), or what has an option of its own: why it cannot be another.
_OWN = {
    "N": "a job's name is its run's id, by which it is found again",
    "o": "a run's log is in its own folder; `invoke logs` shows it",
    "e": "a run's log is in its own folder; `invoke logs` shows it",
    "j": "a run's log is in its own folder; `invoke logs` shows it",
    "S": "the script is one of bash",
    "I": "`invoke shell` gives a shell in a job",
    "X": "`invoke tunnel` brings a job's ports here",
    "V": "the container gets a clean environment; ENV_<NAME>=… in the profile adds to it",
    "v": "the container gets a clean environment; ENV_<NAME>=… in the profile adds to it",
    "r": "every job may be rerun, each time into a folder of its own",
    "d": "the program starts in /code",
    "D": "the program starts in /code",
    "w": "the program starts in /code",
    "z": "Slipway reads the job's id itself",
    "C": "the script is Slipway's",
    "F": "the script is Slipway's",
    "x": "the script is Slipway's",
    "q": "there is --partition",
    "J": "there is --array",
    "t": "there is --array",
}
# Of `-l` and `-W`, by the beginning of what follows.
_OWN_WORDS = {
    "l": {
        "walltime": "there is --time",
        "select": "there are --nodes, --cpus, --mem and --gpus; `chunk` in the site's file adds to it",
        "nodes": "there are --nodes, --cpus and --gpus; `chunk` in the site's file adds to it",
        "mem": "there is --mem",
    },
    "W": {
        "depend": "there is --dependency",
        "block": "--wait of `invoke job` does it",
        "umask": "files get the rights that the login shell there gives them",
    },
}


def check_option(word: str) -> str:
    """The same word, where it is one option of qsub that Slipway has no say in.

    Raises:
        ValueError: it is no option of one letter with its value, or contradicts what Slipway writes.
    """
    match = _FORM.fullmatch(word)
    if match is None:
        raise ValueError('write one option of qsub with its value, such as "-p 100" or "-l software=1"')
    if any(ord(letter) < 32 for letter in word):
        raise ValueError("an option is one line, without control characters")
    letter, value = match[1], match[3] or ""
    if letter in _OWN:
        raise ValueError(f"that is Slipway's own -{letter}: {_OWN[letter]}")
    for part in value.split(","):
        name = part.strip().partition("=")[0]
        if why := _OWN_WORDS.get(letter, {}).get(name):
            raise ValueError(f"that is Slipway's own -{letter} {name}: {why}")
    return word


def as_word(letter: str, value: str) -> str:
    """An option with its value as one word of a command line."""
    return f"-{letter}{value}"


def joined(option: str) -> str:
    """A user's option as one word of a command line: ``-p 100`` is ``-p100``."""
    match = _FORM.fullmatch(option)
    return option if match is None else as_word(match[1], match[3] or "")


def as_line(word: str) -> str:
    """A word of the command line as a line of the script has it: ``-p 100``."""
    return f"{word[:2]} {word[2:]}".rstrip()
