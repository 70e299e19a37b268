"""The long form of the tests, `./run test --long`, and what the short form does of it.

What is marked `pytest.mark.long` is done by the long form alone: another variant of what is done anyway, a
whole day, minutes of waiting. Campaigns, which do the same many times at random moments, do it a few times in
the short form.

`invoke test.faults` does all of a campaign, so many times over, and with a seed: the moments of a test that
has failed are chosen again by the same seed.
"""

import os
import random
from collections.abc import Callable, Iterable
from typing import TypeVar

import pytest

LONG = bool(os.environ.get("SLIPWAY_TEST_LONG"))
TIMES = int(os.environ.get("SLIPWAY_TEST_ROUNDS") or 1)
SEED = int(os.environ.get("SLIPWAY_TEST_SEED") or random.SystemRandom().randrange(1 << 32))

# With SLIPWAY_TEST_LONG=1 pytest runs them as well, of a single file, too.
LEFT_OUT = pytest.mark.skip(reason="`./run test --long` does this, or SLIPWAY_TEST_LONG=1 with pytest")
T = TypeVar("T")


def others_long(values: Iterable[T], *short: T, ids: Callable[[T], str] = str) -> list[object]:
    """Parameters of a test, all of them marked as long but those few.

    Raises:
        ValueError: one of the few is none of the values.
    """
    values = list(values)
    if missing := [one for one in short if one not in values]:
        raise ValueError(f"no such parameter: {missing}")
    return [pytest.param(one, marks=() if one in short else pytest.mark.long, id=ids(one)) for one in values]


def rounds(whole: int, short: int) -> int:
    """So many of them with ``./run test --long``, else the second number."""
    return whole * TIMES if LONG else short


def dice(name: str) -> random.Random:
    """Random numbers of a test's own, by the seed of the whole campaign."""
    return random.Random(f"{SEED} {name}")  # noqa: S311 - moments, not secrets
