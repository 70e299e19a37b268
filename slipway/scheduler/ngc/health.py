"""Whether the platform answers this user, and what it lets them ask for. Nothing here runs anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, timezone

from slipway.scheduler.health import OpenPartition, Trial
from slipway.scheduler.ngc.commands import list_command
from slipway.scheduler.ngc.instances import aces_command, parse_instances


class NgcHealth:
    """The platform, as :class:`slipway.scheduler.health.Health` describes it."""

    def commands(self, options: Sequence[str]) -> Mapping[str, Sequence[str]]:
        """The argvs; there is no trial of a job, so that the program itself is asked what it is."""
        where = [option for option in options if option.startswith(("--org=", "--team=", "--ace="))]
        day = list_command(where, since=datetime.now(timezone.utc) - timedelta(days=1))
        return {
            "queue": day,
            "history": day,
            "partitions": aces_command(),
            "accounts": ["true"],
            "trial": ["ngc", "--version"],
        }

    def read_partitions(self, printed: str) -> Sequence[OpenPartition]:
        """Read ``ngc ace list``."""
        return [
            OpenPartition(name=one.name, is_default=False, state="UP", queue=one.offer)
            for one in parse_instances(printed)
        ]

    def read_accounts(self, printed: str) -> Mapping[str, Sequence[str]]:
        """None: teams are not asked for."""
        return {}

    def read_trial(self, exit_code: int, printed: str) -> Trial:
        """Whether the program is there; when a job would begin the platform does not say."""
        if exit_code == 0:
            return Trial(expected=f"a time that the platform does not tell ({printed.strip()[:60]})")
        return Trial(refusal=printed.strip()[:400] or f"ngc ended with exit code {exit_code}")
