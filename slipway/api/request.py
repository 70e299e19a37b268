"""What a caller gives, as what a request is made of: words of a command line, settings, resources."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from slipway.errors import UsageError
from slipway.model import WrongValueError
from slipway.resources import Resources
from slipway.scheduler.choose import read_resources
from slipway.validation import explain

Word = str | bytes | os.PathLike[str] | os.PathLike[bytes]
Settings = Mapping[str, object]


def as_words(argv: Sequence[Word]) -> tuple[str, ...]:
    """The words of a command line; bytes that are no UTF-8 stay what they are.

    Raises:
        UsageError: it is one string, or a word is something else than text or a path.
    """
    if isinstance(argv, (str, bytes, os.PathLike)):
        raise UsageError(
            f"{argv!r} is one word, and no shell would take it apart; write a list of words, such as "
            '["python3", "train.py"], or ["sh", "-c", "…"] where a shell is wanted'
        )
    return tuple(_as_word(place, word) for place, word in enumerate(argv))


def as_settings(settings: Settings | None) -> list[str]:
    """Keys with values, as ``--set`` has them."""
    return [f"{key}={value}" for key, value in (settings or {}).items()]


def as_resources(wanted: Mapping[str, str | int | None], sbatch: Sequence[str]) -> Resources:
    """What a job asks its scheduler for.

    Raises:
        UsageError: a value is of the wrong kind.
    """
    if isinstance(sbatch, str):
        raise UsageError(f"sbatch={sbatch!r} is one string; write a list of options: [{sbatch!r}]")
    words = {key: str(value) for key, value in wanted.items() if value is not None}
    try:
        return read_resources(words, sbatch)
    except WrongValueError as error:
        problem = error.problem
        raise UsageError(f"{problem['loc'][0]}={problem['input']!r}: {explain(problem)}") from error


def _as_word(place: int, word: Word) -> str:
    try:
        path = os.fspath(word)
    except TypeError as error:
        raise UsageError(
            f"argv[{place}] is {word!r}, of type {type(word).__name__}; write text or a path: str({word!r})"
        ) from error
    return path.decode("utf-8", "surrogateescape") if isinstance(path, bytes) else path
