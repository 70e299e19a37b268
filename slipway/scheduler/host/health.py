"""Whether the queue of a host works, and what it lets jobs ask for. Nothing here runs anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from slipway.scheduler.health import OpenPartition, Trial
from slipway.scheduler.host.answer import read_offer
from slipway.scheduler.host.program import as_word, explain, parse_answer, queue_command
from slipway.scheduler.host.request import wanted


class HostHealth:
    """A host's queue, as :class:`slipway.scheduler.health.Health` describes it."""

    def commands(self, options: Sequence[str]) -> Mapping[str, Sequence[str]]:
        """The argvs."""
        trial = as_word(wanted(PurePosixPath("/dev/null"), list(options)))
        offer = queue_command("offer")
        return {
            "queue": offer,
            # What is over is in the queue, too.
            "history": offer,
            "partitions": offer,
            "accounts": ["true"],
            "trial": queue_command("try", trial),
        }

    def read_partitions(self, printed: str) -> Sequence[OpenPartition]:
        """The machine itself."""
        there = read_offer(parse_answer(printed))
        return [OpenPartition(name=there.name, is_default=True, state="UP", queue=there.offer)]

    def read_accounts(self, printed: str) -> Mapping[str, Sequence[str]]:
        """None."""
        return {}

    def read_trial(self, exit_code: int, printed: str) -> Trial:
        """What the queue says of a job that it does not take."""
        if exit_code != 0:
            return Trial(refusal=explain(printed, exit_code))
        return Trial(expected=str(parse_answer(printed).get("expected", "now")))
