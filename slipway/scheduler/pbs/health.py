"""Whether PBS works for this user, and what it lets them ask for. Nothing here runs anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from slipway.errors import ParseError
from slipway.scheduler.health import OpenPartition, Trial
from slipway.scheduler.pbs.attributes import Attributes, parse_text
from slipway.scheduler.pbs.queues import acl_names, default_queue, offer_of

_QUEUES = "qstat -Q -f && qstat -B -f"
_NO_ACCOUNTS = "PBS has no list of accounts that a user could ask for"
# A PBS that keeps no history refuses -x; Torque knows no other time than the one in which it keeps a job.
_HISTORY = """case $(qstat --version 2>&1) in
*pbs_version*) qstat -x >/dev/null ;;
*) qstat >/dev/null ;;
esac"""


class PbsHealth:
    """PBS, as :class:`slipway.scheduler.health.Health` describes it."""

    def commands(self, options: Sequence[str]) -> Mapping[str, Sequence[str]]:
        """The argvs."""
        return {
            "queue": [
                "sh",
                "-c",
                "command -v qsub >/dev/null || { echo qsub: not found; exit 127; }; exec qstat -B",
            ],
            "history": ["sh", "-c", _HISTORY],
            "partitions": ["sh", "-c", _QUEUES],
            "accounts": ["sh", "-c", f"echo '{_NO_ACCOUNTS}'; exit 1"],
            # It has no way to try a job without submitting it.
            "trial": ["true"],
        }

    def read_partitions(self, printed: str) -> Sequence[OpenPartition]:
        """Read ``qstat -Q -f`` and ``qstat -B -f``."""
        queues = parse_text(printed, "Queue")
        if not queues:
            raise ParseError(f"qstat printed {printed[:200]!r}; expected lines with Queue:")
        default = default_queue(printed)
        return [_partition(name, one, default) for name, one in queues.items()]

    def read_accounts(self, printed: str) -> Mapping[str, Sequence[str]]:
        """PBS has none."""
        raise ParseError(_NO_ACCOUNTS)

    def read_trial(self, exit_code: int, printed: str) -> Trial:
        """PBS has nothing to say."""
        return Trial()


def _partition(name: str, attributes: Attributes, default: str | None) -> OpenPartition:
    enabled, started = (attributes.get(key) == "True" for key in ("enabled", "started"))
    groups = acl_names(attributes, "group")
    return OpenPartition(
        name=name,
        is_default=name == default,
        state="UP" if enabled and started else "not started" if enabled else "not enabled",
        queue=offer_of(attributes),
        groups=None if groups is None else sorted(groups),
    )
