"""Options that several tasks have, read and checked."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from slipway.steps.submit import Push


def check_wait(*, wait: bool, pull: bool) -> None:
    """Refuse ``--pull`` without ``--wait``.

    Raises:
        UsageError: it is so.
    """
    from slipway.errors import UsageError

    if pull and not wait:
        raise UsageError("--pull brings results home at the end, which --wait waits for; add --wait")


def read_push(push: bool, no_push: bool) -> Push:
    """Whether the image is sent before a job is submitted.

    Raises:
        UsageError: both are asked for.
    """
    from slipway.errors import UsageError
    from slipway.steps.submit import Push

    if push and no_push:
        raise UsageError("--push and --no-push contradict each other; leave one of them out")
    return Push.ALWAYS if push else Push.NEVER if no_push else Push.ASK


def read_throttle(word: str | None) -> int | None:
    """How many elements run at once.

    Raises:
        UsageError: it is no number from 1 on.
    """
    return _read_number("throttle", word, "how many elements run at once")


def read_minutes(word: str | None) -> int | None:
    """How long a job may be that short elements share.

    Raises:
        UsageError: it is no number from 1 on.
    """
    return _read_number("pack-minutes", word, "how many minutes a job has that elements share")


def read_lanes(word: str | None) -> int | None:
    """How many elements run side by side in one job.

    Raises:
        UsageError: it is no number from 1 on.
    """
    return _read_number("per-node", word, "how many elements run side by side on a node")


def _read_number(option: str, word: str | None, what: str) -> int | None:
    from slipway.errors import UsageError

    if word is not None and not (word.isdecimal() and len(word) < 10 and 0 < int(word) < 10**6):
        raise UsageError(f"--{option} {word[:100]}: write {what}, from 1 on")
    return None if word is None else int(word)
