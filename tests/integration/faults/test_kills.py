"""Slipway killed at random moments of everything that it does; the same command goes on."""

import random
import signal
import time

import pytest

from tests.campaign import rounds
from tests.faults import Made
from tests.integration.faults import work
from tests.integration.faults.laptop import INTERRUPTED, KILLS, TERMINATED, Laptop
from tests.integration.faults.work import Work

# So many kills of each, with `--long`.
COUNTS: dict[type[Work], int] = {
    work.Job: 40,
    work.Stage: 28,
    work.Pull: 16,
    work.Push: 16,
    work.PushOfLayers: 8,
    work.Login: 16,
    work.Keep: 12,
    work.Sweep: 12,
    work.Monitor: 12,
    work.Build: 12,
    work.Convert: 12,
}
# Those that are killed once each in every run of all tests. Others have tests of their own for that.
SHORT = (work.Stage, work.Job)
PER_CHAIN = 4


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(
            one,
            marks=[pytest.mark.fault("kills", one.title), *([] if one in SHORT else [pytest.mark.long])],
            id=one.title,
        )
        for one in COUNTS
    ],
)
def test_killed(kind: type[Work], laptop: Laptop, dice: random.Random, made: Made) -> None:
    some = kind(laptop, dice)
    some.begin()
    took = 0.0
    wanted = rounds(COUNTS[kind], 1)
    with laptop.proxy.slow(some.rate_bytes_s, both=True):
        if wanted > PER_CHAIN:
            # How long it takes, for the moments.
            took = timed(some)
            some.finished()
            some.begin()
        ways = deal(dice, wanted)
        while ways:
            chain = min(PER_CHAIN, len(ways))
            while chain and kill(some, ways[-1], took or 2.0, dice):
                made(ways.pop())
                chain -= 1
            took = timed(some)
            some.check()
            some.finished()
            some.begin()


def deal(dice: random.Random, count: int) -> list[str]:
    """Each way to be ended as often as any other, in any order."""
    names = list(KILLS)
    dice.shuffle(names)
    ways = [names[number % len(names)] for number in range(count)]
    dice.shuffle(ways)
    return ways


def timed(some: Work) -> float:
    """Let it come through; the seconds that it takes."""
    began = time.monotonic()
    ended = some.laptop.finish(some.laptop.start(*some.words, argv=some.argv))
    assert ended.code == 0, ended
    return time.monotonic() - began


def kill(some: Work, way: str, took_s: float, dice: random.Random) -> bool:
    """Begin it, and end it at a random moment; false where it was over before."""
    act, code = KILLS[way]
    process = some.laptop.start(*some.words, argv=some.argv)
    time.sleep(dice.uniform(0.3, 1.0) * took_s)
    if process.poll() is not None:
        some.laptop.finish(process)
        return False
    act(some.laptop, process, dice)
    ended = some.laptop.finish(process)
    # It may have come to its end just then. Where the signal has met an import of ours, Python ends itself
    # by SIGINT, whatever code it was told to end with.
    codes = (code, 0, -signal.SIGINT) if "stopped" in ended.stderr else (code, 0)
    assert ended.code in codes or ended.is_outside, (way, ended)
    assert ended.code not in (INTERRUPTED, TERMINATED) or "stopped" in ended.stderr, (way, ended)
    some.check()
    return True
