"""Campaigns: tests that do the same many times at random moments. `./run test` does a few, `--long` all.

`invoke test.faults` does all, so many times over, and with a seed: the moments of a test that has failed are
chosen again by the same seed.
"""

import os
import random

LONG = bool(os.environ.get("SLIPWAY_TEST_LONG"))
TIMES = int(os.environ.get("SLIPWAY_TEST_ROUNDS") or 1)
SEED = int(os.environ.get("SLIPWAY_TEST_SEED") or random.SystemRandom().randrange(1 << 32))


def rounds(whole: int, short: int) -> int:
    """So many of them with ``./run test --long``, else the second number."""
    return whole * TIMES if LONG else short


def dice(name: str) -> random.Random:
    """Random numbers of a test's own, by the seed of the whole campaign."""
    return random.Random(f"{SEED} {name}")  # noqa: S311 - moments, not secrets
