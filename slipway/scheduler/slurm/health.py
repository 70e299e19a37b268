"""Whether SLURM works for this user, and what it lets them ask for. Nothing here runs anything."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence

from slipway.errors import ParseError
from slipway.scheduler.health import OpenPartition, Trial
from slipway.scheduler.slurm.commands import associations_command, queue_command
from slipway.scheduler.slurm.partitions import parse_associations
from slipway.scheduler.slurm.rows import parse_number
from slipway.site import Queue

_FIELD = re.compile(r"(\w+)=(\S*)")
_TIME = re.compile(r"([0-9]{1,9}-)?[0-9]{1,9}(:[0-9]{2}){0,2}")
_EXPECTED = re.compile(r"Job \d+ to start at (\S+)(?: using \d+ processors? on nodes? (\S+))?")
_PREFIX = re.compile(r"^\s*(?:sbatch: )?(?:error: )?(?:Batch job submission failed: |allocation failure: )?")


class SlurmHealth:
    """SLURM, as :class:`slipway.scheduler.health.Health` describes it."""

    def commands(self, options: Sequence[str]) -> Mapping[str, Sequence[str]]:
        """The argvs."""
        trial = f"printf '#!/bin/sh\\ntrue\\n' | sbatch --test-only {shlex.join(options)}"
        return {
            "queue": queue_command(),
            "history": ["sacct", "--noheader", "--parsable2", "--allocations", "--format=JobID"],
            "partitions": ["scontrol", "--oneliner", "show", "partition"],
            "accounts": associations_command(),
            "trial": ["sh", "-c", trial],
        }

    def read_partitions(self, printed: str) -> Sequence[OpenPartition]:
        """Read ``scontrol show partition``."""
        rows = [dict(_FIELD.findall(line)) for line in printed.splitlines() if "PartitionName=" in line]
        if not rows:
            raise ParseError(f"scontrol printed {printed[:200]!r}; expected lines with PartitionName=")
        return [_partition(row) for row in rows]

    def read_accounts(self, printed: str) -> Mapping[str, Sequence[str]]:
        """Read ``sacctmgr show assoc``."""
        return {account: qos.split(",") for account, qos in parse_associations(printed)}

    def read_trial(self, exit_code: int, printed: str) -> Trial:
        """Read ``sbatch --test-only``, which answers on its standard error."""
        found = _EXPECTED.search(printed)
        if exit_code == 0 and found:
            where = f" on {found[2]}" if found[2] else ""
            return Trial(expected=f"{found[1]}{where}")
        lines = [_PREFIX.sub("", line).strip() for line in printed.splitlines() if line.strip()]
        return Trial(
            refusal="; ".join(dict.fromkeys(lines))[:400] or f"sbatch ended with exit code {exit_code}"
        )


def _partition(row: Mapping[str, str]) -> OpenPartition:
    time, nodes = row.get("MaxTime", ""), parse_number(row.get("MaxNodes", ""))
    return OpenPartition(
        name=row["PartitionName"],
        is_default=row.get("Default") == "YES",
        state=row.get("State", ""),
        queue=Queue(max_time=time if _TIME.fullmatch(time) else None, max_nodes=nodes or None),
        accounts=_names(row.get("AllowAccounts")),
        qos=_names(row.get("AllowQos")),
        groups=_names(row.get("AllowGroups")),
        no_accounts=_names(row.get("DenyAccounts")) or (),
        no_qos=_names(row.get("DenyQos")) or (),
    )


def _names(value: str | None) -> Sequence[str] | None:
    return None if value is None or value in ("", "ALL", "N/A", "(null)") else value.split(",")
