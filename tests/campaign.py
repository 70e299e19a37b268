"""Campaigns: tests that do the same many times at random moments. `./run test` does a few, `--long` all."""

import os

LONG = bool(os.environ.get("SLIPWAY_TEST_LONG"))


def rounds(whole: int, short: int) -> int:
    """So many of them with ``./run test --long``, else the second number."""
    return whole if LONG else short
